//! Telemetry (`policy.openservicemesh.io/v1alpha1`): how pods log their traffic.

use std::{collections::BTreeMap, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{error::Fault, metadata::Resource, name};
use crate::model::{self, ObjectName};

/// A Telemetry.
pub type Telemetry = Resource<TelemetrySpec>;

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TelemetrySpec {
    /// Labels of the pods, in the object's namespace, that it is for; all of them if empty. In the namespace of the control
    /// plane, without labels, the object is for the whole mesh.
    pub selector: BTreeMap<String, String>,
    /// The access log; as it is without the object if omitted.
    pub access_log: Option<AccessLogSpec>,
}

/// `spec.accessLog`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AccessLogSpec {
    /// A JSON object whose values have Envoy's command operators, for a JSON object per line; otherwise a text with such
    /// operators. The mesh's default if omitted.
    pub format: Option<String>,
    /// An OTLP receiver that gets every entry besides standard output.
    pub open_telemetry: Option<OpenTelemetrySpec>,
}

/// `spec.accessLog.openTelemetry`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenTelemetrySpec {
    /// The receiver.
    pub extension_service: ExtensionServiceReference,
    /// Attributes of every entry; the values may have Envoy's command operators.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// An ExtensionService.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtensionServiceReference {
    /// Its namespace; the object's own if omitted.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl TryFrom<Telemetry> for model::Telemetry {
    type Error = Fault;

    fn try_from(wire: Telemetry) -> Result<Self, Fault> {
        let name = wire.metadata.object_name()?;
        let access_log = wire.spec.access_log.map(|log| access_log(log, &name)).transpose()?;
        Ok(Self { name, created: wire.metadata.created()?, selector: texts(wire.spec.selector), access_log })
    }
}

fn access_log(wire: AccessLogSpec, own: &ObjectName) -> Result<model::AccessLog, Fault> {
    let open_telemetry = wire.open_telemetry.map(|log| open_telemetry(log, own)).transpose()?;
    // An empty format would log empty lines.
    let format = wire.format.filter(|format| !format.is_empty()).map(Arc::from);
    Ok(model::AccessLog { format, open_telemetry })
}

fn open_telemetry(wire: OpenTelemetrySpec, own: &ObjectName) -> Result<model::OpenTelemetryLog, Fault> {
    const FIELD: &str = "spec.accessLog.openTelemetry.extensionService";
    let ExtensionServiceReference { namespace, name } = wire.extension_service;
    name::subdomain(&name, &format!("{FIELD}.name"))?;
    let namespace = namespace.unwrap_or_else(|| own.namespace.to_string());
    name::label(&namespace, &format!("{FIELD}.namespace"))?;
    Ok(model::OpenTelemetryLog { service: ObjectName::new(namespace, name), attributes: texts(wire.attributes) })
}

fn texts(map: BTreeMap<String, String>) -> BTreeMap<Arc<str>, Arc<str>> {
    map.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
