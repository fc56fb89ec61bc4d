//! One row for each rule of the webhook: what is there before, what is wrong, what is told, and the good twin.

use kube::Client;

use super::super::harness::{Answer, PATIENCE, Test, Validator, apply, client, create, eventually, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("validation::rules::what_can_never_be_right_is_refused", refused),
        test("validation::rules::what_may_become_right_is_a_warning", warned),
    ]
}

/// Text is YAML in flow style, in which `NS` is the namespace.
struct Case {
    before: &'static [&'static str],
    /// `apiVersion Kind`.
    kind: &'static str,
    bad: &'static str,
    told: &'static str,
    good: &'static str,
}

const TARGET: &str = "access.smi-spec.io/v1alpha3 TrafficTarget";
const GROUP: &str = "specs.smi-spec.io/v1alpha4 HTTPRouteGroup";
const SPLIT: &str = "split.smi-spec.io/v1alpha4 TrafficSplit";
const EGRESS: &str = "policy.openservicemesh.io/v1alpha1 Egress";
const INGRESS: &str = "policy.openservicemesh.io/v1alpha1 IngressBackend";
const RETRY: &str = "policy.openservicemesh.io/v1alpha1 Retry";
const UPSTREAM: &str = "policy.openservicemesh.io/v1alpha1 UpstreamTrafficSetting";
const TELEMETRY: &str = "policy.openservicemesh.io/v1alpha1 Telemetry";

const G: &str = "specs.smi-spec.io/v1alpha4 HTTPRouteGroup g {matches: [{name: a, pathRegex: /a}]}";
const SECOND: &str =
    "split.smi-spec.io/v1alpha4 TrafficSplit second {service: v1, backends: [{service: v2, weight: 1}]}";

