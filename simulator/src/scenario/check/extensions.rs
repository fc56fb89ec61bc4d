//! Checks of the services beside the mesh.

use std::collections::BTreeMap;

use super::{Findings, workloads::check_name};
use crate::{
    extension::DOMAIN,
    scenario::{
        model::{Manifest, Scenario},
        tree::FieldPath,
    },
};

pub(super) fn check(scenario: &Scenario, found: &mut Findings) {
    let root = FieldPath::default().key("extensions");
    let mut ports: BTreeMap<u16, &str> = BTreeMap::new();
    for (name, extension) in &scenario.extensions {
        let path = root.key(name);
        check_name(name, "extension", &path, found);
        if extension.port == 0 {
            found.error(path.key("port"), "range", "a port is a number from 1 to 65535");
        } else if let Some(other) = ports.insert(extension.port, name) {
            found.error(path.key("port"), "port-taken", format!("port {} is taken by `{other}`", extension.port));
        }
        if extension.rate_limit.is_some() == extension.authorization.is_some() {
            found.error(
                path.clone(),
                "contradiction",
                "an extension is exactly one of `rateLimit` and `authorization`",
            );
        }
        found.duration(extension.delay.as_ref(), path.key("delay"));
        let host = format!("{name}{DOMAIN}");
        let used = scenario.resources.values().any(|manifest| match manifest {
            Manifest::Inline(text) => text.contains(&host),
            Manifest::File(_) => true,
        });
        if !used {
            found.warning(path, "unused", format!("no manifest names `{host}`, so nobody asks it"));
        }
    }
}
