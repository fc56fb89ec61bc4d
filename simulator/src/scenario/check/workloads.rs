//! Checks of the workloads.

use std::collections::BTreeMap;

use super::{
    Findings, Names,
    names::{container_port, service_port},
};
use crate::scenario::{
    model::{Credentials, Port, Respond, Scenario, Workload},
    tree::FieldPath,
};

const PROTOCOLS: [&str; 5] = ["http", "http2", "grpc", "tcp", "tcp-server-first"];

pub(super) fn check(scenario: &Scenario, names: &Names<'_>, found: &mut Findings) {
    let root = FieldPath::default().key("workloads");
    if scenario.workloads.is_empty() {
        found.error(root.clone(), "empty", "there are no workloads, so there is no traffic");
    }
    for (name, workload) in &scenario.workloads {
        let path = root.key(name);
        check_name(name, "workload", &path, found);
        check_one(workload, &path, found);
    }
    for (resource, reason) in &names.broken {
        let path = FieldPath::default().key("resources").key(*resource);
        found.error(path, "manifest", format!("the manifest is no YAML: {reason}"));
    }
}

fn check_one(workload: &Workload, path: &FieldPath, found: &mut Findings) {
    if !(1..=50).contains(&workload.replicas) {
        found.error(path.key("replicas"), "range", format!("{} pods: 1 to 50 are possible", workload.replicas));
    }
    for (field, value) in
        [("namespace", &workload.namespace), ("account", &workload.account), ("subdomain", &workload.subdomain)]
    {
        if let Some(value) = value {
            check_name(value, field, &path.key(field), found);
        }
    }
    for (index, service) in workload.services.iter().enumerate() {
        check_name(service, "service", &path.key("services").index(index), found);
        if workload.services[..index].contains(service) {
            found.error(path.key("services").index(index), "repeated-name", format!("`{service}` is listed twice"));
        }
    }
    if !workload.services.is_empty() && workload.ports.is_empty() {
        found.hinted(
            path.key("services"),
            "no-port",
            "a service without ports cannot be reached",
            "give the workload `ports`, for example `ports: {http: 8080}`",
        );
    }
    if workload.outside.is_some() && !workload.services.is_empty() {
        let message = "nothing outside of the cluster belongs to a service: give it `hosts`, or leave `outside` out";
        found.error(path.key("services"), "contradiction", message);
    }
    check_ports(&workload.ports, workload.outside.is_some(), &path.key("ports"), found);
    respond(&workload.respond, &path.key("respond"), found);
    if let Some(presents) = &workload.presents {
        credentials(presents, &path.key("presents"), found);
        if workload.mesh {
            let message = "an impostor has no sidecar that could serve the right certificate";
            found.hinted(path.key("presents"), "contradiction", message, "add `mesh: false`");
        }
    }
}

fn check_ports(ports: &BTreeMap<String, Port>, outside: bool, path: &FieldPath, found: &mut Findings) {
    let mut services: BTreeMap<u16, &str> = BTreeMap::new();
    let mut containers: BTreeMap<u16, &str> = BTreeMap::new();
    for (name, port) in ports {
        let path = path.key(name);
        check_name(name, "port", &path, found);
        for (number, taken, what) in
            [(service_port(port), &mut services, "port"), (container_port(port), &mut containers, "container port")]
        {
            if number == 0 {
                found.error(path.clone(), "range", "a port is a number from 1 to 65535");
            } else if let Some(other) = taken.insert(number, name) {
                found.error(path.clone(), "port-taken", format!("{what} {number} is taken by `{other}`"));
            }
        }
        if let Port::Full(full) = port
            && let Some(protocol) = &full.app_protocol
            && !PROTOCOLS.contains(&protocol.as_str())
            && !(outside && protocol == "https")
        {
            let path = path.key("appProtocol");
            found.unknown(path, ("unknown-protocol", "protocol"), protocol, PROTOCOLS.iter().copied());
        }
    }
}

pub(super) fn respond(respond: &Respond, path: &FieldPath, found: &mut Findings) {
    if let Some(status) = respond.status
        && !(200..=599).contains(&status)
    {
        found.error(
            path.key("status"),
            "range",
            format!("an application cannot answer with status {status}: 200 to 599"),
        );
    }
    if let Some(percent) = respond.fail_percent
        && percent > 100
    {
        found.error(path.key("failPercent"), "range", format!("{percent} % of the requests: 0 to 100 are possible"));
    }
    found.duration(respond.delay.as_ref(), path.key("delay"));
}

pub(super) fn credentials(credentials: &Credentials, path: &FieldPath, found: &mut Findings) {
    let Credentials { plaintext, anonymous, account, trust_domain, expired, foreign_ca, retired_root, sni, alpn } =
        credentials;
    let certificate = account.is_some() || trust_domain.is_some() || *expired || *foreign_ca || *retired_root;
    if *plaintext && (*anonymous || certificate || sni.is_some() || alpn.is_some()) {
        found.error(
            path.key("plaintext"),
            "contradiction",
            "without TLS there is no certificate: `plaintext` stands alone",
        );
    } else if *anonymous && certificate {
        found.error(path.key("anonymous"), "contradiction", "`anonymous` means no certificate: it stands alone");
    } else if *foreign_ca && *retired_root {
        found.error(path.key("retiredRoot"), "contradiction", "one authority signs: `foreignCa` or `retiredRoot`");
    }
}

/// A Kubernetes DNS label.
pub(super) fn check_name(name: &str, what: &str, path: &FieldPath, found: &mut Findings) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > 63 || ends || !name.chars().all(fits) {
        let message = format!("Kubernetes does not take `{name}` as a {what} name: a-z, 0-9 and inner `-`, at most 63");
        found.error(path.clone(), "name", message);
    }
}
