//! Checks of what is sent, by whom and to whom.

use std::collections::BTreeMap;

use http::{HeaderName, Method};

use super::{
    Findings, Names,
    names::{Lookup, container_port},
    workloads,
};
use crate::judge::sequential::SplitTest;
use crate::scenario::{
    address::{AddressError, Destination, PodRef},
    model::{Connections, Count, Credentials, Expect, Proto, Split, Traffic},
    problem::Finding,
    tree::FieldPath,
};

/// The parts that `traffic` and a probe row share.
pub(super) struct Request<'a> {
    pub(super) from: Option<&'a String>,
    pub(super) from_path: FieldPath,
    pub(super) to: Option<&'a String>,
    pub(super) to_path: FieldPath,
    pub(super) method: Option<&'a String>,
    pub(super) path: Option<&'a String>,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) present: Option<&'a Credentials>,
    /// A denial may be expected, so the receiver need not exist.
    pub(super) may_fail: bool,
}

pub(super) fn check(
    traffic: &Traffic,
    expect: Option<&Expect>,
    parallel: bool,
    names: &Names<'_>,
    path: &FieldPath,
    found: &mut Findings,
) {
    let request = Request {
        from: Some(&traffic.from),
        from_path: path.key("from"),
        to: Some(&traffic.to),
        to_path: path.key("to"),
        method: traffic.method.as_ref(),
        path: traffic.path.as_ref(),
        headers: &traffic.headers,
        present: traffic.present.as_ref(),
        may_fail: expect.is_some_and(|expect| expect.denied.is_some() || expect.predicted),
    };
    check_request(&request, names, path, found);
    check_amount(traffic, expect, parallel, path, found);
}

fn check_amount(traffic: &Traffic, expect: Option<&Expect>, parallel: bool, path: &FieldPath, found: &mut Findings) {
    let split = expect.and_then(|expect| expect.split.as_ref());
    match traffic.n {
        Some(Count::Exactly(0)) => found.error(path.key("n"), "range", "no requests prove nothing"),
        Some(Count::Auto(_)) if split.is_none() => {
            let message = "`auto` asks for as many requests as a `split` needs, and none is expected";
            found.error(path.key("n"), "contradiction", message);
        }
        None | Some(Count::Exactly(1)) if split.is_some() && traffic.duration.is_none() => {
            found.hinted(path.clone(), "contradiction", "one request decides no split", "add `n: auto`");
        }
        _ => {}
    }
    let per_connection = matches!(traffic.proto, Proto::Tcp | Proto::TcpServerFirst);
    if per_connection && traffic.conn == Connections::KeepAlive && split.is_some() {
        let message = "TCP is split by connection: requests that share one end in the same place";
        found.hinted(path.key("conn"), "contradiction", message, "write `conn: per-request`");
    }
    if let (Some(Count::Exactly(n)), Some(split)) = (traffic.n, split) {
        check_enough(u64::from(n), split, path, found);
    }
    if traffic.rps == Some(0) {
        found.error(path.key("rps"), "range", "no requests a second prove nothing");
    }
    match traffic.duration.as_deref() {
        Some("until-done") if !parallel => {
            let message = "`until-done` waits for the other branches of `parallel`, and this step is in none";
            found.error(path.key("for"), "misplaced", message);
        }
        Some("until-done") | None => {}
        Some(_) => found.duration(traffic.duration.as_ref(), path.key("for")),
    }
    if traffic.duration.is_some() && traffic.n.is_some() {
        found.error(path.key("n"), "contradiction", "give either the number of requests (`n`) or the time (`for`)");
    }
}

/// A fixed number of requests that a correct mesh usually needs more than.
fn check_enough(n: u64, split: &Split, path: &FieldPath, found: &mut Findings) {
    let weights: Vec<u64> = split.shares.values().chain(&split.failed).copied().collect();
    if let Ok(test) = SplitTest::new(&weights, split.tolerance())
        && n > 1
        && n < test.expected_samples()
    {
        let message = format!("{n} requests rarely decide this split: about {} are needed", test.expected_samples());
        found
            .list
            .push(Finding::warning(path.key("n"), "too-few", message).hint("write `n: auto`, or a larger `delta`"));
    }
}

