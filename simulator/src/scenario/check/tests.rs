use super::super::read::text_named;
use super::*;
use proptest::prelude::*;

const HEAD: &str = "\
scenario: smi/v1
id: a.b
title: t
workloads:
  client: {}
  web: {ports: {http: 8080}, services: [web], replicas: 2, account: shop}
  far: {ports: {http: 80}, services: [far], namespace: other}
resources:
  allow: |
    kind: Service
    metadata: {name: extra}
  more: 'kind: TrafficTarget # far client web'
steps:
- apply: [allow, more]
";

fn check_text(text: &str) -> Vec<String> {
    let document = text_named("x.yaml", text).unwrap_or_else(|problem| panic!("{problem}"));
    super::document(&document).iter().map(ToString::to_string).collect()
}

/// The findings of a file with these steps, without the file's name.
fn steps(steps: &str) -> Vec<String> {
    let found = check_text(&format!("{HEAD}{steps}"));
    found.iter().map(|line| line.splitn(4, ": ").skip(1).collect::<Vec<_>>().join(": ")).collect()
}

fn traffic(traffic: &str, expect: &str) -> Vec<String> {
    steps(&format!("- traffic: {{{traffic}}}\n  expect: {{{expect}}}\n"))
}

fn assert_code(findings: &str, code: &str, expect: &str) {
    let document = text_named("x.yaml", &format!("{HEAD}{findings}\n")).unwrap_or_else(|problem| panic!("{problem}"));
    let problems = super::document(&document);
    let codes: Vec<&str> = problems.iter().map(|problem| problem.finding.code).collect();
    assert!(codes.contains(&code), "{findings}: {problems:?}");
    assert!(problems.iter().any(|p| p.finding.path.to_string() == expect), "{findings}: {problems:?}");
}

#[test]
fn a_sound_scenario_has_no_findings() {
    assert_eq!(
        traffic(
            "from: client, to: 'web:8080', n: 3",
            "allowed: true, status: 200, backend: [web], peer: default/client"
        ),
        [""; 0]
    );
    assert_eq!(traffic("from: web/1, to: far.other.svc.cluster.local", "allowed: true"), [""; 0]);
    assert_eq!(traffic("from: client, to: extra", "allowed: true"), [""; 0]);
    assert_eq!(traffic("from: client, to: nowhere", "denied: {because: no-route}"), [""; 0]);
    assert_eq!(traffic("from: client, to: 'pod:web/0:8080', present: {anonymous: true}", "denied: true"), [""; 0]);
    assert_eq!(traffic("from: client, to: web, n: auto", "split: {shares: {web: 1, far: 0}}"), [""; 0]);
}

#[test]
fn a_host_header_is_a_mention() {
    let head = HEAD.replace("  client: {}\n", "  client: {}\n  shop: {services: [store], ports: {http: 80}}\n");
    let with = |host: &str| {
        let row = format!("- probes: {{from: client, to: web, rows: [{{host: {host}, expect: {{denied: true}}}}]}}\n");
        check_text(&format!("{head}{row}"))
    };
    assert_eq!(with("store.default"), [""; 0]);
    assert_eq!(with("elsewhere").len(), 1);
}

