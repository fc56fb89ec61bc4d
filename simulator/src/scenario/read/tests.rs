use super::{super::expand::expand, *};

const VALID: &str = "\
scenario: smi/v1
id: a.b
title: t
workloads:
  web: {ports: {http: 8080}, services: [web]}
steps:
- traffic: {from: web, to: web}
  expect: {allowed: true}
";

/// The first problem with a text, rendered.
fn rendered(text: &str) -> String {
    let problems = match text_named("x.yaml", text) {
        Ok(document) => expand(&document).map(|_| ()).unwrap_err(),
        Err(problem) => vec![*problem],
    };
    problems[0].render(false)
}

fn plain(text: &str) -> String {
    match text_named("x.yaml", text) {
        Ok(document) => expand(&document).map(|_| ()).unwrap_err()[0].to_string(),
        Err(problem) => problem.to_string(),
    }
}

#[test]
fn reads_a_scenario() {
    let document = text_named("x.yaml", VALID).unwrap();
    let scenario = &expand(&document).unwrap()[0].scenario;
    assert_eq!((scenario.id.as_str(), document.id()), ("a.b", Some("a.b")));
    assert!(scenario.workloads["web"].mesh);
    assert_eq!(scenario.workloads["web"].replicas, 1);
}

#[test]
fn an_unknown_field_is_underlined_with_the_nearest_known() {
    insta::assert_snapshot!(rendered(&VALID.replace("from: web", "form: web")), @r"
type

  × steps[0].traffic.form: there is no field `form` here
   ╭─[x.yaml:7:13]
 6 │ steps:
 7 │ - traffic: {form: web, to: web}
   ·             ────
 8 │   expect: {allowed: true}
   ╰────
  help: did you mean `from`?
");
}

#[test]
fn a_wrong_type_is_underlined() {
    insta::assert_snapshot!(rendered(&VALID.replace("http: 8080", "http: 80800")), @r"
type

  × workloads.web.ports.http: `80800` is not a whole number from 0 to 65535
   ╭─[x.yaml:5:23]
 4 │ workloads:
 5 │   web: {ports: {http: 80800}, services: [web]}
   ·                       ─────
 6 │ steps:
   ╰────
");
}

#[test]
fn a_syntax_error_is_located() {
    insta::assert_snapshot!(rendered(&VALID.replace("services: [web]", "services: [web")), @r"
syntax

  × mismatched bracket '[' closed by '}'
   ╭─[x.yaml:5:40]
 4 │ workloads:
 5 │   web: {ports: {http: 8080}, services: [web}
   ·                                        ▲
 6 │ steps:
   ╰────
");
}

#[test]
fn messages_name_file_line_column_and_field() {
    let with = |from: &str, to: &str| plain(&VALID.replace(from, to));
    insta::assert_snapshot!([
        with("title: t\n", ""),
        with("title: t", "title:"),
        with("title: t", "title: [t]"),
        with("title: t", "title: t\ntitle: u"),
        with("allowed: true", "allowed: yes"),
        with("allowed: true", "denied: {because: wrong-sorce}"),
        with("allowed: true", "denied: {becuase: wrong-source}"),
        with("to: web}", "to: web, n: many}"),
        with("to: web}", "to: web, proto: http3}"),
        with("smi/v1", "smi/v2"),
        with("http: 8080", "http: {targetport: 1}"),
        with("- traffic: {from: web, to: web}\n  expect: {allowed: true}", "- fault: {remove: web, poison: web}"),
        with("- traffic: {from: web, to: web}\n  expect: {allowed: true}", "- fault: remove"),
        with("- traffic: {from: web, to: web}\n  expect: {allowed: true}", "- wait: {until: {converged: web}}"),
        with("steps:", "resources: {a: {fil: b}}\nsteps:"),
        with("title: t", "title: &a t"),
        with("title: t", "title: ${x}"),
        plain(""),
        plain("- 1\n"),
        with("traffic: {from: web, to: web}", "traffic: [web, web]"),
        with("to: web}", "to: ${web}}"),
        plain(&format!("{VALID}---\n{VALID}")),
    ].join("\n"), @r"
x.yaml:1:1: the field `title` is missing
x.yaml:3:1: title: a value is missing here
x.yaml:3:1: title: a list is not text
x.yaml:4:1: `title` is given twice
x.yaml:8:21: steps[0].expect.allowed: `yes` is not `true` or `false`
x.yaml:8:30: steps[0].expect.denied.because: `wrong-sorce` is none of `wrong-source`, `route-not-allowed`, `port-not-allowed`, `no-identity`, `bad-identity`, `no-route`, `no-endpoint`, `no-backend`
x.yaml:8:21: steps[0].expect.denied.becuase: there is no field `becuase` here
x.yaml:7:36: steps[0].traffic.n: `many` is not a number of requests or `auto`
x.yaml:7:40: steps[0].traffic.proto: `http3` is none of `http1`, `http2`, `grpc`, `grpc-stream`, `tcp`, `tcp-server-first`, `websocket`
x.yaml:1:11: scenario: `smi/v2` is none of `smi/v1`
x.yaml:5:24: workloads.web.ports.http.targetport: there is no field `targetport` here
x.yaml:7:3: steps[0].fault: exactly one field is wanted here, one of `controlPlane`, `restartProxy`, `rotateCertificates`, `advanceClock`, `ready`, `remove`, `respond`, `poison`, `unpoison`
x.yaml:7:10: steps[0].fault: `remove` needs a value: `remove: …`
x.yaml:7:18: steps[0].wait.until: `converged` takes no value
x.yaml:6:17: resources.a.fil: there is no field `fil` here
x.yaml:3:11: YAML anchors and aliases are not supported: use `vars` and `${name}`
x.yaml:3:8: title: neither `matrix` nor `vars` has a `x`
x.yaml:1:1: the file is empty
x.yaml:1:3: a list is not a mapping (`field: value`)
x.yaml:7:3: steps[0].traffic: a list is not a mapping (`field: value`)
x.yaml:7:29: while parsing a flow mapping, did not find expected ',' or '}'
x.yaml:10:1: a file holds one scenario: put the second YAML document into a file of its own
");
}

#[test]
fn text_needs_no_quotes() {
    let text = VALID
        .replace("title: t", "title: 70\nvars: {n: 3}")
        .replace("to: web}", "to: web, headers: {x: 1}, n: '${n}'}");
    let document = text_named("x.yaml", &text).unwrap();
    let scenario = expand(&document).unwrap().remove(0).scenario;
    assert_eq!(scenario.title, "70");
    let traffic = scenario.steps[0].traffic.as_ref().unwrap();
    assert_eq!(traffic.headers["x"], "1");
    assert_eq!(traffic.n, Some(crate::scenario::model::Count::Exactly(3)));
}

#[test]
fn manifests_beside_the_file_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.yaml");
    let text = VALID.replace("steps:", "vars: {kind: Service}\nresources: {a: {file: m.yaml}}\nsteps:");
    std::fs::write(&path, text).unwrap();
    let missing = file(&path).unwrap_err();
    assert_eq!(missing.finding.path.to_string(), "resources.a.file");
    assert_eq!(missing.position(), Some((7, 23)));
    std::fs::write(directory.path().join("m.yaml"), "kind: ${kind}\n").unwrap();
    let scenario = expand(&file(&path).unwrap()).unwrap().remove(0).scenario;
    assert_eq!(scenario.resources["a"], crate::scenario::model::Manifest::Inline("kind: Service\n".into()));
}
