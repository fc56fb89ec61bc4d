//! Steps that change something.

use simulator::{
    judge::Verdict,
    report::CheckReport,
    run::Acted,
    scenario::model::{self, Fault, Step, Until},
};

use super::{External, broken, manifest};
use crate::target::{
    adapter::protocol::{
        Applied, Apply, Call, Change, Changed, ControlPlane, Delete, Done, Pods, Readied, Readiness, Ready, Selected,
    },
    ask::{AskError, asked},
};

/// What came of a change, beyond an error: words for the summary, and checks.
type Outcome = Result<(String, Vec<CheckReport>), AskError>;

impl External<'_> {
    /// Carries out a step that changes something or waits.
    pub(super) async fn change(&self, step: &Step) -> Acted {
        let (summary, outcome) = if let Some(names) = &step.apply {
            (format!("apply {}", names.join(", ")), self.apply(names, step.may_refuse).await)
        } else if let Some(names) = &step.delete {
            (format!("delete {}", names.join(", ")), self.delete(names).await)
        } else if let Some(fault) = &step.fault {
            (format!("fault {fault:?}"), self.strike(fault).await)
        } else if let Some(wait) = &step.wait {
            (format!("wait until {:?}", wait.until), self.wait(&wait.until).await)
        } else {
            ("nothing".to_owned(), Ok((String::new(), Vec::new())))
        };
        let (more, checks) = outcome.unwrap_or_else(|error| (String::new(), vec![broken(summary.clone(), &error)]));
        Acted { summary: format!("{summary}{more}"), convergence: None, checks }
    }

    async fn apply(&self, names: &[String], may_refuse: bool) -> Outcome {
        let mut told = String::new();
        for name in names {
            let objects = match manifest::objects(self.scenario, name, self.described.implementation.header_encoding) {
                Ok(objects) => objects,
                Err(why) => return Ok((told, vec![open(name, &why)])),
            };
            let call = Call::Apply(Apply { test: self.test.clone(), objects: objects.clone() });
            match asked(self.ask, &call, self.short()).await? {
                Applied::Accepted {} => {
                    self.world().applied(&objects);
                    self.state().applied.insert(name.clone(), objects);
                }
                Applied::Refused { reason } if may_refuse => {
                    told.push_str(&format!("; the mesh refuses {name}: {reason}"));
                }
                Applied::Refused { reason } => {
                    let what = format!("apply {name}");
                    let observed = format!("the mesh refuses it: {reason}");
                    return Ok((told, vec![CheckReport::plain(what, "to be accepted", Verdict::Fail, observed)]));
                }
            }
        }
        self.touch();
        Ok((told + &self.ready().await?, Vec::new()))
    }

    async fn delete(&self, names: &[String]) -> Outcome {
        for name in names {
            let encoding = self.described.implementation.header_encoding;
            let known = self.state().applied.remove(name);
            let objects = match known.map_or_else(|| manifest::objects(self.scenario, name, encoding), Ok) {
                Ok(objects) => objects,
                Err(why) => return Ok((String::new(), vec![open(name, &why)])),
            };
            let call =
                Call::Delete(Delete { test: self.test.clone(), objects: objects.iter().map(manifest::name).collect() });
            let Done {} = asked(self.ask, &call, self.short()).await?;
            self.world().deleted(&objects);
        }
        self.touch();
        Ok((self.ready().await?, Vec::new()))
    }

    async fn strike(&self, fault: &Fault) -> Outcome {
        let named = |workload: &str| self.world().pods(workload);
        let changed = match fault {
            Fault::ControlPlane(model::ControlPlane::Kill) => Ok(Changed::ControlPlane(ControlPlane::Stop)),
            Fault::ControlPlane(model::ControlPlane::Start) => Ok(Changed::ControlPlane(ControlPlane::Start)),
            Fault::Ready(readiness) => {
                named(&readiness.workload).map(|pods| Changed::Ready(Readiness { pods, ready: readiness.ready }))
            }
            Fault::Remove(workload) => named(workload).map(|pods| Changed::Remove(Pods { pods })),
            Fault::Respond(change) => {
                named(&change.workload).map(|pods| Changed::Respond(Selected { pods, respond: change.with.clone() }))
            }
            _ => Err("a mesh behind a protocol has no such fault".to_owned()),
        };
        let changed = match changed {
            Ok(changed) => changed,
            Err(why) => return Ok((String::new(), vec![open("fault", &why)])),
        };
        let call = Call::Change(Change { test: self.test.clone(), change: changed.clone() });
        let Done {} = asked(self.ask, &call, self.short().max(self.bound())).await?;
        match &changed {
            Changed::ControlPlane(what) => self.state().up = *what == ControlPlane::Start,
            Changed::Remove(Pods { pods }) => self.world().remove(pods),
            Changed::Ready(_) | Changed::Respond(_) => {}
        }
        self.touch();
        Ok((self.ready().await?, Vec::new()))
    }

    async fn wait(&self, until: &Until) -> Outcome {
        match until {
            Until::Converged | Until::Connected => Ok((self.ready().await?, Vec::new())),
            Until::Rejected(_) => {
                Ok((String::new(), vec![open("wait", "a mesh behind a protocol does not tell what proxies refuse")]))
            }
        }
    }

    /// Waits until the mesh says that it follows. If it does not say so in time, traffic will tell.
    async fn ready(&self) -> Result<String, AskError> {
        if !self.state().up {
            return Ok(String::new());
        }
        let within_ms = simulator::run::millis(self.bound());
        let call = Call::Ready(Ready { test: self.test.clone(), within_ms });
        let Readied { ready, waiting_for } = asked(self.ask, &call, self.bound() + self.short()).await?;
        let what = waiting_for.as_deref().unwrap_or("does not say what for");
        Ok(if ready { String::new() } else { format!("; the mesh is still waiting: {what}") })
    }
}

/// What cannot be carried out here, and says nothing about the mesh.
fn open(what: &str, why: &str) -> CheckReport {
    CheckReport::plain(what, "", Verdict::Inconclusive, why)
}
