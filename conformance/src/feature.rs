//! What a mesh can claim, and what a scenario needs.

use std::{collections::BTreeSet, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use simulator::scenario::model::{Expect, Fault, Manifest, Proto, Scenario, Step, Traffic};

use crate::catalogue::embedded;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| embedded("features.yaml", include_str!("../features.yaml")));

/// Features and profiles. They are written in `conformance/features.yaml` and embedded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Every feature.
    pub features: Vec<Feature>,
    /// Every profile.
    pub profiles: Vec<Profile>,
}

/// Something that a mesh can claim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// Its name, in PascalCase.
    pub name: String,
    /// What it means, in a sentence.
    pub text: String,
}

/// Features that belong together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name, in capitals.
    pub name: String,
    /// The core feature that every test of the profile needs: a test of something else says nothing about the profile.
    pub about: String,
    /// What every mesh of the profile must have.
    pub core: BTreeSet<String>,
    /// What it may have.
    pub extended: BTreeSet<String>,
}

/// The catalogue.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

impl Profile {
    /// Whether a test that needs these features is about this profile: it needs nothing else.
    #[must_use]
    pub fn covers(&self, features: &BTreeSet<String>) -> bool {
        features.iter().all(|feature| self.core.contains(feature) || self.extended.contains(feature))
    }

    /// Whether it needs something that is beyond the profile's core.
    #[must_use]
    pub fn is_extended(&self, features: &BTreeSet<String>) -> bool {
        !features.is_subset(&self.core)
    }
}

/// What a mesh must claim for the scenario to say anything about it: what the scenario names, and what it shows by itself.
#[must_use]
pub fn needed(scenario: &Scenario) -> BTreeSet<String> {
    let mut needed = Needed::default();
    needed.names.extend(scenario.requires.iter().cloned());
    needed.add(if scenario.mesh.permissive { "AllowAll" } else { "TrafficTarget" });
    if scenario.workloads.values().any(|workload| !workload.mesh) {
        needed.add("Unmeshed");
    }
    for manifest in scenario.resources.values() {
        if let Manifest::Inline(text) = manifest {
            needed.manifest(text);
        }
    }
    needed.steps(&scenario.steps);
    for check in &scenario.always {
        needed.traffic(&check.traffic);
        needed.expect(&check.expect);
    }
    needed.names
}

/// The SMI APIs that the scenario's manifests use: group and version.
#[must_use]
pub fn versions(scenario: &Scenario) -> BTreeSet<(String, String)> {
    let mut used = BTreeSet::new();
    for manifest in scenario.resources.values() {
        let Manifest::Inline(text) = manifest else { continue };
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_default();
        let versions = objects.iter().filter_map(|object| object["apiVersion"].as_str()?.split_once('/'));
        let smi = versions.filter(|(group, _)| group.ends_with(".smi-spec.io"));
        used.extend(smi.map(|(group, version)| (group.to_owned(), version.to_owned())));
    }
    used
}

#[derive(Default)]
struct Needed {
    names: BTreeSet<String>,
}

impl Needed {
    fn add(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    fn manifest(&mut self, text: &str) {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_default();
        for object in &objects {
            match object["kind"].as_str() {
                Some("TrafficTarget") => self.add("TrafficTarget"),
                Some("TCPRoute") => self.add("TcpRoutes"),
                Some("UDPRoute") => self.add("UdpRoutes"),
                Some("TrafficSplit") => self.split(object),
                Some("HTTPRouteGroup") => self.routes(object),
                _ => {}
            }
        }
    }

    fn split(&mut self, object: &Value) {
        self.add("TrafficSplit");
        if object["spec"]["matches"].as_array().is_some_and(|matches| !matches.is_empty()) {
            self.add("SplitMatches");
        }
    }

    fn routes(&mut self, object: &Value) {
        self.add("HttpRoutes");
        let matches = [&object["matches"], &object["spec"]["matches"]];
        if matches.into_iter().filter_map(Value::as_array).flatten().any(|one| one.get("headers").is_some()) {
            self.add("HttpHeaders");
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
    }

    fn step(&mut self, step: &Step) {
        let control = step.control.iter();
        let reading = step.reading.iter();
        let sent = control.clone().filter_map(|c| c.traffic.as_ref()).chain(reading.clone().map(|r| &r.traffic));
        step.traffic.iter().chain(sent).for_each(|traffic| self.traffic(traffic));
        let expected = control.filter_map(|c| c.expect.as_ref()).chain(reading.flat_map(|r| r.readings.values()));
        step.expect.iter().chain(expected).for_each(|expect| self.expect(expect));
        if let Some(probes) = &step.probes {
            for row in &probes.rows {
                self.traffic(&probes.traffic(row));
                self.expect(&row.expect);
            }
        }
        if step.traffic_metrics.is_some() {
            self.add("TrafficMetrics");
        }
        match &step.fault {
            Some(Fault::ControlPlane(_)) => self.add("ControlPlaneRestart"),
            Some(Fault::Ready(_) | Fault::Remove(_)) => self.add("Readiness"),
            _ => {}
        }
        step.parallel.iter().flatten().for_each(|branch| self.steps(branch));
        step.repeat.iter().for_each(|repeat| self.steps(&repeat.steps));
    }

    fn traffic(&mut self, traffic: &Traffic) {
        self.add(match traffic.proto {
            Proto::Http1 | Proto::Websocket => "Http1",
            Proto::Http2 => "Http2",
            Proto::Grpc | Proto::GrpcStream => "Grpc",
            Proto::Tcp => "Tcp",
            Proto::TcpServerFirst => "TcpServerFirst",
        });
        if traffic.to.starts_with("pod:") {
            self.add("PodAddress");
        }
        if traffic.present.is_some() {
            self.add("BypassSidecar");
        }
    }

    fn expect(&mut self, expect: &Expect) {
        if expect.peer.is_some() {
            self.add("PeerIdentity");
        }
    }
}

#[cfg(test)]
mod tests {
    use simulator::scenario::model::TrafficMetrics;

    use super::*;

    #[test]
    fn profiles_are_made_of_features_and_about_one_of_their_core() {
        let Catalogue { features, profiles } = catalogue();
        let names: BTreeSet<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        for Profile { name, about, core, extended } in profiles {
            assert!(core.contains(about), "{name}");
            assert!(core.is_disjoint(extended), "{name}");
            assert!(core.iter().chain(extended).all(|feature| names.contains(feature.as_str())), "{name}");
        }
    }

    #[test]
    fn who_asks_for_traffic_metrics_needs_them() {
        let text = "{scenario: smi/v1, id: a, title: a, mesh: {permissive: true}, workloads: {}, steps: []}";
        let mut scenario: Scenario = serde_saphyr::from_str(text).unwrap();
        assert_eq!(needed(&scenario), BTreeSet::from(["AllowAll".to_owned()]));
        let traffic_metrics = Some(TrafficMetrics::default());
        scenario.steps.push(Step { traffic_metrics, ..Step::default() });
        assert!(needed(&scenario).contains("TrafficMetrics"));
    }
}
