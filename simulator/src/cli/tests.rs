use std::{fs, path::Path};

use super::*;

/// Runs a command line; what it printed, and how it ended.
fn run(line: &[&str]) -> (String, Result<Exit, CliError>) {
    let cli = Cli::try_parse_from(["simulator"].iter().chain(line)).unwrap();
    let mut out = Vec::new();
    let exit = dispatch(cli.command, &mut out);
    (String::from_utf8(out).unwrap(), exit)
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_new_scenario_is_sound_and_never_overwrites() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(&directory, "My_first.yaml");
    assert_eq!(run(&["new", &file]).1.unwrap(), Exit::Pass);
    let (text, exit) = run(&["lint", &file]);
    assert_eq!((text.as_str(), exit.unwrap()), ("1 file: 0 errors, 0 warnings\n", Exit::Pass));
    assert!(fs::read_to_string(&file).unwrap().contains("id: my-first\n"));
    fs::write(&file, "mine").unwrap();
    assert!(matches!(run(&["new", &file]).1, Err(CliError::Usage(_))));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn lint_tells_errors_from_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(&directory, "a.yaml");
    run(&["new", &file]).1.unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("  bookthief: {}", "  bookthief: {}\n  idle: {}")).unwrap();
    let (shown, exit) = run(&["lint", &file]);
    assert!(shown.contains("unused-workload") && exit.unwrap() == Exit::Pass, "{shown}");
    fs::write(&file, text.replace("from: bookthief", "from: bookthieve")).unwrap();
    let (shown, exit) = run(&["lint", &file, "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(exit.unwrap(), Exit::Fail);
    assert_eq!(findings[0]["code"], "unused-workload");
    let findings = findings.as_array().unwrap().iter().skip(1).collect::<Vec<_>>();
    assert_eq!(findings[0]["field"], "steps[3].probes.rows[2].from");
    assert_eq!(findings[0]["hint"], "did you mean `bookthief`?");
    assert!(findings[0]["line"].as_u64().unwrap() > 50);
}

#[test]
fn list_shows_combinations_and_selects() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(&directory, "demo.yaml");
    run(&["new", &file]).1.unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("tags: [example]", "tags: [example]\nmatrix: {proto: [http1, http2]}")).unwrap();
    let (shown, exit) = run(&["list", directory.path().to_str().unwrap()]);
    assert_eq!(exit.unwrap(), Exit::Pass);
    insta::assert_snapshot!(shown, @r"
ID                  TITLE                                                           TAGS
demo[proto=http1]   The bookbuyer may read books, and nobody else may do anything   example
demo[proto=http2]   The bookbuyer may read books, and nobody else may do anything   example
");
    let (shown, _) = run(&["list", &file, "--only", "*http2]", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &"demo[proto=http2]".into()));
    assert!(matches!(run(&["list", &file, "--only", "nothing"]).1, Err(CliError::Usage(_))));
}

#[test]
fn the_schema_is_compared() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(&directory, "s.json");
    fs::write(&file, run(&["schema"]).0).unwrap();
    assert_eq!(run(&["schema", "--check", &file]).1.unwrap(), Exit::Pass);
    fs::write(&file, "{}").unwrap();
    assert_eq!(run(&["schema", "--check", &file]).1.unwrap(), Exit::Fail);
    assert!(run(&["schema", "--check", Path::new("/no/such").to_str().unwrap()]).1.is_err());
}

#[test]
fn unusable_files_are_errors_of_usage() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(&directory, "a.yaml");
    fs::write(&file, "scenario: [").unwrap();
    assert!(matches!(run(&["list", &file]).1, Err(CliError::Problems(problems)) if problems.len() == 1));
    assert!(matches!(run(&["lint", &path(&directory, "none")]).1, Err(CliError::Find(_))));
    assert_eq!(run(&["lint", &file]).1.unwrap(), Exit::Fail);
}
