//! The manifests of a scenario, and the services beside the mesh that they name.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use mesh::api::{Manifest as Parsed, parse};

use super::{
    Lab, LabError, Options,
    live::Runtime,
    subnet::Subnet,
    topology::{Addresses as _, DEFAULT_NAMESPACE},
};
use crate::{
    extension::{Running, resolved},
    scenario::model::{Manifest, Scenario},
};

impl Lab {
    /// Creates or updates the objects of a text that no resource of the scenario holds, as [`Lab::apply`] does.
    ///
    /// # Errors
    /// [`LabError::Manifest`] if the API refuses one of them.
    pub async fn apply_text(&mut self, text: &str) -> Result<Duration, LabError> {
        let manifests = parsed(text)?;
        let subnet = &mut self.subnet;
        let changes = self.store.apply(manifests, || subnet.service())?;
        self.feed_and_converge(changes).await
    }

    /// Deletes the objects of a text, as [`Lab::delete`] does.
    ///
    /// # Errors
    /// [`LabError`].
    pub async fn delete_text(&mut self, text: &str) -> Result<Duration, LabError> {
        let references: Vec<_> = parsed(text)?.iter().map(Parsed::reference).collect();
        let changes = self.store.delete(&references);
        self.feed_and_converge(changes).await
    }
}

fn parsed(text: &str) -> Result<Vec<Parsed>, LabError> {
    parse(text, "object", DEFAULT_NAMESPACE)
        .map_err(|errors| LabError::Manifest { resource: "of an adapter".into(), errors })
}

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
