//! Scenarios in Rust: for tests that check SMI manifests from `cargo test`.
//!
//! ```
//! use simulator::scenario::{builder::{denied, delivered, traffic, step}, check, Scenario};
//!
//! let scenario = Scenario::new("access.bookbuyer")
//!     .title("only the bookbuyer reads books")
//!     .workload("bookbuyer", |w| w)
//!     .workload("bookthief", |w| w)
//!     .workload("bookstore", |w| w.service("bookstore").port("http", 8080))
//!     .manifest("allow", "kind: TrafficTarget\n# … or include_str!(\"allow.yaml\")")
//!     .step(step().apply(["allow"]))
//!     .step(step().traffic(traffic("bookbuyer", "bookstore").get("/books"), delivered().status(200)))
//!     .step(step().traffic(traffic("bookthief", "bookstore").get("/books"), denied()));
//! assert!(check::scenario(&scenario).is_empty());
//! ```
//!
//! [`Scenario::verify`] runs it.
//!
//! The result is the same [`Scenario`] that a file gives; every field is public, so what has no method here can be set directly.

use std::collections::BTreeMap;

use super::model::{
    Auto, Because, Check, Connections, Count, Credentials, Denied, DeniedDetail, Expect, Fault, Format, Manifest, Mesh,
    Port, Probe, Probes, Proto, Scenario, Shape, Split, Step, Traffic, Until, Wait, Workload,
};

impl Scenario {
    /// An empty scenario. Its title is its id until [`Scenario::title`] says otherwise.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            scenario: Format::SmiV1,
            title: id.clone(),
            id,
            about: None,
            clauses: Vec::new(),
            tags: Vec::new(),
            kills: Vec::new(),
            requires: Vec::new(),
            matrix: BTreeMap::new(),
            vars: BTreeMap::new(),
            mesh: Mesh::default(),
            real_only: false,
            workloads: BTreeMap::new(),
            extensions: BTreeMap::new(),
            resources: BTreeMap::new(),
            collectors: Vec::new(),
            steps: Vec::new(),
            always: Vec::new(),
        }
    }

    /// What holds if the scenario passes.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Starts in permissive mode.
    #[must_use]
    pub fn permissive(mut self) -> Self {
        self.mesh.permissive = true;
        self
    }

    /// Adds a workload: one pod with a sidecar unless the closure changes that.
    #[must_use]
    pub fn workload(mut self, name: impl Into<String>, build: impl FnOnce(Workload) -> Workload) -> Self {
        self.workloads.insert(name.into(), build(Workload::default()));
        self
    }

    /// Adds manifests as YAML text, under a name that steps use.
    #[must_use]
    pub fn manifest(mut self, name: impl Into<String>, yaml: impl Into<String>) -> Self {
        self.resources.insert(name.into(), Manifest::Inline(yaml.into()));
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds a check that must hold at the start and after every step.
    #[must_use]
    pub fn always(mut self, traffic: Traffic, expect: Expect) -> Self {
        self.always.push(Check { traffic, expect });
        self
    }

    /// The scenario as a file.
    ///
    /// # Errors
    /// None is known; serde's interface has one.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        serde_saphyr::to_string(self)
    }
}

impl Workload {
    /// Adds a service that selects it.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.services.push(name.into());
        self
    }

    /// Adds a port, the same for service and container.
    #[must_use]
    pub fn port(mut self, name: impl Into<String>, port: u16) -> Self {
        self.ports.insert(name.into(), Port::Number(port));
        self
    }

    /// Sets the namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the service account.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the number of pods, 1–50.
    #[must_use]
    pub fn replicas(mut self, replicas: u16) -> Self {
        self.replicas = replicas;
        self
    }

    /// Takes the sidecar away.
    #[must_use]
    pub fn outside_mesh(mut self) -> Self {
        self.mesh = false;
        self
    }
}

/// A step without a verb: give it exactly one.
#[must_use]
pub fn step() -> Step {
    Step::default()
}

impl Step {
    /// Names the step.
    #[must_use]
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Applies resources and waits until every sidecar has the result.
    #[must_use]
    pub fn apply<S: Into<String>>(mut self, resources: impl IntoIterator<Item = S>) -> Self {
        self.apply = Some(resources.into_iter().map(Into::into).collect());
        self
    }

    /// Deletes resources and waits until every sidecar has the result.
    #[must_use]
    pub fn delete<S: Into<String>>(mut self, resources: impl IntoIterator<Item = S>) -> Self {
        self.delete = Some(resources.into_iter().map(Into::into).collect());
        self
    }

    /// With `apply`: demands a diagnostic of this code.
    #[must_use]
    pub fn diagnostic(mut self, code: impl Into<String>) -> Self {
        self.diagnostic = Some(code.into());
        self
    }

    /// Sends traffic and judges it.
    #[must_use]
    pub fn traffic(mut self, traffic: Traffic, expect: Expect) -> Self {
        (self.traffic, self.expect) = (Some(traffic), Some(expect));
        self
    }

    /// Sends single requests, each with its own expectation.
    #[must_use]
    pub fn probes(mut self, rows: impl IntoIterator<Item = (Traffic, Expect)>) -> Self {
        let rows = rows.into_iter().map(|(traffic, expect)| probe(traffic, expect)).collect();
        self.probes = Some(Probes { from: None, to: None, proto: None, rows });
        self
    }

    /// Waits, 10 s at most.
    #[must_use]
    pub fn wait(mut self, until: Until) -> Self {
        self.wait = Some(Wait { until, within: None });
        self
    }

