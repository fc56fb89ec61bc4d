//! What injection depends on: how the mesh was installed, and MeshConfig.

use std::collections::BTreeSet;

use super::exclusions::Interception;
use crate::api::mesh_config::{LocalProxyMode, LogLevel, MeshConfigSpec, Resources};

/// How the mesh was installed: what the control plane knows of itself and of the cluster.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The mesh's name, the value of the label `openservicemesh.io/monitored-by`.
    pub mesh: String,
    /// The control plane's namespace, whose pods are never injected.
    pub namespace: String,
    /// Image of Envoy where MeshConfig names none.
    pub envoy_image: String,
    /// Image of the init container where MeshConfig names none: `sh`, `iptables`, `iptables-restore` and their IPv6 twins.
    pub init_image: String,
    /// `imagePullPolicy` of both containers, for example `IfNotPresent`.
    pub pull_policy: String,
    /// Where sidecars get their configuration.
    pub control_plane: ControlPlane,
    /// The cluster knows native sidecars (Kubernetes 1.29 and later).
    pub native_sidecar: bool,
    /// Pods of the cluster have IPv6 addresses; then the sidecar's own ports listen on both families.
    pub ipv6: bool,
}

/// The ADS server, as sidecars see it.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    /// Host name, for example `osm-controller.osm-system.svc.cluster.local`, or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The DNS name in the server's certificate, if it is not `host`.
    pub server_name: Option<String>,
    /// The roots that the server's certificate may be signed by, PEM. A pod keeps those that it was created with.
    pub roots: String,
}

/// All that injection depends on, but for the pod and its namespace.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the mesh was installed; its images are those to be used.
    pub installation: Installation,
    /// Envoy's log level.
    pub log_level: LogLevel,
    /// Whether the init container is privileged.
    pub privileged_init: bool,
    /// Resources of the Envoy container.
    pub resources: Resources,
    /// The address at which sidecars reach their application.
    pub local_proxy: LocalProxyMode,
    /// What bypasses every sidecar.
    pub interception: Interception,
}

impl Settings {
    /// Combines an installation with a MeshConfig. Values that cannot be used refuse pods, not the settings.
    pub fn new(mut installation: Installation, config: &MeshConfigSpec) -> Self {
        let chosen = |image: &Option<String>| image.clone().filter(|image| !image.trim().is_empty());
        if let Some(image) = chosen(&config.sidecar.envoy_image) {
            installation.envoy_image = image;
        }
        if let Some(image) = chosen(&config.sidecar.init_container_image) {
            installation.init_image = image;
        }
        let traffic = &config.traffic;
        Self {
            installation,
            log_level: config.sidecar.log_level.unwrap_or(LogLevel::Error),
            privileged_init: config.sidecar.enable_privileged_init_container,
            resources: config.sidecar.resources.clone(),
            local_proxy: config.sidecar.local_proxy_mode.unwrap_or_default(),
            interception: Interception {
                outbound_port_exclusions: traffic.outbound_port_exclusion_list.iter().map(|port| port.0).collect(),
                inbound_port_exclusions: traffic.inbound_port_exclusion_list.iter().map(|port| port.0).collect(),
                outbound_range_exclusions: ranges(&traffic.outbound_ip_range_exclusion_list),
                outbound_range_inclusions: ranges(&traffic.outbound_ip_range_inclusion_list),
                interface_exclusions: traffic.network_interface_exclusion_list.iter().cloned().collect(),
            },
        }
    }
}

fn ranges(ranges: &[crate::api::duration::Range]) -> BTreeSet<ipnet::IpNet> {
    ranges.iter().map(|range| range.0).collect()
}
