//! The manifests of a scenario, and the services beside the mesh that they name.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use super::{LabError, Options, live::Runtime, subnet::Subnet};
use crate::{
    extension::{Running, resolved},
    scenario::model::{Manifest, Scenario},
};

/// The texts of all resources, with the addresses of the services beside the mesh, and these services, which run if anything does.
pub(super) async fn prepare(
    scenario: &Scenario,
    file: &Path,
    options: &Options,
    subnet: &Subnet,
) -> Result<(BTreeMap<String, (String, String)>, Vec<Running>), LabError> {
    let address = match &options.runtime {
        Some(Runtime::Container { network, .. }) => network.gateway(),
        _ => subnet.control_plane(),
    };
    let mut running = Vec::new();
    for extension in scenario.extensions.values().filter(|_| options.runtime.is_some()) {
        running.extend(Running::start(extension, SocketAddr::new(address, extension.port)).await?);
    }
    let mut texts = texts(scenario, file)?;
    for (text, _) in texts.values_mut() {
        *text = resolved(text, scenario.extensions.keys(), &address.to_string());
    }
    Ok((texts, running))
}

/// The texts of all resources, each with the name that errors call it by.
fn texts(scenario: &Scenario, file: &Path) -> Result<BTreeMap<String, (String, String)>, LabError> {
    let mut texts = BTreeMap::new();
    for (name, resource) in &scenario.resources {
        let (text, source) = match resource {
            Manifest::Inline(text) => (text.clone(), format!("{} resources.{name}", file.display())),
            Manifest::File(beside) => {
                let path = file.parent().unwrap_or(Path::new(".")).join(&beside.file);
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| LabError::Unknown(format!("resource {name}: {}: {error}", path.display())))?;
                (text, path.display().to_string())
            }
        };
        texts.insert(name.clone(), (text, source));
    }
    Ok(texts)
}
