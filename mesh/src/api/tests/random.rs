use proptest::prelude::*;

use super::shown;
use crate::{
    api::parse,
    policy, snapshot,
    testing::{self, name, pod},
};

/// One good manifest of every shape.
const GOOD: &[&str] = &[
    "apiVersion: access.smi-spec.io/v1alpha1\nkind: TrafficTarget\nmetadata: {name: a}\ndestination: {kind: ServiceAccount, name: a, port: 80}\nspecs:\n- {kind: TCPRoute, name: t}\nsources: []\n",
    "apiVersion: access.smi-spec.io/v1alpha3\nkind: TrafficTarget\nmetadata: {name: a}\nspec:\n  destination: {kind: ServiceAccount, name: a}\n  rules:\n  - kind: HTTPRouteGroup\n    name: r\n    matches: [m]\n  sources:\n  - {kind: ServiceAccount, name: b, namespace: c}\n",
    "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: a}\nspec:\n  matches:\n  - name: m\n    pathRegex: /a\n    methods: [GET]\n    headers: [{x-a: b}]\n  - {name: n, headers: {x-b: c}}\n",
    "apiVersion: specs.smi-spec.io/v1alpha4\nkind: TCPRoute\nmetadata: {name: a}\nspec: {matches: {ports: [80, 443]}}\n",
    "apiVersion: split.smi-spec.io/v1alpha1\nkind: TrafficSplit\nmetadata: {name: a, creationTimestamp: 2020-01-01T00:00:00Z}\nspec:\n  service: w\n  backends:\n  - service: a\n    weight: 500m\n",
    "apiVersion: split.smi-spec.io/v1alpha4\nkind: TrafficSplit\nmetadata: {name: a}\nspec:\n  service: w\n  backends: [{service: a, weight: 9}]\n  matches: [{kind: HTTPRouteGroup, name: g}]\n",
    "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {app: a}}\nspec:\n  clusterIP: 10.0.0.1\n  selector: {app: a}\n  ports:\n  - {name: http, port: 80, targetPort: 8080, protocol: TCP, appProtocol: http}\n",
    "apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshConfig\nmetadata: {name: a}\nspec: {traffic: {enablePermissiveTrafficPolicyMode: true}}\n",
    "apiVersion: config.openservicemesh.io/v1alpha2\nkind: MeshRootCertificate\nmetadata: {name: a}\nspec: {provider: {certManager: {issuerName: i, issuerKind: ClusterIssuer}}, trustDomain: td, role: passive}\n",
    "apiVersion: config.openservicemesh.io/v1alpha2\nkind: ExtensionService\nmetadata: {name: e}\nspec: {host: a.b, port: 4317, protocol: http2, connectTimeout: 1s}\n",
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: Telemetry\nmetadata: {name: a}\nspec: {selector: {app: a}, accessLog: {format: '%REQ(:METHOD)% 100%%', openTelemetry: {extensionService: {name: e}}}}\n---\napiVersion: config.openservicemesh.io/v1alpha2\nkind: ExtensionService\nmetadata: {name: e}\nspec: {host: a.b, port: 4317}\n",
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: Egress\nmetadata: {name: a}\nspec:\n  sources: [{kind: ServiceAccount, name: a, namespace: default}]\n  hosts: [api.example.com, x.y]\n  ipAddresses: [10.1.0.0/16, 192.0.2.1/32]\n  ports: [{number: 80, protocol: http}, {number: 443, protocol: https}]\n",
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: IngressBackend\nmetadata: {name: a}\nspec:\n  backends: [{name: a, port: {number: 8080, protocol: https}, tls: {skipClientCertValidation: false, sniHosts: [a.b]}}]\n  sources:\n  - {kind: IPRange, name: 10.0.0.0/8}\n  - {kind: AuthenticatedPrincipal, name: a.default.cluster.local}\n  matches:\n  - {apiGroup: specs.smi-spec.io/v1alpha4, kind: HTTPRouteGroup, name: g}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}\n---\napiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: g}\nspec: {matches: [{name: m, pathRegex: /a}]}\n",
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: Retry\nmetadata: {name: a}\nspec:\n  source: {kind: ServiceAccount, name: a, namespace: default}\n  destinations: [{kind: Service, name: a, namespace: default}]\n  retryPolicy: {retryOn: 5xx, numRetries: 3, perTryTimeout: 2s, retryBackoffBaseInterval: 1ms}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: b}, ports: [{port: 80}]}\n",
    "apiVersion: policy.openservicemesh.io/v1alpha1\nkind: UpstreamTrafficSetting\nmetadata: {name: a}\nspec:\n  host: a.default.svc.cluster.local\n  connectionSettings:\n    tcp: {maxConnections: 5, connectTimeout: 1s}\n    http: {maxRequests: 5, maxRequestsPerConnection: 5, maxPendingRequests: 5, maxRetries: 5}\n    outlierDetection: {consecutiveErrors: 5, interval: 1s, baseEjectionTime: 1m, maxEjectionPercent: 50}\n  rateLimit:\n    local:\n      tcp: {connections: 5, unit: second, burst: 6}\n      http: {requests: 5, unit: minute, burst: 6}\n    global:\n      http:\n        rateLimitService: {host: limits.x, port: 8081}\n        domain: d\n        timeout: 2s\n        descriptors: [{entries: [{genericKey: {value: v, key: k}}]}]\n  httpRoutes:\n  - path: /a\n    rateLimit: {local: {requests: 5, unit: hour}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}, ports: [{port: 80}]}\n",
    "apiVersion: v1\nkind: List\nitems:\n- apiVersion: specs.smi-spec.io/v1alpha1\n  kind: TCPRoute\n  metadata: {name: a}\n",
];

