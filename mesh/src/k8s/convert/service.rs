//! `v1` Service.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{self, Service},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{super::Unreadable, name};
use crate::{
    api::{Transport, protocol},
    model::{self, ServicePort, TargetPort},
};

/// The service; `None` for an ExternalName, which is an alias and not a service of the mesh.
///
/// # Errors
/// If its name, address or ports cannot be.
pub fn service(wire: &Service) -> Result<Option<model::Service>, Unreadable> {
    let Some(spec) = &wire.spec else { return Ok(None) };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Ok(None);
    }
    let cluster_ip = match spec.cluster_ip.as_deref() {
        None | Some("" | "None") => None,
        Some(ip) => {
            Some(ip.parse().map_err(|_| Unreadable::new("spec.clusterIP", format!("`{ip}` is not an address")))?)
        }
    };
    let selector = spec.selector.iter().flatten().map(|(k, v)| (k.as_str().into(), v.as_str().into()));
    Ok(Some(model::Service {
        name: name(&wire.metadata)?,
        cluster_ip,
        selector: selector.collect(),
        ports: ports(spec.ports.as_deref().unwrap_or_default())?,
    }))
}

/// By number, each once: of one that stands for TCP and for UDP, the TCP port.
fn ports(wire: &[v1::ServicePort]) -> Result<Vec<ServicePort>, Unreadable> {
    let mut ports: BTreeMap<(u16, Transport), ServicePort> = BTreeMap::new();
    for (i, entry) in wire.iter().enumerate() {
        let refuse = |what: &str| Unreadable::new(format!("spec.ports[{i}].{what}"), "is not a port from 1 to 65535");
        let number = u16::try_from(entry.port).ok().filter(|n| *n > 0).ok_or_else(|| refuse("port"))?;
        let transport = match entry.protocol.as_deref() {
            None | Some("TCP") => Transport::Tcp,
            Some("SCTP") => Transport::Sctp,
            Some(_) => Transport::Udp,
        };
        let target = match &entry.target_port {
            None | Some(IntOrString::Int(0)) => TargetPort::Number(number),
            Some(IntOrString::Int(target)) => {
                TargetPort::Number(u16::try_from(*target).map_err(|_| refuse("targetPort"))?)
            }
            Some(IntOrString::String(name)) => TargetPort::Name(name.as_str().into()),
        };
        let protocol = protocol(transport, entry.app_protocol.as_deref(), entry.name.as_deref());
        let name = entry.name.as_deref().filter(|name| !name.is_empty()).map(Arc::from);
        ports.insert((number, transport), ServicePort { name, port: number, target, protocol });
    }
    let mut ports: Vec<_> = ports.into_values().collect();
    ports.dedup_by_key(|port| port.port);
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::Protocol;

    fn read(spec: &Value) -> Result<Option<model::Service>, Unreadable> {
        service(
            &serde_json::from_value(json!({ "metadata": { "namespace": "a", "name": "s" }, "spec": spec })).unwrap(),
        )
    }

    #[test]
    fn all_that_a_cluster_adds_is_fine() {
        let found = read(&json!({
            "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"],
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack", "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 10800 } }, "internalTrafficPolicy": "Cluster",
            "externalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": true, "healthCheckNodePort": 30001,
            "publishNotReadyAddresses": true, "selector": { "app": "s" },
            "ports": [
                { "name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53, "nodePort": 30053 },
                { "name": "tcp-dns", "port": 53, "protocol": "TCP", "targetPort": "dns" },
                { "name": "sctp", "port": 36412, "protocol": "SCTP" },
                { "name": "web", "port": 80, "targetPort": 0, "appProtocol": "grpc" },
            ],
        }));
        let found = found.unwrap().unwrap();
        let ports: Vec<_> = found.ports.iter().map(|p| (p.port, p.target.clone(), p.protocol)).collect();
        assert_eq!(
            ports,
            [
                (53, TargetPort::Name("dns".into()), Protocol::Tcp),
                (80, TargetPort::Number(80), Protocol::Grpc),
                (36412, TargetPort::Number(36412), Protocol::Unsupported),
            ]
        );
        assert_eq!(found.cluster_ip, Some("10.96.0.7".parse().unwrap()));
    }

    #[test]
    fn headless_and_external() {
        assert_eq!(read(&json!({ "type": "ExternalName", "externalName": "example.com" })), Ok(None));
        assert_eq!(read(&json!({ "clusterIP": "None" })).unwrap().unwrap().cluster_ip, None);
        assert_eq!(read(&json!({ "ports": [{ "port": 70000 }] })).unwrap_err().field, "spec.ports[0].port");
        assert_eq!(read(&json!({ "clusterIP": "x" })).unwrap_err().field, "spec.clusterIP");
    }
}
