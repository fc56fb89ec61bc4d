//! What the steps of a scenario say, without what comes of them.

use simulator::scenario::model::{Probe, Probes, Proto, Step, Traffic};

/// Whether it changes what is in force.
pub(super) fn changes(step: &Step) -> bool {
    let inner = step.parallel.iter().flatten().flatten().chain(step.repeat.iter().flat_map(|repeat| &repeat.steps));
    step.apply.is_some() || step.delete.is_some() || step.fault.is_some() || inner.into_iter().any(changes)
}

/// The step of that name, wherever it stands.
pub(super) fn find<'a>(steps: &'a [Step], id: &str) -> Option<&'a Step> {
    steps.iter().find_map(|step| {
        if step.id.as_deref() == Some(id) {
            return Some(step);
        }
        let branches = step.parallel.iter().flatten().find_map(|branch| find(branch, id));
        branches.or_else(|| step.repeat.as_ref().and_then(|repeat| find(&repeat.steps, id)))
    })
}

/// One row of a table of probes as traffic.
pub(super) fn probe(probes: &Probes, row: &Probe) -> Traffic {
    let (method, path) = match (&row.get, &row.post) {
        (Some(path), _) => (Some("GET".to_owned()), Some(path.clone())),
        (None, Some(path)) => (Some("POST".to_owned()), Some(path.clone())),
        (None, None) => (row.method.clone(), row.path.clone()),
    };
    Traffic {
        from: row.from.clone().or_else(|| probes.from.clone()).unwrap_or_default(),
        to: row.to.clone().or_else(|| probes.to.clone()).unwrap_or_default(),
        host: row.host.clone(),
        method,
        path,
        headers: row.headers.clone(),
        proto: row.proto.or(probes.proto).unwrap_or_default(),
        tls: row.tls.clone(),
        present: row.present.clone(),
        ..Traffic::default()
    }
}

/// `client → web GET /books [x-user: a]`.
pub(super) fn words(traffic: &Traffic) -> String {
    let mut text = format!("{} → {}", traffic.from, traffic.to);
    if matches!(traffic.proto, Proto::Tcp | Proto::TcpServerFirst) {
        text.push_str(" TCP");
    } else {
        let method = traffic.method.as_deref().unwrap_or("GET");
        text.push_str(&format!(" {method} {}", traffic.path.as_deref().unwrap_or("/")));
    }
    traffic.headers.iter().for_each(|(name, value)| text.push_str(&format!(" [{name}: {value}]")));
    if traffic.present.is_some() {
        text.push_str(", past its sidecar");
    }
    text
}
