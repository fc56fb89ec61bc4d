use super::*;
use crate::report::{RunVerdict, TestVerdict, assemble, sample};

fn page(report: &Report) -> String {
    html(report).unwrap_or_else(|error| panic!("{error:#}\n{:?}", error.display_debug_info().to_string()))
}

#[test]
fn says_what_a_stranger_needs() {
    let page = page(&sample::report());
    for said in [
        "Halfmesh 1.2.3",
        "<strong>FAIL.</strong> Halfmesh 1.2.3 breaks",
        "web-v2 gets too much",
        "301 × an answer: status 200 from web-v1-0",
        "outbound-listener takes 10.0.0.1:8080",
        "kind: TrafficSplit",
        "smi-conformance run --only &#x27;conformance.split.weights[proto=http1]&#x27; --seed 7",
        "declared 70 % (weight 70), observed 60.1 % (301 requests; between 52.7 % and 67 % at 99.9 % confidence)",
        "● this mesh: left-out",
        "○ share-fails",
        "caught 62",
        "Readiness",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
}

#[test]
fn nothing_comes_from_outside() {
    let page = page(&sample::report());
    for forbidden in
        ["src=", "@import", "url(", "<iframe", "<link rel=\"stylesheet", "href=\"http", "style=\"", "onclick"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn hostile_texts_stay_texts() {
    const HOSTILE: &str = "</script></style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{0}\u{1b}[31m\u{202e}{{ 7 * 1111 }}";
    let mut report = sample::report();
    report.implementation.project = HOSTILE.to_owned();
    report.implementation.url = Some("javascript:alert(1)".to_owned());
    report.implementation.contact = vec![HOSTILE.to_owned()];
    report.run.replay = HOSTILE.to_owned();
    report.run.environment.reason = HOSTILE.to_owned();
    report.suite.version = HOSTILE.to_owned();
    report.features[0].name = HOSTILE.to_owned();
    report.profiles[0].core.unclaimed = vec![HOSTILE.to_owned()];
    report.clauses[0].id = HOSTILE.to_owned();
    report.clauses[0].alternatives.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    for test in &mut report.tests {
        for text in [&mut test.id, &mut test.title, &mut test.file, &mut test.replay] {
            *text = HOSTILE.to_owned();
        }
        test.reason = Some(HOSTILE.to_owned());
        for check in test.steps.iter_mut().flat_map(|step| &mut step.checks) {
            for text in [&mut check.what, &mut check.expected, &mut check.observed] {
                *text = HOSTILE.to_owned();
            }
            check.client_saw = vec![HOSTILE.to_owned()];
            check.trace = vec![HOSTILE.to_owned()];
            check.remedy = Some(HOSTILE.to_owned());
            if let Some(statistics) = &mut check.statistics {
                statistics["categories"][0]["name"] = HOSTILE.into();
            }
        }
    }
    let page = page(&report);
    assert_eq!(page.matches("<script>").count(), 1, "only ours");
    assert!(!page.contains("<img") && !page.contains("7777"), "nothing is run");
    assert!(!page.contains("href=\"javascript"), "no link leads out");
    assert!(!page.contains(|c: char| is_hidden(c)), "what cannot be seen is shown");
    assert!(page.contains('\u{2400}') && page.contains('\u{241b}') && page.contains('\u{fffd}'));
}

#[test]
fn strange_figures_are_no_plot_and_no_panic() {
    for figures in [
        serde_json::json!({"n": 0, "delta": 0.05, "alpha": 0.0, "beta": 1e-320, "categories": []}),
        serde_json::json!({"n": 0, "delta": 1e300, "alpha": 2.0, "beta": -1.0, "categories":
            [{"weight": 0, "declared": -7.0, "count": u64::MAX, "interval": [5.0, -5.0]}]}),
        serde_json::json!("none"),
        serde_json::json!({"share": "1/2"}),
    ] {
        let mut report = sample::report();
        report.tests[0].steps[1].checks[0].statistics = Some(figures);
        assert!(!page(&report).contains("=\"-"), "no negative length");
    }
}

#[test]
fn an_empty_run_says_so() {
    let report = assemble(sample::circumstances(), sample::suite(), sample::mesh(&[]), Vec::new());
    assert_eq!(report.run.verdict, RunVerdict::Inconclusive);
    let page = page(&report);
    assert!(page.contains("no test was run") && page.contains("No test was run. That is not a pass."));
    assert!(!page.contains("id=\"attention\""));
}

#[test]
fn failures_come_before_everything_else() {
    let page = page(&sample::report());
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("id=\"attention\"") < place("id=\"profiles\""));
    let attention = &page[place("id=\"attention\"")..place("id=\"profiles\"")];
    let first = |verdict: TestVerdict| attention.find(&format!("</span> {verdict}</span>")).unwrap();
    assert!(first(TestVerdict::Failed) < first(TestVerdict::Flaky));
    assert!(first(TestVerdict::Flaky) < first(TestVerdict::KnownFailing));
}

#[test]
fn a_reading_that_the_catalogue_does_not_know_is_shown_all_the_same() {
    let mut report = sample::report();
    let read = report.clauses.iter_mut().find(|clause| !clause.readings.is_empty()).unwrap();
    read.alternatives.clear();
    assert!(page(&report).contains("● this mesh: left-out"));
}
