//! What the control plane's snapshots become on their way to the sidecars.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{PoisonError, RwLock},
};

use mesh::{model::ObjectName, snapshot::Snapshot};

use crate::adapt::{Adaptation, adapt, redirect};

/// The snapshot as it is delivered: changed in the three documented places.
pub(super) fn adapted(
    adaptations: &RwLock<BTreeMap<ObjectName, Adaptation>>,
    collectors: &BTreeMap<String, SocketAddr>,
    pod: &ObjectName,
    mut snapshot: Snapshot,
) -> Snapshot {
    if let Err(error) = redirect(&mut snapshot, collectors) {
        tracing::error!(%pod, %error, "the snapshot cannot be led to the collectors");
    }
    let adaptations = adaptations.read().unwrap_or_else(PoisonError::into_inner);
    match adaptations.get(pod).map(|to| adapt(&snapshot, to)) {
        Some(Ok(adapted)) => adapted.snapshot,
        Some(Err(error)) => {
            tracing::error!(%pod, %error, "the snapshot cannot be adapted");
            snapshot
        }
        None => snapshot,
    }
}
