use super::*;

/// Runs a command line; what it printed, and how it ended.
fn run(line: &[&str]) -> (String, Result<u8, CliError>) {
    let cli = Cli::try_parse_from(["smi-conformance"].iter().chain(line)).unwrap();
    let mut out = Vec::new();
    let ended = dispatch(cli.command, &mut out);
    (String::from_utf8(out).unwrap(), ended)
}

#[test]
fn clauses_are_printed_for_readers_and_for_programs() {
    let (table, ended) = run(&["clauses", "--api", "split", "--level", "must", "--level", "may"]);
    ended.unwrap();
    insta::assert_snapshot!(table, @r"
ID       API                LEVEL   PROOF       REQUIREMENT
API-05   split v1alpha2-4   must    admission   A fractional or negative weight is refused; it never becomes a different
                                                weight in silence.
API-06   split v1alpha4     may     admission   A mesh may refuse more than the published schema does.
TS-12    split v1alpha1-4   must    traffic     A backend that lacks the port on which the root is called receives nothing.

3 clauses
");
    let (json, ended) = run(&["clauses", "-o", "json", "--level", "ambiguous"]);
    ended.unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["id"], "API-03");
    assert_eq!(json[0]["apis"]["specs"], serde_json::json!(["v1alpha2", "v1alpha3", "v1alpha4"]));
    assert_eq!(json[0]["ours"], "both");
    let (yaml, ended) = run(&["clauses", "-o", "yaml", "--level", "ambiguous"]);
    ended.unwrap();
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml, json, "both say the same");
}

#[test]
fn the_matrix_tells_what_is_missing_and_refuses_unknown_clauses() {
    let directory = tempfile::tempdir().unwrap();
    let text = "scenario: smi/v1\nid: a\ntitle: A.\nclauses: [TS-12]\nworkloads: {a: {}, b: {}}\n\
                steps:\n- traffic: {from: a, to: b}\n  expect: {allowed: true}\n";
    let write = |text: &str| std::fs::write(directory.path().join("a.yaml"), text).unwrap();
    let line = ["clauses", "--level", "must", "--matrix", directory.path().to_str().unwrap()];
    write(text);
    let (table, ended) = run(&line);
    ended.unwrap();
    insta::assert_snapshot!(table, @r"
ID       LEVEL   PROOF       SCENARIOS   BACKENDS
API-04   must    traffic     NONE YET
API-05   must    admission   NONE YET
TS-12    must    traffic     a.yaml      epca

3 clauses, of which 3 bind a mesh and need no cluster to be shown: 1 shown, 0 not, for a reason
no scenario yet: API-04 API-05
e: evaluator, p: Envoy processes, c: Envoy in containers, a: any mesh, by an adapter
");
    write(&text.replace("TS-12", "TS-12, TS-77"));
    let (table, ended) = run(&line);
    assert!(table.contains("TS-12"), "{table}");
    assert!(ended.unwrap_err().to_string().contains("TS-77 (a.yaml)"));
    write("scenario: smi/v1\nid: a\ntitel: A.\n");
    assert!(matches!(run(&line).1, Err(CliError::Scenarios(ScenarioError::Problems(_)))));
}

#[test]
fn the_directory_of_the_matrix_may_be_left_out() {
    let cli = Cli::try_parse_from(["smi-conformance", "clauses", "--matrix", "-o", "json"]).unwrap();
    let Command::Clauses(args) = cli.command else { panic!("{cli:?}") };
    assert_eq!((args.matrix.unwrap().to_str(), args.output), (Some("scenarios"), Output::Json));
    assert!(Cli::try_parse_from(["smi-conformance", "clauses", "--level", "maybe"]).is_err());
}
