//! `simulator explain`: the way of one request through the generated configuration.

use std::io::{self, Write};

use serde_json::json;

use super::{
    CliError, Exit,
    args::{Explain, Format, Selection},
    load::load,
};
use crate::{
    envoy::Variant,
    judge::exact::Fraction,
    lab::{Lab, LabError, Options},
    run::{
        aim::Aim,
        because::because,
        expect::kebab,
        predict::{Prediction, words},
        remedy,
    },
    scenario::{
        Scenario,
        model::{OwnTls, Step, Traffic},
    },
};

/// Explains one request.
pub(super) fn explain(args: &Explain, out: &mut dyn Write) -> Result<Exit, CliError> {
    let selection = Selection { paths: vec![args.file.clone()], only: args.only.clone() };
    let Some(one) = load(&selection)?.into_iter().next() else {
        return Err(CliError::Usage(format!("{} holds no scenario", args.file.display())));
    };
    let scenario = one.expanded.scenario;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| CliError::Io("start the runtime".into(), error))?;
    let explained = runtime.block_on(async {
        let dir = tempfile::tempdir()?;
        let options =
            Options { runtime: None, variant: Variant::Delta, seed: 0, dir: dir.path().to_owned(), mutation: None };
        let mut lab = Lab::start(&scenario, &one.file, &options).await?;
        bring(&mut lab, &scenario, args.step.as_deref()).await?;
        describe(&lab, args)
    });
    let explained = explained.map_err(|error: LabError| CliError::Usage(error.to_string()))?;
    let text = match args.format {
        Format::Text => explained.text(args),
        Format::Json => {
            serde_json::to_string_pretty(&explained.json).map_err(|error| CliError::Usage(error.to_string()))? + "\n"
        }
    };
    out.write_all(text.as_bytes()).map_err(|error: io::Error| CliError::Io("standard output".into(), error))?;
    Ok(Exit::Pass)
}

/// Carries out the steps that change what is applied, up to and with the one named.
async fn bring(lab: &mut Lab, scenario: &Scenario, upto: Option<&str>) -> Result<(), LabError> {
    let number = upto.and_then(|text| text.parse::<usize>().ok());
    if let Some(id) = upto.filter(|_| number.is_none())
        && !scenario.steps.iter().any(|s| s.id.as_deref() == Some(id))
    {
        return Err(LabError::Unknown(format!("no step is called {id}; give its id or number")));
    }
    for (i, step) in scenario.steps.iter().enumerate() {
        if number.is_some_and(|n| i >= n) {
            break;
        }
        change(lab, step).await?;
        if upto.is_some() && step.id.as_deref() == upto {
            break;
        }
    }
    Ok(())
}

async fn change(lab: &mut Lab, step: &Step) -> Result<(), LabError> {
    for name in step.apply.iter().flatten() {
        lab.apply(name).await?;
    }
    for name in step.delete.iter().flatten() {
        lab.delete(name).await?;
    }
    Ok(())
}

struct Explained {
    aim: String,
    outcomes: Vec<String>,
    json: serde_json::Value,
}

impl Explained {
    fn text(&self, args: &Explain) -> String {
        let when = args.step.as_deref().map_or_else(|| "after all steps".to_owned(), |s| format!("after step {s}"));
        format!("{}  ({when})\n\n{}", self.aim, self.outcomes.join("\n"))
    }
}

fn describe(lab: &Lab, args: &Explain) -> Result<Explained, LabError> {
    let traffic = Traffic {
        from: args.from.clone(),
        to: args.to.clone(),
        method: args.method.clone(),
        path: args.get.clone().or_else(|| args.path.clone()),
        headers: args.headers.iter().cloned().collect(),
        proto: args.proto,
        tls: args.sni.clone().map(|sni| OwnTls { sni: Some(sni) }),
        ..Traffic::default()
    };
    let aim = Aim::new(lab, &traffic)?;
    let prediction = Prediction::of(lab.evaluator(), &aim);
    let prediction = prediction.map_err(|unmodelled| LabError::Unobservable(unmodelled.to_string()))?;
    let mut texts = Vec::new();
    let mut values = Vec::new();
    for outcome in &prediction.outcomes {
        let share = if outcome.share == Fraction::ONE {
            "every request".into()
        } else {
            format!("{} of the requests", outcome.share)
        };
        let mut text = format!("{share}: {}\n", words(&outcome.verdict));
        for line in &outcome.trace {
            text.push_str(&format!("  {line}\n"));
        }
        let mut value =
            json!({ "share": outcome.share.to_string(), "verdict": &outcome.verdict, "trace": outcome.trace });
        if let crate::evaluator::Verdict::Denied(denial) = &outcome.verdict {
            let reason = kebab(&because(lab, &aim, denial));
            text.push_str(&format!("  because of {reason}\n"));
            value["because"] = json!(reason);
            if let Some(remedy) = remedy(lab, &aim, denial) {
                text.push_str(&format!(
                    "  what would have allowed it: {}\n",
                    remedy.trim_end().replace('\n', "\n    ")
                ));
                value["remedy"] = json!(remedy);
            }
        }
        texts.push(text);
        values.push(value);
    }
    for diagnostic in lab.diagnostics() {
        texts.push(format!("note: {diagnostic}\n"));
    }
    Ok(Explained { json: json!({ "request": aim.what, "outcomes": values }), aim: aim.what, outcomes: texts })
}
