//! Reads the decisions of both ends: what becomes of one request.

use std::sync::Arc;

use crate::{
    model::{Methods, ServiceAccount, Workload},
    policy::{
        access::Conditions,
        inbound::{Access, inbound},
        outbound::outbound,
        service::MeshService,
    },
    testing::name,
    world::World,
};

/// What becomes of a request (`GET /path name=value`) or a connection (`tcp`) from a pod to a service port. Of a split, the
/// fate of every share with its weight.
///
/// `unknown`: the caller does not see the port. `closed`: its identity is refused in the handshake. `404`: no rule covers
/// the request. `403`: a rule does, for others. `ok`: delivered.
pub(super) fn call(world: &World, from: &str, to: &str, port: u16, request: &str) -> String {
    let account = &world.workload(&name(from)).expect("the caller").account;
    let outbound = outbound(world, account);
    let called = MeshService { name: name(to), host: None };
    let Some(dialled) =
        outbound.ports.iter().find(|p| p.service == called && p.port == port && !p.addresses.is_empty())
    else {
        return "unknown".into();
    };
    let selects = |conditions: &Conditions| covers(conditions, request);
    let split = dialled.split.as_ref().filter(|s| {
        s.matches.as_ref().is_none_or(|matches| matches.iter().any(|m| selects(&Conditions::of(&m.matched))))
    });
    let fate = |cluster: &str| {
        let upstream = &outbound.upstreams[cluster];
        let pods = upstream.endpoints.iter().map(|(address, port)| {
            let pod = world.workloads().find(|pod| pod.address == *address).expect("a pod with the address");
            received(world, pod, account, &upstream.service, *port, &called.fqdn(), request)
        });
        let mut fates: Vec<_> = pods.collect();
        fates.sort_unstable();
        fates.dedup();
        if fates.is_empty() { "no endpoint".into() } else { fates.join("/") }
    };
    match split {
        None => fate(&dialled.own),
        Some(split) if !split.has_weight() => "no weight".into(),
        Some(split) => {
            let shares = split.shares.iter().map(|(cluster, weight)| {
                let service = &outbound.upstreams[cluster].service.name.name;
                format!("{service} {weight} {}", fate(cluster))
            });
            shares.collect::<Vec<_>>().join(", ")
        }
    }
}

fn received(
    world: &World,
    pod: &Arc<Workload>,
    from: &ServiceAccount,
    service: &MeshService,
    port: u16,
    host: &str,
    request: &str,
) -> &'static str {
    let inbound = inbound(world, pod);
    let Some(served) = inbound.ports.iter().find(|p| p.service == *service && p.target_port == port) else {
        return "no chain";
    };
    if let Access::Only(callers) = &served.callers
        && !callers.iter().any(|caller| caller.sources.contains(from))
    {
        return "closed";
    }
    if !served.protocol.is_http() {
        return "ok";
    }
    let Some(host) = inbound.hosts.get(&port).and_then(|hosts| hosts.get(host)) else { return "no host" };
    let Access::Only(allowed) = &host.requests else { return "ok" };
    let covering: Vec<_> = allowed.iter().filter(|a| covers(&a.conditions, request)).collect();
    match covering.iter().any(|a| a.sources.contains(from)) {
        _ if covering.is_empty() => "404",
        true => "ok",
        false => "403",
    }
}

fn covers(conditions: &Conditions, request: &str) -> bool {
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
    let headers: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
    let full = |pattern: &str, text: &str| regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(text);
    let path_holds = conditions.path.as_ref().is_none_or(|pattern| full(pattern, path));
    let method_holds = match &conditions.methods {
        Methods::Any => true,
        Methods::Only(methods) => methods.contains(method),
    };
    let holds = |name: &str, pattern: &str| headers.iter().any(|(n, value)| *n == name && full(pattern, value));
    path_holds && method_holds && conditions.headers.iter().all(|(name, pattern)| holds(name, pattern))
}