/// What a mutation puts in: pieces that mean something to YAML or to a field.
const PIECES: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    ":",
    ": ",
    "- ",
    "-",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    "\"",
    "#",
    "&a",
    "*a",
    "<<: *a",
    "!!int ",
    "!x ",
    "|\n",
    ">",
    "%",
    "~",
    "null",
    "true",
    "yes",
    "-1",
    "0",
    "65536",
    "1.5",
    ".inf",
    "1e999",
    "99999999999999999999999",
    "500m",
    "é",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
    "---\n",
    "...\n",
    "? ",
    "name",
    "spec",
    "matches",
    "a\u{301}",
    "\\x",
];

/// Says something about whatever comes out: what is good can be judged and configured, every error is placed inside the text and
/// can be shown.
fn check(text: &str) {
    let manifests = parse(text, "t.yaml", "default");
    if let Ok(manifests) = &manifests {
        let mut world = testing::world("", ["a", "b"].map(|n| pod(&format!("default/{n}"), n, &format!("app={n}"))));
        testing::put(&mut world, manifests.clone());
        let _ = policy::diagnose(&world);
        let _ = ["default/a", "default/b"].map(|pod| snapshot::build(&world, &name(pod)));
    }
    if let Err(errors) = manifests {
        assert!(!errors.is_empty());
        let lines = u32::try_from(text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count()).unwrap();
        for error in errors {
            assert!((1..=lines + 1).contains(&error.line) && error.column >= 1, "{error}");
            assert!(!error.message.is_empty());
            let shown = error.to_string();
            assert!(shown.starts_with("t.yaml:") && !shown.contains('\n'), "{shown:?}");
        }
    }
}

#[test]
fn the_good_ones_are_good() {
    for text in GOOD {
        let refused = parse(text, "t.yaml", "default").err().unwrap_or_default();
        assert!(refused.is_empty(), "{}", shown(&refused));
        check(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn any_yaml_like_text(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn any_mutation(
        text in prop::sample::select(GOOD),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(PIECES)), 1..4),
    ) {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, piece) in edits {
            let start = at.index(chars.len() + 1);
            let end = (start + length).min(chars.len());
            chars.splice(start..end, piece.chars());
        }
        check(&chars.into_iter().collect::<String>());
    }

    /// Any value in place of any other: no type is assumed anywhere.
    #[test]
    fn any_value_anywhere(
        text in prop::sample::select(GOOD),
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(&["null", "7", "-7", "1.5", "true", "''", "x", "'\\0'", "[]", "{}", "[{}]", "[x]", "{x: y}", "[[{}]]"][..]),
    ) {
        let colons: Vec<_> = text.match_indices(": ").map(|(i, _)| i + 2).collect();
        let start = colons[at.index(colons.len())];
        let end = text[start..].find([',', '}', ']', '\n']).map_or(text.len(), |n| start + n);
        check(&format!("{}{value}{}", &text[..start], &text[end..]));
    }
}
