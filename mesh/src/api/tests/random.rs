use proptest::prelude::*;

use crate::api::parse;

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

/// Says something about whatever comes out: every error is placed inside the text and can be shown.
fn check(text: &str) {
    if let Err(errors) = parse(text, "t.yaml", "default") {
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
        assert!(parse(text, "t.yaml", "default").is_ok(), "{text}");
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