#[rustfmt::skip]
const REFUSED: &[Case] = &[
    Case {
        before: &[], kind: TARGET,
        bad: "{destination: {kind: ServiceAccount, name: x, namespace: other}, rules: [{kind: TCPRoute, name: r}], sources: [{kind: ServiceAccount, name: caller}]}",
        told: "the destination lies in namespace other, the target in NS; move the target there",
        good: "{destination: {kind: ServiceAccount, name: x, namespace: NS}, rules: [{kind: TCPRoute, name: r}], sources: [{kind: ServiceAccount, name: caller}]}",
    },
    Case {
        before: &[], kind: GROUP,
        bad: "{matches: [{name: a, pathRegex: '/(?!x)'}]}",
        told: "write it as RE2 takes it",
        good: "{matches: [{name: a, pathRegex: '/[a-w]'}]}",
    },
    Case {
        before: &[], kind: GROUP,
        bad: "{matches: [{name: a, headers: {client: '('}}]}",
        told: "spec.matches[0].headers.client: ",
        good: "{matches: [{name: a, headers: {client: '()'}}]}",
    },
    Case {
        before: &[], kind: SPLIT,
        bad: "{service: web, backends: [{service: web.NS, weight: 1}, {service: v1, weight: 1}]}",
        told: "the root NS/web is among its own backends",
        good: "{service: web, backends: [{service: v2.NS, weight: 1}, {service: v1, weight: 1}]}",
    },
    Case {
        before: &[], kind: SPLIT,
        bad: "{service: web, backends: [{service: v1.NS, weight: 1}, {service: v1, weight: 1}]}",
        told: "NS/v1 is named more than once: keep one entry, with the sum of the weights",
        good: "{service: web, backends: [{service: v1, weight: 2}]}",
    },
    Case {
        before: &[], kind: "split.smi-spec.io/v1alpha1 TrafficSplit",
        bad: "{service: web, backends: [{service: v1, weight: '0'}]}",
        told: "no backend has a weight above zero, so every request would fail; give one a weight",
        good: "{service: web, backends: [{service: v1, weight: 500m}]}",
    },
    Case {
        before: &[], kind: SPLIT,
        bad: "{service: web, backends: [{service: v1.other, weight: 1}]}",
        told: "v1.other is no service of namespace NS",
        good: "{service: web, backends: [{service: v1.NS.svc.cluster.local, weight: 1}]}",
    },
    Case {
        before: &["split.smi-spec.io/v1alpha4 TrafficSplit elder {service: web, backends: [{service: v1, weight: 1}]}"], kind: SPLIT,
        bad: "{service: web.NS.svc.cluster.local, backends: [{service: v2, weight: 1}]}",
        told: "TrafficSplit NS/elder splits NS/web already; change that one, or delete it first",
        good: "{service: v2, backends: [{service: v1, weight: 1}]}",
    },
    Case {
        before: &[SECOND, "split.smi-spec.io/v1alpha4 TrafficSplit third {service: v2, backends: [{service: web, weight: 1}]}"], kind: SPLIT,
        bad: "{service: web, backends: [{service: v1, weight: 1}]}",
        told: "NS/web leads to NS/v1, and TrafficSplit NS/third leads back; take one of the two out",
        good: "{service: web, backends: [{service: soon, weight: 1}]}",
    },
    Case {
        before: &[], kind: EGRESS,
        bad: "{sources: [{kind: ServiceAccount, name: x}], hosts: [a.org], ports: [{number: 80, protocol: http}], matches: [{apiGroup: v1, kind: Secret, name: s}]}",
        told: "`Secret` cannot be matched: name an HTTPRouteGroup or an UpstreamTrafficSetting",
        good: "{sources: [{kind: ServiceAccount, name: x}], hosts: [a.org], ports: [{number: 80, protocol: http}]}",
    },
    Case {
        before: &[], kind: EGRESS,
        bad: "{sources: [{kind: ServiceAccount, name: x}], hosts: [a.org], ports: [{number: 80, protocol: http}], matches: [{apiGroup: split.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: s}]}",
        told: "has no HTTPRouteGroup: write `specs.smi-spec.io/v1alpha4`",
        good: "{sources: [{kind: ServiceAccount, name: x}], hosts: [a.org], ports: [{number: 80, protocol: http}], matches: [{apiGroup: specs.smi-spec.io, kind: HTTPRouteGroup, name: s}]}",
    },
    Case {
        before: &["policy.openservicemesh.io/v1alpha1 IngressBackend elder {backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 10.0.0.0/8}]}"], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
        told: "IngressBackend NS/elder opens web port 8080 already; add the sources there",
        good: "{backends: [{name: v1, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: https}, tls: {skipClientCertValidation: true}}], sources: [{kind: AuthenticatedPrincipal, name: g}]}",
        told: "without a client certificate no AuthenticatedPrincipal can be proved",
        good: "{backends: [{name: web, port: {number: 8080, protocol: https}}], sources: [{kind: AuthenticatedPrincipal, name: g}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: AuthenticatedPrincipal, name: g}]}",
        told: "over plain HTTP no AuthenticatedPrincipal can be proved",
        // What OSM refuses: it admits by address alone.
        good: "{backends: [{name: web, port: {number: 8080, protocol: https}, tls: {skipClientCertValidation: true}}], sources: [{kind: IPRange, name: 10.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: http}, tls: {skipClientCertValidation: true}}], sources: [{kind: IPRange, name: 10.0.0.0/8}]}",
        told: "an `http` port is called in plaintext; write `protocol: https`, or remove `tls`",
        good: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 10.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: UPSTREAM,
        bad: "{host: web.other.svc.cluster.local}",
        told: "web.other.svc.cluster.local is a service of namespace other, the setting is in NS; create it there",
        good: "{host: web.NS.svc.cluster.local}",
    },
    Case {
        before: &["policy.openservicemesh.io/v1alpha1 UpstreamTrafficSetting elder {host: web}"], kind: UPSTREAM,
        bad: "{host: web.NS.svc.cluster.local}",
        told: "UpstreamTrafficSetting NS/elder is for web.NS.svc.cluster.local already; change that one",
        good: "{host: v1}",
    },
    Case {
        before: &[], kind: UPSTREAM,
        bad: "{host: web, rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 418}}}}",
        told: "418 is no status that Envoy can refuse with: write one such as 429 or 503",
        good: "{host: web, rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 503}}}}",
    },
    Case {
        before: &[], kind: UPSTREAM,
        bad: "{host: web, httpRoutes: [{path: '/(', rateLimit: {local: {requests: 1, unit: second}}}]}",
        told: "spec.httpRoutes[0].path: ",
        good: "{host: web, httpRoutes: [{path: '.*', rateLimit: {local: {requests: 1, unit: second}}}]}",
    },
    Case {
        before: &[], kind: TELEMETRY,
        bad: "{accessLog: {format: '%NO_SUCH_THING%'}}",
        told: "`%NO_SUCH_THING` is no command operator that sidecars know",
        good: "{accessLog: {format: '%BYTES_SENT%'}}",
    },
];

