use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use mesh::{
    api::{Manifest, parse},
    model::{Methods, ObjectRef, RoutePorts, ServiceAccount, Subject, TargetPort, Workload},
    world::Object,
};

use super::*;

/// What was written before; `NOW` changes some of it, and lacks some.
const BEFORE: &str = r"
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: web}
spec: {service: web, backends: [{service: v1, weight: 1}]}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: old}
spec: {service: v2, backends: [{service: v1, weight: 1}], matches: [{kind: HTTPRouteGroup, name: old}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: old}
spec: {matches: [{name: old, pathRegex: /old}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: odd}
spec: {matches: [{name: odd, pathRegex: /was}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: some}
spec: {matches: {ports: [7000]}}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: client}
spec:
  destination: {kind: ServiceAccount, name: web}
  sources: [{kind: ServiceAccount, name: before}]
  rules: [{kind: TCPRoute, name: some}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: old}
spec:
  destination: {kind: ServiceAccount, name: web}
  sources: [{kind: ServiceAccount, name: before}]
  rules: [{kind: HTTPRouteGroup, name: old}]
";

const NOW: &str = r"
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: web}
spec:
  service: web
  backends: [{service: v1, weight: 70}, {service: v2, weight: 20}, {service: v0, weight: 0}]
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: shop}
spec:
  service: shop
  backends: [{service: web, weight: 3}, {service: gone, weight: 1}]
  matches: [{kind: HTTPRouteGroup, name: paths}, {kind: HTTPRouteGroup, name: odd}]
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: paths}
spec:
  matches:
  - {name: books, pathRegex: '/books/\d+', methods: [GET, POST], headers: [{x-a: '1.'}, {x-b: b}]}
  - {name: cart, pathRegex: /cart, methods: [GET]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: odd}
spec:
  matches:
  - {name: odd, pathRegex: '[', methods: ['*']}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: loose, namespace: far}
spec: {matches: [{name: loose, pathRegex: /loose}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: {name: odd, namespace: far}
spec: {matches: [{name: far, pathRegex: /far}]}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: some}
spec: {matches: {ports: [9001, 9000]}}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: all}
spec: {matches: {ports: []}}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: client}
spec:
  destination: {kind: ServiceAccount, name: web}
  sources: [{kind: ServiceAccount, name: client}, {kind: ServiceAccount, name: web, namespace: far}]
  rules: [{kind: HTTPRouteGroup, name: paths, matches: [books, cart]}, {kind: HTTPRouteGroup, name: odd}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: tcp}
spec:
  destination: {kind: ServiceAccount, name: web}
  sources: [{kind: ServiceAccount, name: client}]
  rules: [{kind: TCPRoute, name: some}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: astray}
spec:
  destination: {kind: ServiceAccount, name: v1}
  sources: [{kind: ServiceAccount, name: client}]
  rules: [{kind: HTTPRouteGroup, name: nowhere}]
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: bare}
spec: {destination: {kind: ServiceAccount, name: v2}, sources: [], rules: []}
";

