//! The world in which an adapter is examined: a client, two servers, and what lets the one call the others.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use simulator::{
    exchange::RequestId,
    scenario::model::{Connections, Proto, Respond},
};

use crate::{
    clause::Api,
    target::adapter::protocol::{
        Described, Mode, PodPort, Port, Request, Service, ServicePort, Setup, Speaks, Target, To, ToHost, ToService,
        Workload,
    },
};

/// The container port of the servers; the service's port is another, so that the two cannot be mixed up.
pub(super) const CONTAINER: u16 = 8081;
pub(super) const SERVICE: u16 = 8080;
/// Nobody listens there.
pub(super) const SILENT: u16 = 8099;
pub(super) const CLIENT: &str = "client-0";
pub(super) const SERVERS: [&str; 2] = ["web-0", "web-1"];

/// What is asked for.
pub(super) fn setup(test: &str, mode: Mode, speaks: Speaks) -> Setup {
    let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
    let workload = |name: &str, replicas: u16, ports: Vec<Port>| Workload {
        name: name.into(),
        namespace: "default".into(),
        account: name.into(),
        labels: labels(name),
        replicas,
        mesh: true,
        ports,
        subdomain: None,
        respond: Respond::default(),
    };
    let port = Port { name: name(speaks).into(), port: CONTAINER, speaks };
    let service =
        ServicePort { name: name(speaks).into(), port: SERVICE, target_port: Target::Number(CONTAINER), speaks };
    Setup {
        test: test.into(),
        scenario: "adapter.check".into(),
        mode,
        workloads: vec![workload("client", 1, Vec::new()), workload("web", 2, vec![port])],
        services: vec![Service {
            name: "web".into(),
            namespace: "default".into(),
            selector: labels("web"),
            ports: vec![service],
            headless: false,
        }],
    }
}

fn name(speaks: Speaks) -> &'static str {
    if speaks == Speaks::Http { "http" } else { "tcp" }
}

/// What lets the client call the servers, in the newest versions that the mesh serves; `None` if it serves none.
pub(super) fn permission(described: &Described) -> Option<Vec<Value>> {
    let apis = &described.implementation.apis;
    let newest = |api: Api| apis.get(&api)?.iter().max().cloned();
    let (access, specs) = (newest(Api::Access)?, newest(Api::Specs)?);
    let metadata = |name: &str| json!({"name": name, "namespace": "default"});
    let account = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": "default"});
    let routes = json!({
        "apiVersion": format!("specs.smi-spec.io/{specs}"), "kind": "TCPRoute", "metadata": metadata("any"),
        "spec": {"matches": {"ports": []}},
    });
    let target = json!({
        "apiVersion": format!("access.smi-spec.io/{access}"), "kind": "TrafficTarget", "metadata": metadata("let-in"),
        "spec": {
            "destination": account("web"), "sources": [account("client")],
            "rules": [{"kind": "TCPRoute", "name": "any"}],
        },
    });
    Some(vec![routes, target])
}

/// A request of the client to the service.
pub(super) fn to_service(id: RequestId, proto: Proto) -> Request {
    let to = ToService { name: "web".into(), namespace: "default".into(), port: SERVICE, host: "web".into() };
    request(id, CLIENT, To::Service(to), proto)
}

/// A request of the client to a name that nobody has.
pub(super) fn to_nobody(id: RequestId, proto: Proto) -> Request {
    request(id, CLIENT, To::Host(ToHost { host: "nobody.invalid".into(), port: SERVICE }), proto)
}

/// A request of the client to a pod.
pub(super) fn to_pod(id: RequestId, pod: &str, port: u16, proto: Proto) -> Request {
    request(id, CLIENT, To::Pod(PodPort { name: pod.into(), port }), proto)
}

/// A request to the application of a pod, past the mesh.
pub(super) fn direct(id: RequestId, pod: &str, proto: Proto) -> Request {
    let to = To::Pod(PodPort { name: pod.into(), port: CONTAINER });
    Request { direct: true, ..request(id, pod, to, proto) }
}

fn request(id: RequestId, from: &str, to: To, proto: Proto) -> Request {
    let http = proto == Proto::Http1;
    let text = |text: &str| if http { text.to_owned() } else { String::new() };
    let headers = [("x-check".to_owned(), format!("check {id}"))];
    Request {
        id: id.to_string(),
        from: from.into(),
        to,
        proto,
        method: text("POST"),
        path: text("/check/path?with=query"),
        host: None,
        headers: if http { headers.into() } else { BTreeMap::new() },
        conn: Connections::PerRequest,
        bypass: false,
        direct: false,
    }
}