#[rustfmt::skip]
const WARNED: &[Case] = &[
    Case {
        before: &[G], kind: TARGET,
        bad: "{destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: soon}], sources: [{kind: ServiceAccount, name: caller}]}",
        told: "spec.rules[0].name: HTTPRouteGroup NS/soon does not exist; the rule opens nothing",
        good: "{destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: g}], sources: [{kind: ServiceAccount, name: caller}]}",
    },
    Case {
        before: &[G], kind: TARGET,
        bad: "{destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: g, matches: [b]}], sources: [{kind: ServiceAccount, name: caller}]}",
        told: "HTTPRouteGroup NS/g has no match called b; it opens nothing",
        good: "{destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: g, matches: [a]}], sources: [{kind: ServiceAccount, name: caller}]}",
    },
    Case {
        before: &[G], kind: TARGET,
        bad: "{destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: g}], sources: [{kind: Group, name: caller}]}",
        told: "spec.sources[0].kind: a Group cannot be a source",
        good: "{destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: g}], sources: [{kind: ServiceAccount, name: caller}]}",
    },
    Case {
        before: &["access.smi-spec.io/v1alpha3 TrafficTarget t {destination: {kind: ServiceAccount, name: x}, rules: [{kind: HTTPRouteGroup, name: o, matches: [a]}], sources: [{kind: ServiceAccount, name: caller}]}"], kind: GROUP,
        bad: "{matches: [{name: b}]}",
        told: "TrafficTarget NS/t names the match a, which is not here; it opens nothing there",
        good: "{matches: [{name: a}]}",
    },
    Case {
        before: &[SECOND], kind: SPLIT,
        bad: "{service: web, backends: [{service: v1, weight: 1}]}",
        told: "NS/v1 is the root of TrafficSplit NS/second; its share is not split again",
        good: "{service: web, backends: [{service: v2, weight: 1}]}",
    },
    Case {
        before: &[], kind: SPLIT,
        bad: "{service: web, backends: [{service: soon, weight: 1}]}",
        told: "service NS/soon does not exist (yet); it is left out",
        good: "{service: web, backends: [{service: v2, weight: 1}]}",
    },
    Case {
        before: &[G], kind: EGRESS,
        bad: "{sources: [{kind: ServiceAccount, name: x}], hosts: [a.org], ports: [{number: 80, protocol: http}], matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: soon}]}",
        told: "HTTPRouteGroup NS/soon does not exist; it lets no request through",
        good: "{sources: [{kind: ServiceAccount, name: x}], hosts: [a.org], ports: [{number: 80, protocol: http}], matches: [{apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: g}]}",
    },
    Case {
        before: &[], kind: EGRESS,
        bad: "{sources: [{kind: ServiceAccount, name: x}], ports: [{number: 80, protocol: http}]}",
        told: "neither `hosts` nor `ipAddresses` is given, so nothing may be called on this port",
        good: "{sources: [{kind: ServiceAccount, name: x}], ipAddresses: [10.0.0.0/8], ports: [{number: 80, protocol: http}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: soon, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
        told: "spec.backends[0].name: service NS/soon does not exist; nothing is opened",
        good: "{backends: [{name: v1, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 80, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
        told: "no HTTP port of service NS/web has the target port 80",
        good: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: http}}]}",
        told: "spec.sources: no source is named, so nobody may call",
        good: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: Service, name: soon, namespace: gateways}]}",
        told: "endpoints not found for service gateways/soon",
        good: "{backends: [{name: web, port: {number: 8080, protocol: http}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
    },
    Case {
        before: &[], kind: INGRESS,
        bad: "{backends: [{name: web, port: {number: 8080, protocol: https}}], sources: [{kind: IPRange, name: 11.0.0.0/8}]}",
        told: "any client certificate of the mesh opens web",
        good: "{backends: [{name: web, port: {number: 8080, protocol: https}}], sources: [{kind: AuthenticatedPrincipal, name: g}]}",
    },
    Case {
        before: &[], kind: UPSTREAM,
        bad: "{host: soon}",
        told: "service NS/soon does not exist (yet)",
        good: "{host: web}",
    },
    Case {
        before: &[], kind: RETRY,
        bad: "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: soon}], retryPolicy: {retryOn: 5xx}}",
        told: "does not exist (yet)",
        good: "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: web}], retryPolicy: {retryOn: 5xx}}",
    },
    Case {
        before: &[], kind: RETRY,
        bad: "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: web}], retryPolicy: {retryOn: '5xx,often'}}",
        told: "`often` is no condition to retry on, so it is left out",
        good: "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: web}], retryPolicy: {retryOn: '5xx,reset'}}",
    },
    Case {
        before: &["policy.openservicemesh.io/v1alpha1 Retry a {source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: web}], retryPolicy: {retryOn: 5xx}}"], kind: RETRY,
        bad: "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: web}], retryPolicy: {retryOn: reset}}",
        told: "Retry NS/a holds for what NS/x sends to NS/web; merge the two",
        good: "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: v1}], retryPolicy: {retryOn: reset}}",
    },
    Case {
        before: &[], kind: TELEMETRY,
        bad: "{accessLog: {openTelemetry: {extensionService: {name: soon}}}}",
        told: "there is no ExtensionService",
        good: "{accessLog: {format: '%BYTES_SENT%'}}",
    },
];