/// Name, label, ports each with its target.
type Described = (&'static str, &'static str, &'static [(u16, u16)]);
const SERVICES: [Described; 5] = [
    ("web", "web", &[(80, 8080), (81, 8081)]),
    ("shop", "web", &[(80, 8080)]),
    ("v0", "v0", &[(80, 8080), (81, 8081)]),
    ("v1", "v1", &[(80, 9090), (81, 9091)]),
    ("v2", "v2", &[(80, 8080)]),
];

fn known(manifests: &str) -> Known {
    let objects = parse(manifests, "test.yaml", "default").unwrap().into_iter().map(|manifest| match manifest {
        Manifest::Object(object) => object,
        other => panic!("{other:?}"),
    });
    let mut objects: Vec<Object> = objects.collect();
    let pods = [
        ("default", "web", "web"),
        ("default", "beta", "web"),
        ("default", "v0", "v0"),
        ("default", "v1", "v1"),
        ("default", "v2", "v2"),
        ("default", "client", "client"),
        ("far", "web", "web"),
    ];
    for (i, (namespace, name, app)) in pods.into_iter().enumerate() {
        objects.push(Object::Workload(Workload {
            name: ObjectName::new(namespace, name),
            account: ServiceAccount::new(namespace, if name == "v0" { "v1" } else { name }),
            labels: BTreeMap::from([("app".into(), app.into())]),
            address: std::net::IpAddr::from([10, 0, 0, i as u8]),
            named_ports: BTreeMap::new(),
            ready: true,
            hostname: None,
            subdomain: None,
        }));
    }
    let port = |(port, target): &(u16, u16)| mesh::model::ServicePort {
        name: None,
        port: *port,
        target: TargetPort::Number(*target),
        protocol: mesh::model::Protocol::Http,
    };
    let service = |namespace: &str, (name, app, ports): Described| mesh::model::Service {
        name: ObjectName::new(namespace, name),
        cluster_ip: None,
        selector: BTreeMap::from([("app".into(), app.into())]),
        ports: ports.iter().map(port).collect(),
    };
    objects.extend(SERVICES.map(|one| Object::Service(service("default", one))));
    objects.push(Object::Service(service("far", SERVICES[0])));
    let written = objects.iter().zip(1..).map(|(object, n)| (object.reference(), n)).collect();
    let objects = objects.into_iter().map(|object| (object.reference(), object)).collect();
    Known { settings: Default::default(), objects, written }
}

fn words(object: &Object) -> String {
    let join = |parts: Vec<String>| parts.join(" ");
    match object {
        Object::TrafficSplit(split) => {
            let shares = split.backends.iter().map(|b| format!("{} {}", b.weight, b.service)).collect();
            format!("split {} of {}: {}; matches {:?}", split.name, split.service, join(shares), split.matches)
        }
        Object::TrafficTarget(target) => {
            let subject = |s: &Subject| s.account(&target.name.namespace).unwrap().to_string();
            let sources = target.sources.iter().map(subject).collect();
            let rules = target.rules.iter().map(|rule| format!("{} {:?}", rule.name, rule.matches)).collect();
            let destination = subject(&target.destination);
            format!("target {}: {} -> {destination}: {}", target.name, join(sources), join(rules))
        }
        Object::HttpRouteGroup(group) => {
            let matches = group.matches.iter().map(|m| {
                let methods = match &m.methods {
                    Methods::Any => "*".to_owned(),
                    Methods::Only(methods) => methods.iter().map(|m| &**m).collect::<Vec<_>>().join("/"),
                };
                let headers: Vec<_> = m.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("({} {methods} {} {})", m.name, m.path.as_deref().unwrap_or("-"), headers.join(" "))
            });
            format!("group {}: {}", group.name, join(matches.collect()))
        }
        Object::TcpRoute(route) => match &route.ports {
            RoutePorts::All => format!("tcp {}: all", route.name),
            RoutePorts::Only(ports) => format!("tcp {}: {ports:?}", route.name),
        },
        Object::Service(service) => {
            let ports = service.ports.iter().map(|port| match &port.target {
                TargetPort::Number(target) => format!("{}>{target}", port.port),
                TargetPort::Name(name) => name.to_string(),
            });
            format!("service {} ({}): {}", service.name, &service.selector["app"], join(ports.collect()))
        }
        other => format!("{other:?}"),
    }
}

/// What the control plane believes that is not so, and what it does not believe.
fn wrong(mutant: &Mutant) -> String {
    let (before, truth) = (known(BEFORE), known(NOW));
    let gone = before.objects.iter().filter(|(name, _)| !truth.objects.contains_key(*name));
    let past = match mutant.name.starts_with("restart") {
        true => Past {
            missed: gone.map(|(name, object)| (name.clone(), object.clone())).collect(),
            restarted: Some(truth.written[&reference("TrafficTarget", "astray")]),
            ..Past::default()
        },
        false => Past { believed: before.objects.clone(), ..Past::default() },
    };
    let believed = mutant.believe(truth.clone(), &past);
    let lines = |known: &Known| -> BTreeSet<String> { known.objects.values().map(words).collect() };
    let (was, is) = (lines(&truth), lines(&believed));
    let mut text = String::new();
    if believed.settings.permissive {
        text.push_str("  everybody may call everybody\n");
    }
    was.difference(&is).for_each(|line| writeln!(text, "  - {line}").unwrap());
    is.difference(&was).for_each(|line| writeln!(text, "  + {line}").unwrap());
    text
}

fn reference(kind: &str, name: &str) -> ObjectRef {
    known(NOW).objects.into_keys().find(|r| r.kind.as_str() == kind && *r.name.name == *name).unwrap()
}

#[test]
fn names_are_unique_and_each_says_what_is_wrong() {
    let names: BTreeSet<_> = mutants().iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), mutants().len());
    assert_eq!(names.len(), 65);
    for mutant in mutants() {
        assert!(mutant.text.ends_with('.') && mutant.text.len() > 20, "{mutant:?}");
    }
    assert!(mutant("split-ignored").is_some() && mutant("split-ignore").is_none());
}

