//! Finds what is defined and then not used.

use std::collections::BTreeSet;

use super::{Findings, Names};
use crate::scenario::{
    address::{Destination, PodRef},
    model::{Expect, Fault, Manifest, Scenario, Step, Until},
    tree::FieldPath,
};

pub(super) fn check(scenario: &Scenario, names: &Names<'_>, found: &mut Findings) {
    let mut used = Used::default();
    used.steps(&scenario.steps);
    for check in &scenario.always {
        used.address(&check.traffic.from, &check.traffic.to);
        used.expect(&check.expect);
    }
    for name in names.resources.iter().filter(|name| !used.applied.contains(*name)) {
        let path = FieldPath::default().key("resources").key(*name);
        found.warning(path, "unused-resource", format!("no step applies `{name}`"));
    }
    let manifests: Vec<&str> = scenario
        .resources
        .values()
        .filter_map(|manifest| match manifest {
            Manifest::Inline(text) => Some(text.as_str()),
            Manifest::File(_) => None,
        })
        .collect();
    for (name, workload) in names.workloads {
        let account = workload.account.iter();
        let mut words = std::iter::once(name).chain(&workload.services).chain(account).map(String::as_str);
        if !words.any(|word| used.words.contains(word) || manifests.iter().any(|text| mentions(text, word))) {
            let path = FieldPath::default().key("workloads").key(name);
            found.warning(path, "unused-workload", format!("nothing mentions `{name}`, its services or its account"));
        }
    }
}

/// Whether a text contains the word as a whole.
fn mentions(text: &str, word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(inner) && !text[at + word.len()..].starts_with(inner))
}

/// The names that occur in steps.
#[derive(Default)]
struct Used<'a> {
    applied: BTreeSet<&'a str>,
    words: BTreeSet<String>,
}

impl<'a> Used<'a> {
    fn steps(&mut self, steps: &'a [Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &'a Step) {
        self.applied.extend(step.apply.iter().flatten().map(String::as_str));
        let controls = step.control.iter();
        let readings = step.reading.iter();
        let asked = readings.clone().map(|reading| &reading.traffic);
        for traffic in step.traffic.iter().chain(asked).chain(controls.clone().filter_map(|c| c.traffic.as_ref())) {
            self.address(&traffic.from, &traffic.to);
            self.address("", traffic.host.as_deref().unwrap_or_default());
        }
        let answers = readings.flat_map(|reading| reading.readings.values());
        for expect in step.expect.iter().chain(answers).chain(controls.filter_map(|c| c.expect.as_ref())) {
            self.expect(expect);
        }
        if let Some(probes) = &step.probes {
            self.address(probes.from.as_deref().unwrap_or_default(), probes.to.as_deref().unwrap_or_default());
            for row in &probes.rows {
                self.address(row.from.as_deref().unwrap_or_default(), row.to.as_deref().unwrap_or_default());
                self.address("", row.host.as_deref().unwrap_or_default());
                self.expect(&row.expect);
            }
        }
        if let Some(Until::Rejected(workload)) = step.wait.as_ref().map(|wait| &wait.until) {
            self.words.insert(workload.clone());
        }
        if let Some(fault) = &step.fault {
            self.fault(fault);
        }
        for pods in step.logged.iter().map(|logged| &logged.by).chain(step.metrics.iter().map(|metrics| &metrics.of)) {
            self.words.extend(pods.parse::<PodRef>().map(|pod| pod.workload));
        }
        if let Some(wanted) = &step.traffic_metrics {
            let rows = wanted.rows.iter().chain(&wanted.absent);
            let named = rows.flat_map(|row| row.name.iter().chain(&row.peer).chain(&row.backend)).chain(&wanted.name);
            self.words.extend(named.filter_map(|name| name.parse::<PodRef>().ok()).map(|pod| pod.workload));
        }
        for branch in step.parallel.iter().flatten() {
            self.steps(branch);
        }
        if let Some(repeat) = &step.repeat {
            self.steps(&repeat.steps);
        }
    }

    fn address(&mut self, from: &str, to: &str) {
        self.words.extend(from.parse::<PodRef>().map(|pod| pod.workload));
        match to.parse() {
            Ok(Destination::Host { host, .. }) => {
                let first = host.split('.').next().unwrap_or_default();
                self.words.insert(first.to_owned());
                // A pod's own name: `web-0` of `web`.
                self.words.extend(first.rsplit_once('-').map(|(workload, _)| workload.to_owned()));
            }
            Ok(Destination::Pod { pod, .. }) => {
                self.words.insert(pod.workload);
            }
            Ok(Destination::Ip { .. }) | Err(_) => {}
        }
    }

    fn expect(&mut self, expect: &Expect) {
        self.words.extend(expect.backend.iter().chain(&expect.reaches).cloned());
        self.words.extend(expect.split.iter().flat_map(|split| split.shares.keys().cloned()));
    }

    fn fault(&mut self, fault: &Fault) {
        let workload = match fault {
            Fault::ControlPlane(_) | Fault::RotateCertificates(_) | Fault::AdvanceClock(_) => return,
            Fault::RestartProxy(w) | Fault::Remove(w) | Fault::Poison(w) | Fault::Unpoison(w) => w,
            Fault::Ready(ready) => &ready.workload,
            Fault::Respond(change) => &change.workload,
        };
        self.words.extend(workload.parse::<PodRef>().map(|pod| pod.workload));
    }
}