/// The object called `o`, or as `line` says (`apiVersion Kind name spec`).
fn object(line: &str, ns: &str) -> String {
    let [version, kind, name, spec] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}}}, spec: {}}}", spec.replace("NS", ns))
}

/// What the API server does about the case; nothing if it is as it should be.
async fn wrong(validator: &Validator, client: &Client, case: &Case, refuses: bool) -> Option<String> {
    let ns = validator.namespace("case").await;
    for line in case.before {
        apply(client, &ns, &object(line, &ns)).await;
    }
    let with = |spec: &str| object(&format!("{} o {spec}", case.kind), &ns);
    let told = case.told.replace("NS", &ns);
    let bad = with(case.bad);
    let is_told = |answer: &Answer| {
        if refuses {
            answer.refusal().contains("osm-validator.k8s.io") && answer.refusal().contains(&told)
        } else {
            answer.status == 201 && answer.warnings.iter().any(|warning| warning.contains(&told))
        }
    };
    // What was there before takes a moment until the webhook knows it; so does the namespace at the API server.
    let judged = || async { Some(create(client, &ns, "dryRun=All", &bad).await).filter(is_told) };
    if tokio::time::timeout(PATIENCE / 6, eventually(&told, judged)).await.is_err() {
        let answer = create(client, &ns, "dryRun=All", &bad).await;
        return Some(format!("not told `{told}`: {bad}\n{answer:?}"));
    }
    let good = create(client, &ns, "dryRun=All", &with(case.good)).await;
    let silent = !good.warnings.iter().any(|warning| warning.contains(&told));
    (good.status != 201 || !silent).then(|| format!("the good twin of `{told}`: {good:?}"))
}

async fn every(mesh: &str, cases: &'static [Case], refuses: bool) {
    let client = client().await;
    let validator = Validator::start(&client, mesh).await;
    let mut all = Vec::new();
    for case in cases {
        all.extend(wrong(&validator, &client, case, refuses).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n\n"));
    validator.end().await;
}

async fn refused() {
    every("refused", REFUSED, true).await;
}

async fn warned() {
    every("warned", WARNED, false).await;
}