    /// Breaks or changes something.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Runs branches side by side.
    #[must_use]
    pub fn parallel(mut self, branches: impl IntoIterator<Item = Vec<Self>>) -> Self {
        self.parallel = Some(branches.into_iter().collect());
        self
    }
}

fn probe(traffic: Traffic, expect: Expect) -> Probe {
    let Traffic { from, to, host, method, path, headers, proto, tls, present, .. } = traffic;
    Probe {
        from: Some(from),
        to: Some(to),
        host,
        method,
        path,
        headers,
        proto: Some(proto),
        tls,
        present,
        expect,
        ..Probe::default()
    }
}

/// One HTTP/1.1 `GET /` from a workload to a service.
#[must_use]
pub fn traffic(from: impl Into<String>, to: impl Into<String>) -> Traffic {
    Traffic { from: from.into(), to: to.into(), ..Traffic::default() }
}

impl Traffic {
    /// GETs this path.
    #[must_use]
    pub fn get(self, path: impl Into<String>) -> Self {
        self.request("GET", path)
    }

    /// Sets method and path.
    #[must_use]
    pub fn request(mut self, method: impl Into<String>, path: impl Into<String>) -> Self {
        (self.method, self.path) = (Some(method.into()), Some(path.into()));
        self
    }

    /// Adds a request header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Speaks another protocol.
    #[must_use]
    pub fn proto(mut self, proto: Proto) -> Self {
        self.proto = proto;
        self
    }

    /// Shares connections between requests.
    #[must_use]
    pub fn keep_alive(mut self) -> Self {
        self.conn = Connections::KeepAlive;
        self
    }

    /// Sends so many requests.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.n = Some(Count::Exactly(n));
        self
    }

    /// Sends as many requests as the expectation needs.
    #[must_use]
    pub fn auto(mut self) -> Self {
        self.n = Some(Count::Auto(Auto::Auto));
        self
    }

    /// Dials the receiver's pod past the sender's sidecar.
    #[must_use]
    pub fn present(mut self, credentials: Credentials) -> Self {
        self.present = Some(credentials);
        self
    }
}

/// Every request reaches an application and is answered.
#[must_use]
pub fn delivered() -> Expect {
    Expect { allowed: Some(true), ..Expect::default() }
}

/// No request reaches any application.
#[must_use]
pub fn denied() -> Expect {
    Expect { denied: Some(Denied::Plain(true)), ..Expect::default() }
}

/// No request reaches any application, it looks like one of these shapes (any if none is given), and this is why.
#[must_use]
pub fn denied_because(because: Because, shapes: impl IntoIterator<Item = Shape>) -> Expect {
    let detail = DeniedDetail { shapes: shapes.into_iter().collect(), because: Some(because) };
    Expect { denied: Some(Denied::Detailed(detail)), ..Expect::default() }
}

/// Every request ends as the evaluator predicts, whatever that is.
#[must_use]
pub fn predicted() -> Expect {
    Expect { predicted: true, ..Expect::default() }
}

/// The requests are shared by these weights; use with [`Traffic::auto`].
#[must_use]
pub fn shares<S: Into<String>>(weights: impl IntoIterator<Item = (S, u64)>) -> Expect {
    let shares = weights.into_iter().map(|(workload, weight)| (workload.into(), weight)).collect();
    Expect { split: Some(Split { shares, ..Split::default() }), ..Expect::default() }
}

impl Expect {
    /// Every answer has this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Every delivered request was seen by one of these workloads.
    #[must_use]
    pub fn backend<S: Into<String>>(mut self, workloads: impl IntoIterator<Item = S>) -> Self {
        self.backend = workloads.into_iter().map(Into::into).collect();
        self
    }

    /// The server saw this identity (`account` or `namespace/account`).
    #[must_use]
    pub fn peer(mut self, identity: impl Into<String>) -> Self {
        self.peer = Some(identity.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{expand::expand, read::text_named},
        *,
    };

    #[test]
    fn a_written_scenario_reads_back_the_same() {
        let scenario = Scenario::new("split.half")
            .title("half: and \"half\"")
            .permissive()
            .workload("client", Workload::outside_mesh)
            .workload("web-v1", |w| w.service("web").port("http", 8080).replicas(3).namespace("shop"))
            .manifest("split", "kind: TrafficSplit\nspec:\n  service: web\n")
            .step(step().apply(["split"]).diagnostic("some-code"))
            .step(step().named("t").traffic(traffic("client", "web.shop").auto().keep_alive(), shares([("web-v1", 1)])))
            .step(step().wait(Until::Rejected("web-v1".into())))
            .step(step().wait(Until::Converged))
            .step(step().fault(Fault::AdvanceClock("20h".into())))
            .step(step().probes([(
                traffic("client", "web.shop").header("x", "1").proto(Proto::Grpc),
                denied_because(Because::NoRoute, [Shape::Http404]),
            )]))
            .always(traffic("client", "web.shop").times(3), denied());
        let yaml = scenario.to_yaml().unwrap();
        let document = text_named("x.yaml", &yaml).unwrap_or_else(|problem| panic!("{problem}\n{yaml}"));
        let read = expand(&document).unwrap_or_else(|problems| panic!("{problems:?}\n{yaml}"));
        assert_eq!(read[0].scenario, scenario, "{yaml}");
    }

    #[test]
    fn omitted_fields_of_a_workload_have_their_defaults() {
        let workload: Workload = serde_json::from_str("{}").unwrap();
        assert_eq!(workload, Workload::default());
        assert!(workload.mesh);
        assert_eq!(workload.replicas, 1);
        assert_eq!(serde_json::to_string(&workload).unwrap(), "{}");
    }
}
