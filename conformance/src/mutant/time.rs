//! Meshes whose control plane does not come back as it was.

use simulator::lab::mutation::is_policy;

use super::Mutant;

/// The mutants of restarts.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant::believing(
        "restart-forgets",
        "After a restart of the control plane no policy holds that was written before.",
        |known, past| {
            let Some(restarted) = past.restarted else { return };
            let written = &known.written;
            known.objects.retain(|name, _| {
                !is_policy(name.kind) || written.get(name).is_none_or(|written| *written > restarted)
            });
        },
    ),
    Mutant::believing(
        "restart-opens",
        "After a restart of the control plane everybody may call everybody.",
        |known, past| known.settings.permissive |= past.restarted.is_some(),
    ),
    Mutant::believing(
        "restart-stale",
        "Policies that are deleted while the control plane is down still hold when it is back.",
        |known, past| {
            for (name, object) in &past.missed {
                known.objects.entry(name.clone()).or_insert_with(|| object.clone());
            }
        },
    ),
];
