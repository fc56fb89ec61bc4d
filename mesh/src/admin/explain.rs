//! Who may call whom, and why: the answer of the policy itself, in a form that people can read.

use serde::Serialize;

use crate::{
    model::{Kind, ServiceAccount, ServicePort},
    policy::{
        access::{Conditions, Grant, HttpAccess, grant, grants_to},
        diagnose,
        service::carried_ports,
    },
    world::World,
};

/// Whether one account may call another, port by port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The caller, as `namespace/name`.
    pub from: String,
    /// The one called.
    pub to: String,
    /// Whether anything is allowed.
    pub allowed: bool,
    /// In a sentence, why.
    pub because: String,
    /// The ports of the services whose pods run under `to`.
    pub ports: Vec<Verdict>,
    /// What is wrong with TrafficTargets that name both, and with what they refer to.
    pub problems: Vec<String>,
}

/// Whether a port is open to the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The service, as `namespace/name`.
    pub service: String,
    /// The service port.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: &'static str,
    /// Whether anything gets through.
    pub allowed: bool,
    /// What lets it through, object by object.
    pub by: Vec<String>,
}

/// Whether `from` may call `to` in this world, and why.
pub fn explain(world: &World, from: &ServiceAccount, to: &ServiceAccount) -> Explanation {
    let permissive = world.settings().permissive;
    let grants: Vec<_> = grants_to(world, to).into_iter().filter(|grant| grant.sources.contains(from)).collect();
    let mut ports = Vec::new();
    for service in world.services_of_account(to) {
        for port in carried_ports(service) {
            let by = if permissive { vec![PERMISSIVE.to_owned()] } else { reasons(&grants, port) };
            let (service, protocol) = (service.name.to_string(), port.protocol.as_str());
            ports.push(Verdict { service, port: port.port, protocol, allowed: !by.is_empty(), by });
        }
    }
    let allowed = ports.iter().any(|port| port.allowed);
    let because = because(world, from, to, &grants, &ports);
    Explanation {
        from: from.to_string(),
        to: to.to_string(),
        allowed,
        because,
        ports,
        problems: problems(world, from, to),
    }
}

const PERMISSIVE: &str = "permissive mode: every workload of the mesh may call every other";

fn reasons(grants: &[Grant], port: &ServicePort) -> Vec<String> {
    let mut reasons = Vec::new();
    for grant in grants {
        let target = format!("TrafficTarget {}", grant.target);
        if !port.protocol.is_http() {
            reasons.extend(grant.tcp_on(port.port).then(|| format!("{target}: all connections")));
            continue;
        }
        match grant.http_on(port.port) {
            HttpAccess::Nothing => {}
            HttpAccess::Everything => reasons.push(format!("{target}: all requests")),
            HttpAccess::Matching(matches) => reasons.extend(matches.iter().map(|m| {
                let Conditions { path, methods, headers, .. } = Conditions::of(&m.matched);
                let path = path.as_deref().unwrap_or("any");
                let name = &m.matched.name;
                format!(
                    "{target}: match {name} of HTTPRouteGroup {} (path {path}, methods {methods:?}, headers {headers:?})",
                    m.group
                )
            })),
        }
    }
    reasons
}

fn because(world: &World, from: &ServiceAccount, to: &ServiceAccount, grants: &[Grant], ports: &[Verdict]) -> String {
    if world.pods_by_account(from).next().is_none() {
        return format!("no pod of the mesh runs under {from}: nothing can call with its identity");
    }
    if ports.is_empty() {
        return format!("no service of the mesh selects a pod that runs under {to}: there is nothing to call");
    }
    if world.settings().permissive {
        return PERMISSIVE.to_owned();
    }
    if grants.is_empty() {
        return format!("no sound TrafficTarget has {to} as its destination and {from} among its sources");
    }
    let targets: Vec<_> = grants.iter().map(|grant| grant.target.to_string()).collect();
    let opened = if ports.iter().any(|port| port.allowed) { "allowed by" } else { "no port is opened by" };
    format!("{opened} TrafficTarget {}", targets.join(", "))
}

/// The mistakes of the targets that are about these two accounts, and of the objects that they name.
fn problems(world: &World, from: &ServiceAccount, to: &ServiceAccount) -> Vec<String> {
    let mut found = Vec::new();
    for target in world.targets_by_destination(to).filter(|t| {
        t.sources.iter().filter_map(|subject| subject.account(&t.name.namespace)).any(|source| source == *from)
    }) {
        grant(world, target, &mut |problem| found.push(problem.to_string()));
    }
    let others = diagnose(world).into_iter().filter(|d| d.object.kind == Kind::HttpRouteGroup);
    found.extend(others.filter(|d| d.object.name.namespace == to.namespace).map(|d| d.to_string()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pod, world};

    const POLICY: &str = "
apiVersion: v1
kind: Service
metadata: {name: store}
spec:
  selector: {app: store}
  ports: [{name: http, port: 80, targetPort: 8080, appProtocol: http}, {name: tcp-db, port: 90, appProtocol: tcp}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: books}
spec: {matches: [{name: buy, pathRegex: /buy, methods: [GET]}]}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: buying}
spec:
  destination: {kind: ServiceAccount, name: store}
  sources: [{kind: ServiceAccount, name: buyer}]
  rules: [{kind: HTTPRouteGroup, name: books, matches: [buy]}, {kind: HTTPRouteGroup, name: gone}]
";

    fn ask(from: &str) -> Explanation {
        let pods = [pod("store-1", "store", "app=store"), pod("buyer-1", "buyer", ""), pod("thief-1", "thief", "")];
        let account = |name| ServiceAccount::new("shop", name);
        explain(&world(POLICY, pods), &account(from), &account("store"))
    }

    #[test]
    fn what_is_allowed_names_its_objects() {
        let told = ask("buyer");
        assert!(told.allowed);
        assert_eq!(told.because, "allowed by TrafficTarget shop/buying");
        let open: Vec<_> = told.ports.iter().map(|port| (port.port, port.allowed)).collect();
        assert_eq!(open, [(80, true), (90, false)]);
        let by = &told.ports[0].by[0];
        assert!(by.starts_with("TrafficTarget shop/buying: match buy of HTTPRouteGroup shop/books (path /buy"), "{by}");
        assert!(told.problems.iter().any(|p| p.contains("HTTPRouteGroup shop/gone does not exist")), "{told:?}");
    }

    #[test]
    fn what_is_denied_says_what_is_missing() {
        let told = ask("thief");
        assert!(!told.allowed && told.problems.is_empty(), "{told:?}");
        let because = "no sound TrafficTarget has shop/store as its destination and shop/thief among its sources";
        assert_eq!(told.because, because);
        assert!(ask("nobody").because.starts_with("no pod of the mesh runs under shop/nobody"));
    }
}