#[test]
fn names_that_nothing_has_get_a_suggestion() {
    insta::assert_snapshot!([
        traffic("from: cleint, to: web", "allowed: true"),
        traffic("from: client/1, to: webb", "allowed: true"),
        traffic("from: client, to: far", "allowed: true"),
        traffic("from: client, to: 'web:80'", "backend: [wob]"),
        traffic("from: client, to: 'pod:web:80'", "peer: nobody"),
        steps("- apply: [alow]\n- probes: {from: client, to: web, rows: [{get: /, expect: {allowed: true}}]}\n"),
    ].concat().join("\n"), @r"
steps[1].traffic.from: there is no workload `cleint`
steps[1].traffic.from: `client` has 1 pods: the last is `client/0`
steps[1].traffic.to: there is no service `webb`
steps[1].traffic.to: `far` means a service in the sender's namespace, and there is none
steps[1].traffic.to: `web` has no port 80, only 8080
steps[1].expect.backend[0]: there is no workload `wob`
steps[1].traffic.to: `web` has no container port 80
steps[1].expect.peer: there is no workload with the account `nobody`
steps[1].apply[0]: there is no resource `alow`
");
}

#[test]
fn contradictions_are_found() {
    let traffic = |traffic: &str, expect: &str| format!("- traffic: {{{traffic}}}\n  expect: {{{expect}}}");
    let web = |more: &str| format!("from: client, to: web{more}");
    for (step, code, path) in [
        (traffic(&web(""), "allowed: true, denied: true"), "contradiction", "steps[1].expect.allowed"),
        (traffic(&web(""), "denied: {as: [http-403]}, status: 403"), "contradiction", "steps[1].expect.status"),
        (
            traffic(&web(", n: auto"), "denied: true, split: {shares: {web: 1}}"),
            "contradiction",
            "steps[1].expect.split",
        ),
        (traffic(&web(""), "allowed: false"), "contradiction", "steps[1].expect.allowed"),
        (traffic(&web(""), "denied: false"), "contradiction", "steps[1].expect.denied"),
        (traffic(&web(""), "within: 5s"), "no-expectation", "steps[1].expect"),
        (traffic(&web(""), "split: {shares: {web: 1}}"), "contradiction", "steps[1].traffic"),
        (traffic(&web(", n: auto"), "split: {shares: {web: 0}}"), "range", "steps[1].expect.split.shares"),
        (traffic(&web(", n: auto"), "split: {shares: {web: 1}, delta: 0.5}"), "range", "steps[1].expect.split.delta"),
        (
            traffic(&web(", n: auto"), "split: {shares: {web: 1}}, within: 5s"),
            "contradiction",
            "steps[1].expect.within",
        ),
        (traffic(&web(", n: auto"), "allowed: true"), "contradiction", "steps[1].traffic.n"),
        (traffic(&web(", n: 100"), "split: {shares: {web: 1, far: 1}}"), "too-few", "steps[1].traffic.n"),
        (
            traffic(&web(", n: auto, proto: tcp, conn: keep-alive"), "split: {shares: {web: 1, far: 1}}"),
            "contradiction",
            "steps[1].traffic.conn",
        ),
        (traffic("from: web, to: client", "allowed: true"), "unknown-service", "steps[1].traffic.to"),
        (traffic(&web(", n: 0"), "allowed: true"), "range", "steps[1].traffic.n"),
        (traffic(&web(", proto: tcp"), "status: 200"), "unobservable", "steps[1].expect.status"),
        (traffic(&web(", for: until-done"), "allowed: true"), "misplaced", "steps[1].traffic.for"),
        (traffic(&web(", for: 3"), "allowed: true"), "duration", "steps[1].traffic.for"),
        (traffic(&web(", path: x"), "allowed: true"), "http", "steps[1].traffic.path"),
        (
            traffic(&web(", present: {plaintext: true, expired: true}"), "denied: true"),
            "contradiction",
            "steps[1].traffic.present.plaintext",
        ),
    ] {
        assert_code(&step, code, path);
    }
}

#[test]
fn steps_do_exactly_one_thing() {
    let traffic = "traffic: {from: client, to: web}, expect: {allowed: true}";
    for (step, code, path) in [
        ("- about: nothing".to_owned(), "verb", "steps[1]"),
        ("- apply: [allow]\n  delete: [more]".to_owned(), "verb", "steps[1].apply"),
        ("- traffic: {from: client, to: web}".to_owned(), "no-expectation", "steps[1].traffic"),
        ("- apply: [allow]\n  expect: {allowed: true}".to_owned(), "misplaced", "steps[1].expect"),
        (format!("- {{diagnostic: x, {traffic}}}"), "misplaced", "steps[1].diagnostic"),
        (format!("- {{id: x, {traffic}}}\n- {{id: x, {traffic}}}"), "repeated-id", "steps[2].id"),
        (
            format!("- {{id: x, {traffic}}}\n- control: {{discriminates: x}}"),
            "control",
            "steps[2].control.discriminates",
        ),
        ("- control: {discriminates: y}".to_owned(), "unknown-step", "steps[1].control.discriminates"),
        ("- repeat: {times: 0, steps: []}".to_owned(), "range", "steps[1].repeat.times"),
        ("- parallel: [[]]".to_owned(), "empty", "steps[1].parallel[0]"),
        (
            "- probes: {from: client, to: web, rows: [{get: /, method: PUT, expect: {denied: true}}]}".to_owned(),
            "contradiction",
            "steps[1].probes.rows[0].method",
        ),
        (
            "- probes: {from: client, rows: [{get: /, expect: {denied: true}}]}".to_owned(),
            "missing",
            "steps[1].probes.rows[0]",
        ),
        (
            "- parallel: [[{traffic: {from: client, to: web, for: until-done}, expect: {allowed: true}}]]".to_owned(),
            "endless",
            "steps[1].parallel",
        ),
        ("- fault: {restartProxy: wbe}".to_owned(), "unknown-workload", "steps[1].fault.restartProxy"),
        ("- fault: {advanceClock: 1d}".to_owned(), "duration", "steps[1].fault.advanceClock"),
        ("- wait: {until: converged}".to_owned(), "proves-nothing", "steps"),
    ] {
        assert_code(&step, code, path);
    }
    assert_eq!(steps(&format!("- control: {{discriminates: x}}\n- {{id: x, {traffic}}}\n")), [""; 0]);
}

#[test]
fn workloads_are_possible() {
    let ends = "- {traffic: {from: client, to: web}, expect: {allowed: true}}\n";
    for (from, to, code, path) in [
        ("client: {}", "client: {replicas: 0}", "range", "workloads.client.replicas"),
        ("client: {}", "client: {replicas: 51}", "range", "workloads.client.replicas"),
        ("client: {}", "client: {presents: {expired: true}}", "contradiction", "workloads.client.presents"),
        ("client: {}", "client: {respond: {failPercent: 101}}", "range", "workloads.client.respond.failPercent"),
        ("client: {}", "client: {respond: {delay: soon}}", "duration", "workloads.client.respond.delay"),
        ("client: {}", "client: {}\n  idle: {}", "unused-workload", "workloads.idle"),
        ("client: {}", "client: {}\n  lient: {}", "unused-workload", "workloads.lient"),
        ("client: {}", "client: {}\n  Bad_Name: {}", "name", "workloads.Bad_Name"),
        ("{http: 8080}", "{http: 8080, grpc: {port: 9, targetPort: 8080}}", "port-taken", "workloads.web.ports.http"),
        (
            "{http: 8080}",
            "{http: {port: 8080, appProtocol: htpp}}",
            "unknown-protocol",
            "workloads.web.ports.http.appProtocol",
        ),
        ("[allow, more]", "[allow]", "unused-resource", "resources.more"),
        ("'kind: TrafficTarget # far client web'", "'{'", "manifest", "resources.more"),
        ("id: a.b", "id: A.b", "id", "id"),
        ("id: a.b", "id: a..b", "id", "id"),
        ("title: t", "title: ''", "empty", "title"),
    ] {
        let text = format!("{}{ends}", HEAD.replacen(from, to, 1));
        let document = text_named("x.yaml", &text).unwrap_or_else(|problem| panic!("{problem}"));
        let problems = super::document(&document);
        let hit = problems.iter().any(|p| p.finding.code == code && p.finding.path.to_string() == path);
        assert!(hit, "{to}: {problems:?}");
    }
}

#[test]
fn a_matrix_reports_a_finding_once_and_ids_are_unique() {
    let text = format!(
        "{HEAD}- {{traffic: {{from: nobody, to: web, proto: '${{p}}'}}, expect: {{allowed: true}}}}\nmatrix: {{p: [http1, http2]}}\n"
    );
    assert_eq!(check_text(&text).len(), 1);
    let text = format!("{HEAD}- {{traffic: {{from: client, to: web}}, expect: {{allowed: true}}}}\n");
    let two = [text_named("one.yaml", &text).unwrap(), text_named("two.yaml", &text).unwrap()];
    let problems: Vec<String> = documents(&two).iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["two.yaml:2:5: id: the id `a.b` is taken by one.yaml"]);
}

const TEMPLATE: &str = include_str!("../../cli/new/template.yaml");

proptest! {
    /// Whatever is done to a file, the answer is a list of problems that can be printed.
    #[test]
    fn no_file_makes_the_reader_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[ -~\\n\u{e9}]{0,3}"), 1..8),
    ) {
        let mut text: Vec<char> = TEMPLATE.chars().collect();
        for (at, length, insert) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + usize::from(length) * 4).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let problems = match text_named("x.yaml", &text) {
            Ok(document) => super::document(&document),
            Err(problem) => vec![*problem],
        };
        for problem in problems {
            prop_assert!(problem.position().is_some(), "{problem:?}");
            prop_assert!(problem.render(false).contains(&problem.finding.code.to_string()));
        }
    }
}
