//! The HTML report in a browser. The report is that of a real run on Envoys, in which some weights and expectations were wrong.
//!
//! Where there is no Chromium (on PATH, or named by `CHROMIUM`) the tests are ignored, with the reason, unless `REQUIRE_REAL=1`.
//! `SCREENSHOTS=<folder>` keeps pictures of what was seen.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "html/browser.rs"]
mod browser;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use browser::Browser;
use conformance::report::{Report, html::html, json};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

const PROBE: &str = include_str!("html/probe.js");
const REPORT: &str = include_str!("html/report.json");
/// Every appearance that is tried: the width in pixels, and whether it is dark.
const LOOKS: [(u32, bool); 4] = [(1280, false), (1280, true), (375, false), (375, true)];

type Test = fn(&mut Browser, &Path) -> Result<(), Failed>;

fn main() -> ExitCode {
    let tests: [(&'static str, Test); 5] = [
        ("reads_well_on_every_screen", reads_well_on_every_screen),
        ("asks_nobody_and_complains_of_nothing", asks_nobody_and_complains_of_nothing),
        ("filters_clauses_by_status", filters_clauses_by_status),
        ("works_without_scripts", works_without_scripts),
        ("hostile_texts_do_nothing", hostile_texts_do_nothing),
    ];
    let binary = browser::find();
    let required = env::var("REQUIRE_REAL").is_ok_and(|value| value == "1");
    if binary.is_none() {
        eprintln!("no Chromium on PATH, and CHROMIUM is not set: the page is not tried in a browser");
    }
    let trials = tests.into_iter().map(|(name, test)| {
        let path = binary.clone();
        let run = move || match path {
            Some(path) => with_page(&path, &report(), test),
            None => Err("no Chromium: apt-get install chromium, or set CHROMIUM".into()),
        };
        Trial::test(name, run).with_ignored_flag(binary.is_none() && !required)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn report() -> Report {
    json::read(REPORT).unwrap()
}

/// Shows the report to the test, in a browser of its own.
fn with_page(browser: &Path, report: &Report, test: Test) -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    fs::write(&page, html(report).map_err(|error| error.to_string())?).unwrap();
    test(&mut Browser::start(browser), &page)
}

/// No sideways scrolling, text that can be told from its ground, headings in order, pictures with names.
fn reads_well_on_every_screen(browser: &mut Browser, page: &Path) -> Result<(), Failed> {
    for (width, dark) in LOOKS {
        browser.open(page, width, dark);
        browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        let found = browser.evaluate(PROBE);
        let look = format!("{width} px, {}", if dark { "dark" } else { "light" });
        check(&found["overflow"], &json!([]), &look)?;
        check(&found["contrast"], &json!([]), &look)?;
        check(&found["unnamed"], &json!([]), &look)?;
        let levels: Vec<u64> =
            found["headings"].as_array().unwrap().iter().map(|level| level.as_u64().unwrap()).collect();
        check(&(levels[0] == 1 && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1)).into(), &true.into(), &look)?;
        screenshot(browser, &format!("{width}-{}", if dark { "dark" } else { "light" }));
    }
    Ok(())
}

fn asks_nobody_and_complains_of_nothing(browser: &mut Browser, page: &Path) -> Result<(), Failed> {
    browser.open(page, 1280, false);
    browser.evaluate("document.querySelector('#filter button:nth-of-type(2)').click()");
    check(&complaints(browser), &json!([]), "complaints")?;
    let asked = browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
    let asked: Vec<&str> = asked.filter_map(|event| event["params"]["request"]["url"].as_str()).collect();
    let strange: Vec<_> = asked.iter().filter(|url| !url.starts_with("file:") && !url.starts_with("data:")).collect();
    check(&json!(strange), &json!([]), "requests")?;
    check(&asked.is_empty().into(), &false.into(), "requests are seen at all")
}

fn filters_clauses_by_status(browser: &mut Browser, page: &Path) -> Result<(), Failed> {
    let mut counts = BTreeMap::<String, usize>::new();
    let all = report().clauses;
    all.iter().for_each(|clause| *counts.entry(clause.status.to_string()).or_default() += 1);
    browser.open(page, 375, false);
    for (status, count) in &counts {
        browser.evaluate(&format!("document.querySelector('#filter [data-status=\"{status}\"]').click()"));
        check(&browser.evaluate(PROBE)["rows"], &json!(count), status)?;
        let pressed = "[...document.querySelectorAll('#filter [aria-pressed=true]')].map((one) => one.dataset.status)";
        check(&browser.evaluate(pressed), &json!([status]), "pressed")?;
    }
    let hidden = "document.querySelector('#clauses tr[data-status][hidden]').id";
    let id = browser.evaluate(hidden);
    browser.evaluate(&format!("location.hash = {id}; new Promise((done) => setTimeout(done))"));
    browser
        .call("Runtime.evaluate", &json!({"expression": "new Promise(requestAnimationFrame)", "awaitPromise": true}));
    check(&browser.evaluate(PROBE)["rows"], &json!(all.len()), "a link to what is hidden shows it")
}

fn works_without_scripts(browser: &mut Browser, page: &Path) -> Result<(), Failed> {
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(page, 375, false);
    check(&browser.evaluate(PROBE)["rows"], &json!(report().clauses.len()), "rows")?;
    check(&browser.evaluate("document.getElementById('filter').checkVisibility()"), &json!(false), "no dead buttons")
}

/// Every text of the report is hostile, and one word is longer than any screen.
fn hostile_texts_do_nothing(_: &mut Browser, _: &Path) -> Result<(), Failed> {
    let mut value: Value = serde_json::from_str(REPORT).unwrap();
    let keep = |key: &str| {
        matches!(key, "format" | "verdict" | "status" | "result" | "level" | "headerEncoding" | "apis" | "counts")
    };
    hostile(&mut value, &keep);
    let report = json::read(&value.to_string()).map_err(|error| error.to_string())?;
    with_page(&browser::find().unwrap(), &report, |browser, page| {
        for (width, dark) in LOOKS {
            browser.open(page, width, dark);
            browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
            check(
                &browser.evaluate("[typeof owned, document.images.length, document.scripts.length]"),
                &json!(["undefined", 0, 1]),
                "harm",
            )?;
            check(&complaints(browser), &json!([]), "complaints")?;
            check(&browser.evaluate(PROBE)["overflow"], &json!([]), &format!("{width} px"))?;
        }
        screenshot(browser, "hostile");
        Ok(())
    })
}

fn hostile(value: &mut Value, keep: &dyn Fn(&str) -> bool) {
    match value {
        Value::String(text) => {
            let harm = "</script></title><script>owned = 1</script><img src=x onerror=\"owned = 1\">\u{1b}[2J\u{202e}";
            *text = format!("{text}{harm}{}", "W".repeat(300));
        }
        Value::Array(all) => all.iter_mut().for_each(|one| hostile(one, keep)),
        Value::Object(fields) => {
            fields.iter_mut().filter(|(key, _)| !keep(key)).for_each(|(_, one)| hostile(one, keep));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Errors and warnings of the browser, and what scripts have thrown.
fn complaints(browser: &Browser) -> Value {
    let methods = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
    browser.events.iter().filter(|event| methods.iter().any(|method| event["method"] == *method)).cloned().collect()
}

fn check(found: &Value, expected: &Value, what: &str) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:#} instead of {expected}").into()),
    }
}

/// Keeps a picture of the top of the page if `SCREENSHOTS` names a folder.
fn screenshot(browser: &mut Browser, name: &str) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let Some(folder) = env::var_os("SCREENSHOTS").map(PathBuf::from) else { return };
    let picture = browser.call("Page.captureScreenshot", &json!({"format": "png"}));
    let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
    fs::write(folder.join(format!("report-{name}.png")), picture).unwrap();
}