#[test]
fn each_believes_what_its_name_says_and_nothing_else() {
    let mut text = String::new();
    for mutant in mutants().iter().filter(|mutant| matches!(mutant.fault, Fault::Believe(_))) {
        writeln!(text, "{}", mutant.name).unwrap();
        text.push_str(&wrong(mutant));
    }
    insta::assert_snapshot!(text);
}

/// What the sidecars get wrong, told as what comes of it: each scenario holds on the broken mesh, and not on ours.
#[tokio::test]
async fn sidecars_do_what_the_name_says() {
    const WORLD: &str = r"
scenario: smi/v1
id: wrong
title: Wrong.
workloads:
  client: {}
  other: {}
  naked: {mesh: false}
  web: {ports: {http: 8080, tcp: 9000}, services: [web]}
  v1: {ports: {http: 8080}, services: [v1]}
  v2: {ports: {http: 8080}, services: [v2]}
resources:
  routes: |
    apiVersion: specs.smi-spec.io/v1alpha4
    kind: HTTPRouteGroup
    metadata: {name: routes}
    spec: {matches: [{name: a, pathRegex: /a}]}
  split: |
    apiVersion: split.smi-spec.io/v1alpha4
    kind: TrafficSplit
    metadata: {name: web}
    spec:
      service: web
      matches: [{kind: HTTPRouteGroup, name: routes}]
      backends: [{service: v1, weight: 9}, {service: v2, weight: 1}]
  allow: |
    apiVersion: access.smi-spec.io/v1alpha3
    kind: TrafficTarget
    metadata: {name: allow}
    spec:
      destination: {kind: ServiceAccount, name: web}
      sources: [{kind: ServiceAccount, name: client}]
      rules: [{kind: HTTPRouteGroup, name: routes}]
  star: |
    apiVersion: specs.smi-spec.io/v1alpha4
    kind: HTTPRouteGroup
    metadata: {name: routes}
    spec: {matches: [{name: a, pathRegex: /a, methods: ['*']}, {name: b, pathRegex: /b}]}
";
    const SPLIT: &str = "
mesh: {permissive: true}
steps:
- apply: [routes, split]
- traffic: {from: client, to: web, path: /a, n: auto}
  expect: {split: {shares: {v1: 9, v2: 1}}}
- traffic: {from: client, to: v1}
  expect: {reaches: [v1]}
- traffic: {from: client, to: web, path: /b, n: auto}
";
    let split = |expect: &str| format!("{SPLIT}  expect: {expect}");
    let access =
        |resources: &str, rows: &str| format!("\nsteps:\n- apply: [{resources}]\n- probes: {{rows: [{rows}]}}");
    let plaintext = "{from: naked, to: web, get: /b, expect: {allowed: true}},
      {from: naked, to: 'web:9000', proto: tcp, expect: {allowed: true}},
      {from: client, to: web, get: /a, expect: {allowed: true}},
      {from: client, to: web, get: /b, expect: {denied: true}}, {from: other, to: web, get: /a, expect: {denied: true}}";
    let client_side = "{from: client, to: web, get: /b, expect: {allowed: true}},
      {from: client, to: 'web:9000', proto: tcp, expect: {denied: true}},
      {from: other, to: web, get: /a, expect: {denied: true}}, {from: naked, to: web, get: /a, expect: {denied: true}}";
    let star = "{from: client, to: web, get: /a, expect: {denied: true}},
      {from: client, to: web, get: /b, expect: {allowed: true}}";
    for (name, steps) in [
        ("split-unmatched-to-backends", split("{split: {shares: {v1: 1, v2: 1}}}")),
        ("split-unmatched-dropped", split("{status: 404, denied: true}")),
        ("access-plaintext", access("routes, allow", plaintext)),
        ("access-client-side-only", access("routes, allow", client_side)),
        ("route-star-literal", access("star, allow", star)),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("wrong.yaml"), format!("{WORLD}{steps}\n")).unwrap();
        let files = crate::kill::load(directory.path()).unwrap();
        for mutation in [None, Some(mutant(name).unwrap().mutation())] {
            let broken = mutation.is_some();
            let settings = simulator::run::Settings { mutation, ..simulator::run::Settings::evaluator(1) };
            let events = tokio::sync::mpsc::unbounded_channel().0;
            let report = simulator::run::run_one(&files[0].tasks[0], &settings, &events).await;
            let expected = if broken { simulator::judge::Verdict::Pass } else { simulator::judge::Verdict::Fail };
            assert_eq!(report.verdict, expected, "{name}: {:#?}", report.steps.last());
        }
    }
}
