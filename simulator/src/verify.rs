//! Scenarios for `cargo test` in other people's repositories: does what our manifests say hold?

use std::{fmt, path::PathBuf};

use tokio::sync::mpsc;

use crate::{
    envoy::{Backend, Preference, Wish, choose},
    judge::Verdict,
    report::{self, ScenarioReport, Style},
    run::{Settings, Task, run_one},
    scenario::{
        Scenario, check,
        expand::expand,
        problem::Problem,
        read::{self, Document},
    },
};

/// What does not hold, or why nothing is known: the text that `simulator run` prints, also from `{:?}`, so that `unwrap` and
/// `fn main() -> Result<(), Failure>` show it in full.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Scenario {
    /// Runs the scenario on the evaluator: no Envoy, exact weights, milliseconds.
    ///
    /// ```
    /// use simulator::{Scenario, scenario::builder::{denied, step, traffic}};
    ///
    /// Scenario::new("nobody-is-let-in")
    ///     .workload("thief", |w| w)
    ///     .workload("bank", |w| w.service("bank").port("http", 8080))
    ///     .step(step().traffic(traffic("thief", "bank").get("/gold"), denied()))
    ///     .verify()?;
    /// # Ok::<(), simulator::Failure>(())
    /// ```
    ///
    /// # Errors
    /// [`Failure`] if an expectation does not hold or cannot be observed, and if the scenario itself is wrong.
    pub fn verify(&self) -> Result<(), Failure> {
        self.verify_on(Preference::Evaluator)
    }

    /// Runs the scenario where it is wanted. With [`Preference::Process`] and [`Preference::Container`] real Envoys carry the
    /// traffic, and the evaluator must agree with them; what is missing for that is installed.
    ///
    /// Blocks. May be called from anywhere, asynchronous tests included.
    ///
    /// # Errors
    /// As [`Scenario::verify`]; also if the backend cannot be had.
    pub fn verify_on(&self, preference: Preference) -> Result<(), Failure> {
        let tasks = tasks(self)?;
        // A thread of its own: a runtime cannot be started inside another one.
        let verifying = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failure(format!("cannot start the runtime: {error}")))?;
            runtime.block_on(run_all(&tasks, preference))
        });
        verifying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

async fn run_all(tasks: &[Task], preference: Preference) -> Result<(), Failure> {
    let wish = Wish { preference, ..Wish::default() };
    let choice = choose(&wish).await.map_err(|error| Failure(error.to_string()))?;
    let settings = Settings { reason: choice.reason, ..Settings::evaluator(rand::random()) };
    let settings = Settings { backend: choice.backend, ..settings };
    let mut failures = String::new();
    for task in tasks {
        let (events, _) = mpsc::unbounded_channel();
        let report = run_one(task, &settings, &events).await;
        if report.verdict != Verdict::Pass {
            failures.push_str(&failure(&report, &settings.backend));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures)) }
}

/// There is no file that a command could run again, and without Envoys the bundle says nothing more.
fn failure(report: &ScenarioReport, backend: &Backend) -> String {
    let text = report::failure(report, Style::Plain);
    let useless = |line: &&str| {
        line.starts_with("  file ")
            || line.starts_with("  again ")
            || (*backend == Backend::Evaluator && line.starts_with("  bundle "))
    };
    text.lines().filter(|line| !useless(line)).map(|line| format!("{line}\n")).collect()
}

/// Every combination of the scenario's matrix, after the checks that a file goes through.
fn tasks(scenario: &Scenario) -> Result<Vec<Task>, Failure> {
    let file = PathBuf::from(format!("{}.yaml", scenario.id));
    let yaml = scenario.to_yaml().map_err(|error| Failure(error.to_string()))?;
    let document = read::text_named(&file.display().to_string(), &yaml).map_err(|problem| said(&[*problem]))?;
    sound(&document)?;
    let expanded = expand(&document).map_err(|problems| said(&problems))?;
    Ok(expanded.into_iter().map(|one| Task { file: file.clone(), scenario: one.scenario }).collect())
}

fn sound(document: &Document) -> Result<(), Failure> {
    let errors: Vec<_> = check::document(document).into_iter().filter(Problem::is_error).collect();
    if errors.is_empty() { Ok(()) } else { Err(said(&errors)) }
}

fn said(problems: &[Problem]) -> Failure {
    Failure(problems.iter().map(|problem| problem.render(false)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{
        builder::{delivered, denied, step, traffic},
        model,
    };

    fn bank() -> Scenario {
        Scenario::new("bank").workload("thief", |w| w).workload("bank", |w| w.service("bank").port("http", 8080))
    }

    #[test]
    fn what_holds_is_verified_and_what_does_not_is_told() {
        let holds = bank().step(step().traffic(traffic("thief", "bank").get("/gold"), denied()));
        assert_eq!(holds.verify(), Ok(()));
        let fails = bank().step(step().traffic(traffic("thief", "bank").get("/gold"), delivered()));
        let said = fails.verify().unwrap_err();
        let shown = format!("{said:?}");
        assert!(
            shown.contains("thief → bank GET /gold  (failed)") && shown.contains("expected     allowed"),
            "{shown}"
        );
        assert!(shown.contains("to allow it") && !shown.contains("bundle"), "{shown}");
    }

    #[test]
    fn every_combination_of_a_matrix_is_run() {
        let step = step().traffic(traffic("${who}", "bank").get("/gold"), denied());
        let mut scenario = bank().workload("robber", model::Workload::outside_mesh).step(step);
        scenario.matrix = [("who".to_owned(), vec!["thief".to_owned(), "robber".to_owned()])].into();
        assert_eq!(tasks(&scenario).unwrap().len(), 2);
        assert_eq!(scenario.verify(), Ok(()));
    }

    #[test]
    fn a_wrong_scenario_is_refused_with_the_place() {
        let scenario = bank().step(step().traffic(traffic("thieve", "bank"), denied()));
        let said = scenario.verify().unwrap_err().to_string();
        assert!(said.contains("did you mean `thief`?") && said.contains("bank.yaml:"), "{said}");
    }

    #[tokio::test]
    async fn asynchronous_tests_may_verify_too() {
        let holds = bank().step(step().traffic(traffic("thief", "bank"), denied()));
        assert_eq!(holds.verify(), Ok(()));
    }
}
