//! The table of decisions in `policy.rs`, row by row: who may do what, and what the author is told.

mod access;
mod call;
mod split;

use self::call::call;
use crate::{
    policy::diagnose,
    testing::{pod, world},
    world::World,
};

/// Services `store`, `v1`, `v2` and `root` (whose selector finds nothing), each with HTTP ports 80 and 81 and TCP port 90,
/// each with a pod and an account of its own; and the callers `client` and `thief`.
fn shop(policy: &[String]) -> World {
    let services = ["store", "v1", "v2", "root"].map(service);
    let text = services.into_iter().chain(policy.iter().cloned()).collect::<Vec<_>>().join("---\n");
    let pods = ["store", "v1", "v2", "client", "thief"].map(|name| pod(name, name, &format!("app={name}")));
    world(&text, pods)
}

fn service(name: &str) -> String {
    format!(
        "kind: Service
apiVersion: v1
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: 8080}}, {{name: admin, port: 81, targetPort: 8081}}, {{name: tcp-db, port: 90, targetPort: 9000}}]
"
    )
}

/// A target that lets `client` send what the rules say to the account `to`.
fn target(name: &str, to: &str, rules: &str) -> String {
    target_from(name, to, "{kind: ServiceAccount, name: client}", rules)
}

fn target_from(name: &str, to: &str, sources: &str, rules: &str) -> String {
    format!(
        "kind: TrafficTarget
apiVersion: access.smi-spec.io/v1alpha3
metadata: {{name: {name}}}
spec: {{destination: {{kind: ServiceAccount, name: {to}}}, sources: [{sources}], rules: [{rules}]}}
"
    )
}

fn group(name: &str, matches: &str) -> String {
    format!(
        "{{kind: HTTPRouteGroup, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {{name: {name}}}, spec: {{matches: [{matches}]}}}}\n"
    )
}

fn tcp(name: &str, ports: &str) -> String {
    format!(
        "{{kind: TCPRoute, apiVersion: specs.smi-spec.io/v1alpha4, metadata: {{name: {name}}}, spec: {{matches: {{ports: [{ports}]}}}}}}\n"
    )
}

/// Everything, to every leaf.
fn open() -> Vec<String> {
    let rules = "{kind: TCPRoute, name: all}";
    let targets = ["store", "v1", "v2"].map(|to| target(&format!("to-{to}"), to, rules));
    [tcp("all", "")].into_iter().chain(targets).collect()
}

const G: &str = "{kind: HTTPRouteGroup, name: g}";
const T: &str = "{kind: TCPRoute, name: t}";

/// What `client` gets from `store`, port by port.
fn ports(world: &World, request: &str) -> [String; 3] {
    [(80, request), (81, request), (90, "tcp")].map(|(port, request)| call(world, "client", "store", port, request))
}

fn told(world: &World) -> String {
    diagnose(world).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
