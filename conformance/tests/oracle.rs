//! The oracle and the scenarios of this repository agree, expectation by expectation.
//!
//! `ORACLE_SCENARIOS` names other folders to look at, separated by `:`. With `--nocapture` the tests list what the oracle cannot judge.

use std::{collections::BTreeMap, path::PathBuf};

use conformance::oracle::{agrees, depends};
use simulator::cli::{
    args::Selection,
    load::{Loaded, load},
};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"))
}

fn loaded(paths: Vec<PathBuf>) -> Vec<Loaded> {
    let paths: Vec<_> = paths.into_iter().filter(|path| path.is_dir()).collect();
    if paths.is_empty() {
        return Vec::new();
    }
    load(&Selection { paths, only: Vec::new() }).expect("`simulator lint` tells what is wrong with the scenarios")
}

fn conformance() -> Vec<Loaded> {
    match std::env::var("ORACLE_SCENARIOS") {
        Ok(folders) => loaded(folders.split(':').map(PathBuf::from).collect()),
        Err(_) => loaded(vec![root().join("conformance")]),
    }
}

fn title(one: &Loaded) -> String {
    format!("{} ({})", one.file.display(), one.expanded.scenario.id)
}

/// Compares all of them; prints how much could be judged; returns the disagreements, and the scenarios without a judgement.
fn compare(scenarios: &[Loaded]) -> (Vec<String>, Vec<String>) {
    let (mut wrong, mut blind) = (Vec::new(), Vec::new());
    let (mut judged, mut unjudged) = (0, BTreeMap::<String, usize>::new());
    for one in scenarios {
        let found = agrees(&one.expanded.scenario);
        wrong.extend(found.disagreements.iter().map(|disagreement| format!("{}, {disagreement}", title(one))));
        blind.extend((found.judged == 0).then(|| title(one)));
        judged += found.judged;
        for open in &found.unjudged {
            println!("unjudged: {}, {open}", title(one));
            *unjudged.entry(open.why.clone()).or_default() += 1;
        }
    }
    let open: usize = unjudged.values().sum();
    println!("{} scenarios: {judged} expectations judged, {open} not:", scenarios.len());
    unjudged.iter().for_each(|(why, count)| println!("  {count} × {why}"));
    (wrong, blind)
}

#[test]
fn what_conformance_scenarios_expect_follows_from_the_specification() {
    let (wrong, blind) = compare(&conformance());
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
    assert!(blind.is_empty(), "the oracle can judge nothing of\n{}", blind.join("\n"));
}

/// How a suite writes its manifests, not what it asks: a mesh that reads nothing else needs other manifests.
const SPELLINGS: [(&str, &str); 2] = [("TS-25", "full-name"), ("API-03", "map")];

/// A mesh that reads an ambiguous clause in another way must not fail for it: only `reading` steps may depend on readings.
#[test]
fn what_conformance_scenarios_expect_holds_however_ambiguous_clauses_are_read() {
    let mut unfair = Vec::new();
    for one in &conformance() {
        for (clause, reading, disagreement) in depends(&one.expanded.scenario) {
            if !SPELLINGS.contains(&(clause, reading)) {
                unfair.push(format!("{}, if {clause} is read as `{reading}`, {disagreement}", title(one)));
            }
        }
    }
    assert!(unfair.is_empty(), "{} cases\n{}", unfair.len(), unfair.join("\n"));
}

#[test]
fn what_scenarios_of_our_own_mesh_expect_follows_from_the_specification() {
    let scenarios = loaded(["access", "split", "tcp", "permissive", "grpc"].map(|folder| root().join(folder)).to_vec());
    let (wrong, _) = compare(&scenarios);
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
}
