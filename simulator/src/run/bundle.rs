//! Everything about a scenario that did not pass, on disk, before it is taken down.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use mesh::snapshot::{ResourceType, Snapshot};

use super::folder;
use crate::{
    lab::{Lab, LabError},
    report::StepReport,
};

/// Writes the bundle, replacing an older one of the same scenario. Private keys are left out.
pub(super) async fn write(lab: &Lab, steps: &[StepReport], bundles: &Path, id: &str) -> Result<PathBuf, LabError> {
    let dir = folder(bundles, id);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("steps.json"), serde_json::to_string_pretty(steps).map_err(io::Error::other)?)?;
    fs::write(dir.join("world.txt"), format!("{:#?}\n", lab.world()))?;
    let diagnostics: Vec<_> = lab.diagnostics().iter().map(ToString::to_string).collect();
    fs::write(dir.join("diagnostics.txt"), diagnostics.join("\n"))?;
    fs::write(dir.join("snapshot-diff.txt"), differences(lab))?;
    if let Some(live) = &lab.live {
        for (pod, sidecar) in live.sidecars() {
            let file = |what: &str| dir.join(format!("{}.{}.{what}", pod.namespace, pod.name));
            let admin = sidecar.admin();
            // A sidecar that is gone has nothing to say; the rest of the bundle matters all the same.
            if let Ok(dump) = admin.config_dump().await {
                fs::write(file("config_dump.json"), serde_json::to_string_pretty(&dump).map_err(io::Error::other)?)?;
            }
            if let Ok(stats) = admin.stats(None).await {
                let lines: Vec<_> = stats.iter().filter(|(_, v)| **v > 0).map(|(k, v)| format!("{k}: {v}")).collect();
                fs::write(file("stats.txt"), lines.join("\n"))?;
            }
            fs::write(file("log"), sidecar.log().await)?;
        }
        if let Some(control) = live.control() {
            fs::write(dir.join("proxies.txt"), format!("{:#?}\n", control.proxies()))?;
        }
    }
    Ok(dir)
}

/// What each sidecar's configuration gained, lost and changed in the last step that changed anything.
fn differences(lab: &Lab) -> String {
    let mut text = String::new();
    for (pod, now) in lab.snapshots() {
        let before = lab.snapshots_before().get(pod).map(|s| &**s);
        let lines = difference(before, now);
        if !lines.is_empty() {
            let _ = writeln!(text, "{pod}\n{lines}");
        }
    }
    text
}

fn difference(before: Option<&Snapshot>, now: &Snapshot) -> String {
    let mut text = String::new();
    let old = |kind: ResourceType, name: &str| before.and_then(|b| b.get(kind, name));
    for (kind, name, resource) in now.iter() {
        match old(kind, name) {
            None => {
                let _ = writeln!(text, "  + {kind:?} {name} {resource:?}");
            }
            Some(was) if was.version != resource.version => {
                let _ = writeln!(text, "  ~ {kind:?} {name} {was:?} → {resource:?}");
            }
            Some(_) => {}
        }
    }
    for (kind, name, resource) in before.iter().flat_map(|b| b.iter()) {
        if now.get(kind, name).is_none() {
            let _ = writeln!(text, "  - {kind:?} {name} {resource:?}");
        }
    }
    text
}
