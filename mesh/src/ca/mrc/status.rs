//! What each MeshRootCertificate is told about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Mrc, Succession};
use crate::{api::mesh_root_certificate::Role, ca::Roots, model::ObjectName};

/// `status` of a MeshRootCertificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MrcStatus {
    /// Where the root stands. A control plane that starts again goes on from here.
    pub state: State,
    /// What the root does for each part of the mesh.
    pub component_statuses: Components,
    /// `Accepted`, `Issuing` and `Validating`.
    pub conditions: [Told; 3],
}

/// `status.state`, in the words of OSM 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is trusted besides the one that signs, and has not signed yet.
    ValidatingRollout,
    /// It signs; some certificates are still another's.
    IssuingRollout,
    /// It signs, and has signed every certificate.
    Active,
    /// It signs no more; some certificates are still its own.
    IssuingRollback,
    /// It signs no more, no certificate is its own, and it is still trusted.
    ValidatingRollback,
    /// It is neither trusted nor used.
    Inactive,
    /// The object cannot be followed, and its root is not in force.
    Error,
}

/// `status.componentStatuses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Components {
    /// Webhooks have a root of their own, so `unused`.
    pub validating_webhook: Component,
    /// As `validating_webhook`.
    pub mutating_webhook: Component,
    /// As `validating_webhook`.
    pub xds_control_plane: Component,
    /// Workloads.
    pub sidecar: Component,
    /// As `validating_webhook`.
    pub bootstrap: Component,
    /// The ingress gateway, if it has a certificate.
    pub gateway: Component,
}

/// What a root does for one part of the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// It signs, and is trusted.
    Issuing,
    /// It is trusted.
    Validating,
    /// It is neither.
    Unused,
    /// Not every proxy has acknowledged it yet.
    Unknown,
}

/// A condition, without its times: those are added when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// `Accepted`, `Issuing` or `Validating`.
    pub r#type: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// The generation of the object that this is about.
    pub observed_generation: i64,
}

/// How far the last step has spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Certificates that the previous root has signed are still in force.
    pub leaves_of_previous: usize,
    /// What is being waited for, if anything is.
    pub waiting: Option<&'static str>,
    /// The ingress gateway has a certificate.
    pub gateway: bool,
}

impl Succession {
    /// What each object is told.
    pub fn report(&self, spread: &Spread) -> BTreeMap<ObjectName, MrcStatus> {
        self.objects.iter().map(|(name, mrc)| (name.clone(), self.status(name, mrc, spread))).collect()
    }

    fn status(&self, name: &ObjectName, mrc: &Mrc, spread: &Spread) -> MrcStatus {
        let state = self.state(name, mrc, spread);
        let told = |r#type, (status, reason, message): (&'static str, &'static str, String)| Told {
            r#type,
            status,
            reason,
            message,
            observed_generation: mrc.generation,
        };
        MrcStatus {
            state,
            component_statuses: components(state, spread),
            conditions: [
                told("Accepted", self.accepted(mrc)),
                told("Issuing", self.issuing(name, state, spread)),
                told("Validating", self.validating(name, state, spread)),
            ],
        }
    }

    fn state(&self, name: &ObjectName, mrc: &Mrc, spread: &Spread) -> State {
        let leaves = spread.leaves_of_previous > 0;
        match &self.roots {
            Some(Roots::Stable(current) | Roots::Introduced { current, .. }) if current == name => State::Active,
            Some(Roots::Replacing { current, .. }) if current == name && leaves => State::IssuingRollout,
            Some(Roots::Replacing { current, .. }) if current == name => State::Active,
            Some(Roots::Introduced { next, .. }) if next == name => State::ValidatingRollout,
            Some(Roots::Replacing { previous, .. }) if previous == name && leaves => State::IssuingRollback,
            Some(Roots::Replacing { previous, .. }) if previous == name => State::ValidatingRollback,
            // Before the first step what was written stands: it is where the mesh was left.
            None if mrc.written.is_some() => mrc.written.unwrap_or(State::Inactive),
            _ if mrc.spec.is_err() || (self.refused().is_some() && is_wanted(mrc)) => State::Error,
            _ => State::Inactive,
        }
    }

    fn accepted(&self, mrc: &Mrc) -> (&'static str, &'static str, String) {
        match (&mrc.spec, self.refused()) {
            (Err(fault), _) => ("False", "Invalid", fault.to_string()),
            (Ok(_), Some(error)) if is_wanted(mrc) => {
                ("False", error.reason(), format!("{error}. The roots in force stay until then"))
            }
            (Ok(_), _) => ("True", "Accepted", String::new()),
        }
    }

    fn issuing(&self, name: &ObjectName, state: State, spread: &Spread) -> (&'static str, &'static str, String) {
        let wanted = matches!(&self.goal, Some(Ok(goal)) if goal.signing == *name);
        match state {
            State::Active => ("True", "Signs", String::new()),
            State::IssuingRollout => {
                let left = spread.leaves_of_previous;
                ("True", "Replacing", format!("{left} certificates of the previous root are being replaced"))
            }
            _ if wanted => ("False", "Pending", self.pending(spread)),
            State::IssuingRollback => ("False", "Replacing", "its last certificates are being replaced".to_owned()),
            _ => ("False", "NotUsed", String::new()),
        }
    }

    fn validating(&self, name: &ObjectName, state: State, spread: &Spread) -> (&'static str, &'static str, String) {
        let wanted =
            matches!(&self.goal, Some(Ok(goal)) if goal.signing == *name || goal.passive.as_ref() == Some(name));
        match state {
            State::Inactive | State::Error if wanted => ("False", "Pending", self.pending(spread)),
            State::Inactive | State::Error => ("False", "NotUsed", String::new()),
            State::ValidatingRollout if spread.waiting.is_some() => ("Unknown", "Spreading", self.pending(spread)),
            _ => ("True", "Trusted", String::new()),
        }
    }

    fn pending(&self, spread: &Spread) -> String {
        match (&self.failure, spread.waiting) {
            (Some((_, why)), _) => why.clone(),
            (None, Some(waiting)) => format!("waiting for {waiting}"),
            (None, None) => "next".to_owned(),
        }
    }
}

fn is_wanted(mrc: &Mrc) -> bool {
    mrc.spec.as_ref().is_ok_and(|spec| spec.role != Role::Inactive)
}

fn components(state: State, spread: &Spread) -> Components {
    let sidecar = match state {
        State::Active | State::IssuingRollout => Component::Issuing,
        State::ValidatingRollout if spread.waiting.is_some() => Component::Unknown,
        State::ValidatingRollout | State::IssuingRollback | State::ValidatingRollback => Component::Validating,
        State::Inactive | State::Error => Component::Unused,
    };
    let unused = Component::Unused;
    Components {
        validating_webhook: unused,
        mutating_webhook: unused,
        xds_control_plane: unused,
        sidecar,
        bootstrap: unused,
        gateway: if spread.gateway { sidecar } else { unused },
    }
}
