use super::{Manifest, good, refused};
use crate::{
    api::{locate, parse},
    model::{Kind, ObjectName, ObjectRef},
};

const ROUTE: &str = "apiVersion: specs.smi-spec.io/v1alpha1\nkind: TCPRoute\nmetadata: {name: a}\n";

fn names(text: &str) -> Vec<String> {
    good(text).iter().map(|manifest| manifest.reference().to_string()).collect()
}

#[test]
fn several_documents() {
    let other = ROUTE.replace("name: a", "name: b, namespace: x");
    let text = format!("---\n# nothing\n---\n{ROUTE}---\n\n---\nnull\n---\n{other}---\n");
    assert_eq!(names(&text), ["TCPRoute default/a", "TCPRoute x/b"]);
    assert_eq!(names(""), [""; 0]);
    assert_eq!(names(&format!("\u{feff}{ROUTE}")), ["TCPRoute default/a"]);
    assert_eq!(names(&ROUTE.replace('\n', "\r\n")), ["TCPRoute default/a"]);
}

#[test]
fn lists() {
    let item = |name: &str| {
        format!("- apiVersion: specs.smi-spec.io/v1alpha1\n  kind: TCPRoute\n  metadata: {{name: {name}}}\n")
    };
    let list = |items: &str| format!("apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n{items}");
    assert_eq!(names(&list(&(item("a") + &item("b")))), ["TCPRoute default/a", "TCPRoute default/b"]);
    assert_eq!(names(&list("")), [""; 0]);
    insta::assert_snapshot!(refused(&list(&(item("a") + &item("B")))), @"t.yaml:10:20: TCPRoute default/B items[1].metadata.name: `B` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit (did you mean `b`?)");
}

#[test]
fn the_default_namespace_is_the_callers() {
    let read = parse(ROUTE, "t.yaml", "shop").unwrap();
    assert_eq!(read[0].reference().to_string(), "TCPRoute shop/a");
    assert!(parse(ROUTE, "t.yaml", "Not/A/Namespace").is_err());
}

#[test]
fn all_objects_are_told_and_the_good_ones_do_not_hide_the_bad() {
    let bad = ROUTE.replace("name: a", "name: a-");
    insta::assert_snapshot!(refused(&format!("{bad}---\n{ROUTE}---\n{bad}spec: {{}}\n---\n{ROUTE}")), @"
    t.yaml:3:18: TCPRoute default/a- metadata.name: `a-` is not a valid name: lower-case letters, digits, `-` and `.`, 253 at most, each part beginning and ending with a letter or digit
    t.yaml:12:1: TCPRoute default/a- spec: unknown field: known here are `apiVersion`, `kind`, `metadata`, `status` (this version has no `spec`)
    t.yaml:14:1: TCPRoute default/a: is defined at line 5 already
    ");
}

#[test]
fn anchors_and_merge_keys() {
    let text = "\
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: a}
spec:
  service: web
  backends:
  - &b {service: b, weight: 1}
  - {<<: *b, service: c}
  - *b
";
    let Manifest::Object(crate::world::Object::TrafficSplit(split)) = good(text).remove(0) else {
        panic!("another kind")
    };
    let services: Vec<_> = split.backends.iter().map(|b| (&*b.service, b.weight)).collect();
    assert_eq!(services, [("b", 1), ("c", 1), ("b", 1)]);
}

#[test]
fn bombs_are_refused() {
    let laughs: String =
        (1..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
    let chain: String = (1..60).map(|i| format!("- &a{i} {}*a{}{}\n", "[".repeat(20), i - 1, "]".repeat(20))).collect();
    let (deep, much, bytes) =
        ("nests deeper than 32 levels", "there is too much in this text", "at most 4194304 are read");
    for (text, message) in [
        (format!("a0: &a0 [x]\n{laughs}"), much),
        // Each alias is shallow, but replayed in one another they are 250 deep.
        (format!("- &a0 x\n{}", &chain[..chain.match_indices('\n').nth(12).unwrap().0]), deep),
        (format!("- &a0 x\n{chain}"), deep),
        ("[".repeat(100_000), deep),
        ("{a: ".repeat(100_000), deep),
        ("- ".repeat(100_000), deep),
        (format!("{ROUTE}status: {}{}", "[".repeat(40), "]".repeat(40)), deep),
        ("x".repeat(5 << 20), bytes),
        ("---\na: 1\n".repeat(20_000), much),
        (format!("[{}]", "a,".repeat(250_000)), much),
        ("&a [*a]".to_owned(), "an alias stands inside of what it refers to"),
    ] {
        let errors = parse(&text, "t.yaml", "default").unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].message.contains(message), "{}", errors[0]);
    }
}

#[test]
fn the_span_covers_the_value() {
    let text = format!("# é\n{}", ROUTE.replace("name: a", "name: Bad"));
    let error = parse(&text, "t.yaml", "default").unwrap_err().remove(0);
    assert_eq!(&text[error.span.clone()], "Bad");
    assert_eq!((error.line, error.column), (4, 18));
}

#[test]
fn fields_can_be_located() {
    let text = "\
apiVersion: specs.smi-spec.io/v1alpha1
kind: TCPRoute
metadata: {name: a}
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata:
  name: a
spec:
  destination: {kind: ServiceAccount, name: a}
  sources:
  - kind: ServiceAccount
    name: b
  - kind: Group
    name: c
";
    let target = ObjectRef::new(Kind::TrafficTarget, ObjectName::new("default", "a"));
    let at = |field| locate(text, "default", &target, field);
    assert_eq!(at("spec.sources[1].kind"), Some((14, 11)));
    assert_eq!(at("spec.sources[1]"), Some((14, 5)));
    assert_eq!(at("spec.rules"), Some((10, 3)), "what is not there: the innermost part that is");
    assert_eq!(at(""), Some((5, 1)));
    assert_eq!(locate(text, "other", &target, ""), None);
}
