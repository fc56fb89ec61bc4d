//! Steps that change something.

use std::time::Duration;

use super::execution::Execution;
use crate::{
    judge::Verdict,
    lab::{CONVERGENCE, Lab, LabError},
    report::CheckReport,
    scenario::{
        duration,
        model::{ControlPlane, Fault, Rotation, Step, Until, Wait},
    },
};

impl Execution {
    /// Steps that change something. Returns how long the sidecars took, and what was checked on the way.
    pub(super) async fn changed(
        &self,
        step: &Step,
    ) -> (String, Result<(Option<Duration>, Vec<CheckReport>), LabError>) {
        let mut lab = self.lab.lock().await;
        if let Some(names) = &step.apply {
            let applied = apply(&mut lab, names, step).await;
            return (format!("apply {}", names.join(", ")), applied);
        }
        if let Some(names) = &step.delete {
            let mut took = Duration::ZERO;
            for name in names {
                match lab.delete(name).await {
                    Ok(more) => took += more,
                    Err(error) => return (format!("delete {name}"), Err(error)),
                }
            }
            return (format!("delete {}", names.join(", ")), Ok((Some(took), Vec::new())));
        }
        if let Some(wait) = &step.wait {
            return (format!("wait until {:?}", wait.until), wait_for(&lab, wait).await.map(|()| (None, Vec::new())));
        }
        if let Some(fault) = &step.fault {
            return (format!("fault {fault:?}"), strike(&mut lab, fault).await.map(|took| (took, Vec::new())));
        }
        ("nothing".into(), Err(LabError::Unknown("the step has no verb".into())))
    }
}

async fn apply(lab: &mut Lab, names: &[String], step: &Step) -> Result<(Option<Duration>, Vec<CheckReport>), LabError> {
    let mut took = Duration::ZERO;
    let mut found = Vec::new();
    for name in names {
        match (lab.apply(name).await, step.diagnostic.as_deref()) {
            (Ok(more), _) => took += more,
            (Err(LabError::Manifest { .. }), None) if step.may_refuse => {}
            (Err(LabError::Manifest { errors, .. }), Some(_)) => {
                found.extend(errors.iter().map(|error| (INVALID, error.to_string())));
            }
            (Err(error), _) => return Err(error),
        }
    }
    let Some(code) = step.diagnostic.as_deref() else { return Ok((Some(took), Vec::new())) };
    found.extend(lab.diagnostics().iter().map(|d| (d.code.as_str(), d.to_string())));
    let told = found.iter().any(|(found, _)| *found == code);
    let texts: Vec<_> = found.into_iter().map(|(_, text)| text).collect();
    let check = CheckReport::plain(
        format!("diagnostics after applying {}", names.join(", ")),
        format!("one of code {code}"),
        if told { Verdict::Pass } else { Verdict::Fail },
        if texts.is_empty() { "no diagnostic".into() } else { texts.join("; ") },
    );
    Ok((Some(took), vec![check]))
}

/// The code of what the API refuses to take: the other codes are those of objects that it takes.
const INVALID: &str = "Invalid";

async fn wait_for(lab: &Lab, wait: &Wait) -> Result<(), LabError> {
    let within = wait.within.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or(CONVERGENCE);
    match &wait.until {
        Until::Converged => lab.converged(within).await,
        Until::Connected => match &lab.live {
            Some(live) => live.connected(within).await,
            None => Ok(()),
        },
        Until::Rejected(workload) => {
            let pods: Vec<_> = lab.pods(workload)?.into_iter().map(|pod| pod.object.name).collect();
            match &lab.live {
                Some(live) => live.rejected(&pods, within).await.map(drop),
                None => Err(LabError::Unobservable("there is no Envoy that could refuse".into())),
            }
        }
    }
}

async fn strike(lab: &mut Lab, fault: &Fault) -> Result<Option<Duration>, LabError> {
    match fault {
        Fault::ControlPlane(ControlPlane::Kill) => {
            lab.kill_control_plane().await;
            Ok(None)
        }
        Fault::ControlPlane(ControlPlane::Start) => lab.start_control_plane().await.map(Some),
        Fault::RotateCertificates(Rotation::Leaves) => lab.rotate_leaves().await.map(Some),
        Fault::RotateCertificates(Rotation::Root) => lab.rotate_root().await.map(Some),
        Fault::AdvanceClock(by) => {
            let by = duration::parse(by).map_err(|error| LabError::Unknown(error.to_string()))?;
            lab.advance_clock(by).await.map(Some)
        }
        Fault::RestartProxy(workload) => {
            let pods = lab.pods(workload)?;
            lab.restart_sidecars(&pods).await.map(Some)
        }
        Fault::Ready(readiness) => {
            let pods = lab.pods(&readiness.workload)?;
            lab.set_ready(&pods, readiness.ready).await.map(Some)
        }
        Fault::Remove(workload) => {
            let pods = lab.pods(workload)?;
            lab.remove(&pods).await.map(Some)
        }
        Fault::Respond(change) => {
            let pods = lab.pods(&change.workload)?;
            lab.respond(&pods, &change.with)?;
            Ok(None)
        }
        Fault::Poison(workload) => {
            let pods = lab.pods(workload)?;
            lab.poison(&pods).await.map(|()| None)
        }
        Fault::Unpoison(workload) => {
            let pods = lab.pods(workload)?;
            lab.heal(&pods).await.map(Some)
        }
    }
}
