//! What may not stand in a scenario of the suite, because only this project's own mesh could be asked.

use simulator::scenario::model::{Credentials, Denied, Expect, Fault, Manifest, Scenario, Step, Traffic, Until};

/// API groups that every SMI mesh knows. Without a group: Kubernetes itself.
const GROUPS: [&str; 4] = ["access.smi-spec.io", "specs.smi-spec.io", "split.smi-spec.io", "v1"];

/// Everything in a scenario that is not for every mesh.
#[must_use]
pub fn violations(scenario: &Scenario) -> Vec<String> {
    let mut found = Found::default();
    found.unless(!scenario.real_only, "`realOnly`: say in `requires` what a mesh must have");
    found.unless(scenario.extensions.is_empty(), "`extensions` are beyond the specification");
    found.unless(scenario.collectors.is_empty(), "`collectors` are beyond the specification");
    found.unless(scenario.mesh.trust_domain.is_none(), "a trust domain is the mesh's own affair");
    found.unless(!scenario.clauses.is_empty(), "it names no clause");
    for workload in scenario.workloads.values() {
        found.unless(workload.outside.is_none(), "workloads outside of the cluster are beyond the specification");
        found.unless(workload.presents.is_none(), "impostors need the mesh's own certificates");
    }
    for manifest in scenario.resources.values() {
        found.manifest(manifest);
    }
    found.steps(&scenario.steps);
    for check in &scenario.always {
        found.traffic(&check.traffic);
        found.expect(&check.expect);
    }
    found.list
}

#[derive(Default)]
struct Found {
    list: Vec<String>,
}

impl Found {
    fn unless(&mut self, fine: bool, what: &str) {
        if !fine {
            self.list.push(what.to_owned());
        }
    }

    fn manifest(&mut self, manifest: &Manifest) {
        let Manifest::Inline(text) = manifest else {
            return self.list.push("manifests stand in the file itself".into());
        };
        let versions = text.lines().filter_map(|line| {
            let line = line.trim_start().trim_start_matches("- ").trim_start_matches('{');
            line.strip_prefix("apiVersion:").map(|rest| rest.split(',').next().unwrap_or(rest))
        });
        for version in versions {
            let version = version.trim().trim_matches(['"', '\'']);
            let group = version.split('/').next().unwrap_or(version);
            self.unless(GROUPS.contains(&group), &format!("{version} is no API of the specification"));
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        self.unless(step.diagnostic.is_none(), "`diagnostic`: codes are our own; use `mayRefuse`");
        self.unless(step.collected.is_none() && step.logged.is_none(), "logs and spans are beyond the specification");
        self.unless(step.metrics.is_none(), "`metrics` are Envoy's own");
        let rejected = step.wait.as_ref().is_some_and(|wait| matches!(wait.until, Until::Rejected(_)));
        self.unless(!rejected, "a proxy that refuses its configuration is our own affair");
        if let Some(fault) = &step.fault {
            let portable =
                matches!(fault, Fault::Ready(_) | Fault::Remove(_) | Fault::Respond(_) | Fault::ControlPlane(_));
            self.unless(portable, "of faults only ready, remove, respond and controlPlane mean the same everywhere");
        }
        let controls = step.control.iter();
        let readings = step.reading.iter();
        let sent = controls.clone().filter_map(|c| c.traffic.as_ref()).chain(readings.clone().map(|r| &r.traffic));
        step.traffic.iter().chain(sent).for_each(|traffic| self.traffic(traffic));
        let expected = controls.filter_map(|c| c.expect.as_ref()).chain(readings.flat_map(|r| r.readings.values()));
        step.expect.iter().chain(expected).for_each(|expect| self.expect(expect));
        for row in step.probes.iter().flat_map(|probes| &probes.rows) {
            self.credentials(row.present.as_ref());
            self.expect(&row.expect);
        }
        step.parallel.iter().flatten().for_each(|branch| self.steps(branch));
        step.repeat.iter().for_each(|repeat| self.steps(&repeat.steps));
    }

    fn traffic(&mut self, traffic: &Traffic) {
        self.credentials(traffic.present.as_ref());
        self.unless(traffic.tls.is_none(), "TLS of applications is beyond the specification");
    }

    fn credentials(&mut self, credentials: Option<&Credentials>) {
        let plain = Credentials { plaintext: true, ..Credentials::default() };
        let fine = credentials.is_none_or(|given| *given == plain);
        self.unless(fine, "`present`: only plaintext is the same for every mesh");
    }

    fn expect(&mut self, expect: &Expect) {
        let plain = !matches!(expect.denied, Some(Denied::Detailed(_)));
        self.unless(plain, "how and why traffic is denied differs from mesh to mesh: `denied: true`");
        self.unless(!expect.predicted, "`predicted` asks our own evaluator");
    }
}
