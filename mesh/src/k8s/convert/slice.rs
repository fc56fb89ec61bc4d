//! `discovery.k8s.io/v1` EndpointSlice.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::{super::Unreadable, name};
use crate::model;

/// The label that names the slice's service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The slice; `None` if it belongs to no service, or has names for addresses.
///
/// # Errors
/// If its name or an address cannot be.
pub fn slice(wire: &EndpointSlice) -> Result<Option<model::EndpointSlice>, Unreadable> {
    let service = wire.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
    let Some(service) = service.filter(|_| wire.address_type != "FQDN") else { return Ok(None) };
    let (mut ready, mut not_ready) = (BTreeSet::new(), BTreeSet::new());
    for (i, endpoint) in wire.endpoints.iter().enumerate() {
        // Unset means ready, says the API.
        let is_ready = endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true);
        for address in &endpoint.addresses {
            let parsed: IpAddr = address.parse().map_err(|_| {
                Unreadable::new(format!("endpoints[{i}].addresses"), format!("`{address}` is not an address"))
            })?;
            if is_ready { &mut ready } else { &mut not_ready }.insert(parsed);
        }
    }
    Ok(Some(model::EndpointSlice { name: name(&wire.metadata)?, service: service.as_str().into(), ready, not_ready }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(address_type: &str, labels: &Value, endpoints: &Value) -> Option<model::EndpointSlice> {
        let metadata = json!({ "namespace": "a", "name": "s-1", "labels": labels });
        let value = json!({ "metadata": metadata, "addressType": address_type, "endpoints": endpoints });
        slice(&serde_json::from_value(value).unwrap()).unwrap()
    }

    #[test]
    fn readiness_is_the_slices() {
        let of_s = json!({ "kubernetes.io/service-name": "s" });
        let endpoints = json!([
            { "addresses": ["10.0.0.1"], "conditions": { "ready": true, "serving": true, "terminating": false } },
            { "addresses": ["10.0.0.2"], "conditions": { "ready": false, "serving": true, "terminating": true } },
            { "addresses": ["10.0.0.3"], "conditions": {} },
            { "addresses": ["10.0.0.4"] },
        ]);
        let found = read("IPv4", &of_s, &endpoints).unwrap();
        let texts = |set: &BTreeSet<IpAddr>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&found.ready), ["10.0.0.1", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(texts(&found.not_ready), ["10.0.0.2"]);
        assert_eq!(read("FQDN", &of_s, &json!([{ "addresses": ["example.com"] }])), None);
        assert_eq!(read("IPv4", &json!({}), &endpoints), None);
    }
}
