use super::{
    super::{
        model::{Connections, Proto},
        read::text_named,
    },
    *,
};

fn document(head: &str, step: &str) -> Document {
    let text = format!(
        "scenario: smi/v1\nid: a\ntitle: t\n{head}\nworkloads: {{web: {{ports: {{http: 80}}, services: [web]}}}}\n\
         steps:\n- traffic: {step}\n  expect: {{allowed: true}}\n"
    );
    text_named("x.yaml", &text).unwrap()
}

fn messages(problems: Vec<Problem>) -> Vec<String> {
    problems.into_iter().map(|problem| problem.to_string()).collect()
}

#[test]
fn runs_every_combination_in_the_order_of_the_file() {
    let document = document(
        "matrix: {proto: [http2, http1], conn: [per-request, keep-alive]}",
        "{from: web, to: web, proto: '${proto}', conn: '${conn}'}",
    );
    let expanded = expand(&document).unwrap();
    let ids: Vec<&str> = expanded.iter().map(|one| one.scenario.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "a[proto=http2,conn=per-request]",
            "a[proto=http2,conn=keep-alive]",
            "a[proto=http1,conn=per-request]",
            "a[proto=http1,conn=keep-alive]"
        ]
    );
    let traffic = expanded[1].scenario.steps[0].traffic.as_ref().unwrap();
    assert_eq!((traffic.proto, traffic.conn), (Proto::Http2, Connections::KeepAlive));
    assert_eq!(expanded[1].axes[0], ("proto".to_owned(), "http2".to_owned()));
}

#[test]
fn a_value_that_does_not_fit_is_shown_where_it_is_used() {
    let document = document("matrix: {proto: [http1, http3]}", "{from: web, to: web, proto: '${proto}'}");
    let problems = expand(&document).unwrap_err();
    assert_eq!(problems[0].position(), Some((7, 40)));
    assert!(problems[0].finding.message.contains("`http3`"), "{}", problems[0]);
}

#[test]
fn variables_may_use_axes_and_stand_anywhere() {
    let document = document(
        "matrix: {v: [v1, v2]}\nvars: {path: '/${v}', name: x-a, odd: \"a: 'b' # c\"}",
        "{from: web, to: web, path: '${path}/$${v}/${', headers: {'${name}': '${odd}'}}",
    );
    let expanded = expand(&document).unwrap();
    let traffic = expanded[1].scenario.steps[0].traffic.as_ref().unwrap();
    assert_eq!(traffic.path.as_deref(), Some("/v2/${v}/${"));
    assert_eq!(traffic.headers["x-a"], "a: 'b' # c");
    assert!(expanded[1].scenario.matrix.is_empty() && expanded[1].scenario.vars.is_empty());
}

#[test]
fn unknown_names_are_found_deep_in_text() {
    let document = document(
        "vars: {color: red}\nresources:\n  a: |\n    kind: x\n    b: ${colour}",
        "{from: '${nobody}', to: web}",
    );
    let problems = expand(&document).unwrap_err();
    assert_eq!(
        messages(problems.clone()),
        [
            "x.yaml:8:8: resources.a: neither `matrix` nor `vars` has a `colour`",
            "x.yaml:11:20: steps[0].traffic.from: neither `matrix` nor `vars` has a `nobody`",
        ]
    );
    assert_eq!(problems[0].finding.hint.as_deref(), Some("did you mean `color`?"));
}

#[test]
fn wrong_axes_and_unused_names_are_told() {
    let of = |head: &str| messages(expand(&document(head, "{from: web, to: web}")).unwrap_err());
    assert_eq!(of("matrix: {a: []}"), ["x.yaml:4:10: matrix.a: an axis without values leaves nothing to run"]);
    assert_eq!(of("matrix: {a: x}"), ["x.yaml:4:13: matrix.a: an axis is a list of values (`[a, b]`)"]);
    assert_eq!(of("matrix: {a: [x, x]}"), ["x.yaml:4:17: matrix.a[1]: the axis has this value already"]);
    assert_eq!(of("matrix: {a: [x]}\nvars: {a: y}"), ["x.yaml:5:11: vars.a: an axis of the matrix has this name"]);
    assert_eq!(of("vars: {1a: y}").len(), 1);
    let unused = unused(&document("matrix: {a: [x]}\nvars: {b: y, c: z}", "{from: '${c}', to: web}"));
    assert_eq!(
        messages(unused),
        [
            "x.yaml:4:10: matrix.a: nothing uses the axis: `${a}` does not occur",
            "x.yaml:5:8: vars.b: nothing uses the variable: `${b}` does not occur",
        ]
    );
}