pub(super) fn check_request(request: &Request<'_>, names: &Names<'_>, path: &FieldPath, found: &mut Findings) {
    if let Some(from) = request.from {
        check_pod(from.parse(), names, &request.from_path, found);
    }
    if let Some(to) = request.to {
        match to.parse::<Destination>() {
            Ok(destination) => check_destination(&destination, request, names, found),
            Err(error) => found.error(request.to_path.clone(), "address", error.to_string()),
        }
    }
    if let Some(method) = request.method
        && Method::from_bytes(method.as_bytes()).is_err()
    {
        found.error(path.key("method"), "http", format!("`{method}` is no HTTP method"));
    }
    if let Some(target) = request.path
        && !target.starts_with('/')
    {
        found.error(path.key("path"), "http", format!("the path `{target}` must begin with `/`"));
    }
    for name in request.headers.keys() {
        if name.is_empty() || HeaderName::from_bytes(name.as_bytes()).is_err() {
            found.error(path.key("headers").key(name), "http", format!("`{name}` is no header name"));
        }
    }
    if let Some(present) = request.present {
        workloads::credentials(present, &path.key("present"), found);
        if let Some(Ok(Destination::Host { .. } | Destination::Pod { .. })) = request.to.map(|to| to.parse()) {
            return;
        }
        found.error(
            path.key("present"),
            "contradiction",
            "credentials are presented to a workload's pod, not to an address",
        );
    }
}

/// Checks a sender, or a pod that a fault names.
pub(super) fn check_pod(pod: Result<PodRef, AddressError>, names: &Names<'_>, path: &FieldPath, found: &mut Findings) {
    let pod = match pod {
        Ok(pod) => pod,
        Err(error) => return found.error(path.clone(), "address", error.to_string()),
    };
    let Some(workload) = names.workloads.get(&pod.workload) else {
        return found.unknown(path.clone(), ("unknown-workload", "workload"), &pod.workload, names.workload_names());
    };
    if let Some(index) = pod.index
        && index >= workload.replicas
    {
        let message = format!(
            "`{}` has {} pods: the last is `{}/{}`",
            pod.workload,
            workload.replicas,
            pod.workload,
            workload.replicas.saturating_sub(1)
        );
        found.error(path.clone(), "unknown-pod", message);
    }
}

fn check_destination(destination: &Destination, request: &Request<'_>, names: &Names<'_>, found: &mut Findings) {
    let path = &request.to_path;
    match destination {
        Destination::Ip { .. } => {}
        Destination::Pod { pod, port } => {
            check_pod(Ok(pod.clone()), names, path, found);
            let listens = |w: &crate::scenario::model::Workload| w.ports.values().any(|p| container_port(p) == *port);
            if !request.may_fail && names.workloads.get(&pod.workload).is_some_and(|w| !listens(w)) {
                found.error(path.clone(), "unknown-port", format!("`{}` has no container port {port}", pod.workload));
            }
        }
        Destination::Host { host, port } => check_host(host, *port, request, names, found),
    }
}

fn check_host(host: &str, port: Option<u16>, request: &Request<'_>, names: &Names<'_>, found: &mut Findings) {
    let path = &request.to_path;
    let from = request.from.and_then(|from| from.parse::<PodRef>().ok()).map(|pod| pod.workload).unwrap_or_default();
    if let Some(ports) = names.outside(host) {
        if !request.may_fail && !ports.contains(&port.unwrap_or(80)) {
            found.error(path.clone(), "unknown-port", format!("`{host}` has no port {}", port.unwrap_or(80)));
        }
        return;
    }
    match names.service(host, &from) {
        Lookup::Service(Some(ports)) => {
            if let Some(port) = port
                && !ports.contains(&port)
                && !request.may_fail
            {
                let known: Vec<String> = ports.iter().map(u16::to_string).collect();
                let message = format!("`{host}` has no port {port}, only {}", known.join(", "));
                found.error(path.clone(), "unknown-port", message);
            }
        }
        Lookup::Service(None) => {}
        Lookup::Elsewhere(_) | Lookup::Unknown if request.may_fail => {}
        Lookup::Elsewhere(namespace) => {
            let message = format!("`{host}` means a service in the sender's namespace, and there is none");
            let name = host.split('.').next().unwrap_or_default();
            found.hinted(path.clone(), "unknown-service", message, format!("write `{name}.{namespace}`"));
        }
        Lookup::Unknown => {
            let name = host.split('.').next().unwrap_or_default();
            if names.workloads.contains_key(name) {
                let hint = format!("give the workload `{name}` a service: `services: [{name}]`");
                return found.hinted(path.clone(), "unknown-service", format!("there is no service `{name}`"), hint);
            }
            found.unknown(path.clone(), ("unknown-service", "service"), name, names.service_names());
        }
    }
}
