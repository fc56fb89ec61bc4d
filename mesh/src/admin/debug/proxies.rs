//! Proxies and their configuration as JSON, without keys.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{
    run::ProxyStatus,
    snapshot::{Resource, ResourceType, Snapshot},
    xds::session::status::{KindStatus, Nack, Status},
};

/// One proxy in a list.
pub(super) fn status(proxy: &ProxyStatus) -> Value {
    json!({
        "pod": proxy.pod.to_string(),
        "connected": proxy.connected,
        "variant": proxy.variant.map(|variant| format!("{variant:?}")),
        "synced": proxy.synced,
        "lacks": proxy.lacks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "nacks": proxy.nacks.iter().map(nack).collect::<Vec<_>>(),
    })
}

/// What a proxy is told, and what it said to it.
pub(super) fn snapshot(snapshot: &Snapshot, status: Option<&Status>) -> Value {
    let kinds = status.map(|status| &status.kinds);
    let resources = snapshot.iter().map(|(kind, name, resource)| {
        let kind_status = kinds.and_then(|kinds| kinds.get(&kind));
        one(kind, name, resource, kind_status)
    });
    json!({
        "connected": status.is_some(),
        "resources": resources.collect::<Vec<_>>(),
        "nacks": status.into_iter().flat_map(Status::nacks).map(nack).collect::<Vec<_>>(),
    })
}

fn one(kind: ResourceType, name: &Arc<str>, resource: &Resource, status: Option<&KindStatus>) -> Value {
    let acked = status.and_then(|status| status.acked.get(name));
    let refused = status.and_then(|status| status.refused.get(name));
    let mut value = json!({
        "kind": format!("{kind:?}"),
        "name": &**name,
        "typeUrl": resource.body.type_url,
        "version": &*resource.version,
        "accepted": acked == Some(&resource.version),
        "acceptedVersion": acked.map(|version| &**version),
        "refused": refused.map(|refusal| &*refusal.message),
    });
    // A protobuf message for `protoc --decode`, or for a descriptor pool; a secret only as far as it is none.
    if kind == ResourceType::Secret {
        value["secret"] = secret(&resource.body.value);
    } else {
        value["body"] = BASE64_STANDARD.encode(&resource.body.value).into();
    }
    value
}

fn secret(encoded: &[u8]) -> Value {
    let text = |source: Option<DataSource>| match source.and_then(|source| source.specifier) {
        Some(Specifier::InlineString(text)) => text,
        Some(Specifier::InlineBytes(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    };
    match Secret::decode(encoded).ok().and_then(|secret| secret.r#type) {
        Some(Type::TlsCertificate(certificate)) => {
            json!({ "certificateChain": text(certificate.certificate_chain), "privateKey": "not shown" })
        }
        Some(Type::ValidationContext(context)) => json!({ "trustedCa": text(context.trusted_ca) }),
        _ => json!("not shown"),
    }
}

fn nack(nack: &Nack) -> Value {
    let resources = nack.resources.iter().map(|(name, version)| json!({ "name": &**name, "version": &**version }));
    json!({
        "kind": format!("{:?}", nack.kind),
        "nonce": nack.nonce,
        "resources": resources.collect::<Vec<_>>(),
        "message": nack.message,
    })
}
