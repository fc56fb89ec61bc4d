//! The command line of `osm-controller`. Names and defaults are those of Open Service Mesh where it has them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::Parser;

use crate::admin::Format;

const EXAMPLES: &str = "\
Examples:
  In a cluster (see deploy/manifests):
    osm-controller --osm-namespace osm-system --install-crds

  Beside a cluster, for development; the API server must reach the webhooks at the URL:
    osm-controller --kubeconfig ~/.kube/config --listen-address 127.0.0.1 --webhook-url https://127.0.0.1 \\
        --ads-host 127.0.0.1 --log-format text --verbosity info,mesh=debug

  Is it ready, and if not, why:
    curl http://127.0.0.1:9091/readyz

Exit codes: 0 after SIGTERM or SIGINT, 1 if it cannot start or go on, 2 if a flag is wrong.";

/// The control plane of the mesh: configures sidecars, injects and validates, issues certificates.
#[derive(Clone, Debug, Parser)]
#[command(name = "osm-controller", version, after_help = EXAMPLES)]
pub struct Flags {
    /// Name of the mesh; namespaces join it by the label openservicemesh.io/monitored-by.
    #[arg(long, env = "OSM_MESH_NAME", default_value = "osm")]
    pub mesh_name: String,
    /// Namespace of the control plane, where MeshConfig and the CA Secret are.
    #[arg(long, env = "OSM_NAMESPACE", default_value = "osm-system")]
    pub osm_namespace: String,
    /// Trust domain of all identities.
    #[arg(long, env = "OSM_TRUST_DOMAIN", default_value = "cluster.local")]
    pub trust_domain: String,
    /// Log level, or directives such as `info,mesh::xds=debug`. MeshConfig spec.observability.osmLogLevel goes above it.
    #[arg(long, env = "OSM_VERBOSITY", default_value = "info")]
    pub verbosity: String,
    /// How log lines look.
    #[arg(long, env = "OSM_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: Format,
    /// Kubeconfig to use outside of a cluster; KUBECONFIG and ~/.kube/config are used if it is omitted there.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Creates and updates the CRDs before anything else.
    #[arg(long, env = "OSM_INSTALL_CRDS")]
    pub install_crds: bool,
    /// Seconds that the proxies of other replicas are given at each step of a root rotation, once those of this one have followed.
    /// 0 is right for a single replica.
    #[arg(long, env = "OSM_ROOT_STEP_PAUSE", default_value_t = 30)]
    pub root_step_pause: u64,
    /// Listeners.
    #[command(flatten)]
    pub listen: Listen,
    /// Webhooks.
    #[command(flatten)]
    pub webhooks: Webhooks,
    /// The metrics API.
    #[command(flatten)]
    pub metrics: MetricsApi,
    /// Images of what is injected.
    #[command(flatten)]
    pub images: Images,
}

/// Where the process listens, and what it lets others do.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Listeners")]
pub struct Listen {
    /// Address of all listeners but that of the debug endpoints. `::` takes IPv4 as well on most systems.
    #[arg(long, env = "OSM_LISTEN_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub listen_address: IpAddr,
    /// Port of the ADS server.
    #[arg(long, default_value_t = 15128)]
    pub ads_port: u16,
    /// Port of health and metrics.
    #[arg(long, default_value_t = 9091)]
    pub http_port: u16,
    /// Where the debug endpoints are, when MeshConfig turns them on. Not a loopback address: only with a token.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub debug_address: SocketAddr,
    /// File with the bearer token that the debug endpoints demand.
    #[arg(long)]
    pub debug_token_file: Option<PathBuf>,
    /// Host name or address by which sidecars reach the ADS server; `osm-controller.<namespace>.svc.cluster.local` if
    /// omitted.
    #[arg(long, env = "OSM_ADS_HOST")]
    pub ads_host: Option<String>,
    /// Most connections of proxies at a time. MeshConfig spec.sidecar.maxDataPlaneConnections limits proxies, live.
    #[arg(long, default_value_t = 20_000)]
    pub max_connections: usize,
    /// Seconds for which readiness fails before connections are closed, at most 5.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=5))]
    pub shutdown_notice: u64,
}

/// How the API server reaches the webhooks.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Webhooks")]
pub struct Webhooks {
    /// Port of the mutating webhook.
    #[arg(long, default_value_t = 9090)]
    pub injector_port: u16,
    /// Port of the validating webhook.
    #[arg(long, default_value_t = 9093)]
    pub validator_port: u16,
    /// Port of the conversion webhook.
    #[arg(long, default_value_t = 9095)]
    pub conversion_port: u16,
    /// Service that leads to the webhooks.
    #[arg(long, default_value = "osm-controller", conflicts_with = "webhook_url")]
    pub webhook_service: String,
    /// Service that leads to the conversion webhook of every replica, ready or not: the watches need it to become so.
    #[arg(long, default_value = "osm-conversion", conflicts_with = "webhook_url")]
    pub conversion_service: String,
    /// Outside of a cluster: `https://` and a host by which the API server reaches this process, without port and path.
    #[arg(long, value_parser = https)]
    pub webhook_url: Option<String>,
    /// Seconds that the API server waits for an answer.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i32).range(1..=30))]
    pub webhook_timeout: i32,
}

/// TrafficMetrics (metrics.smi-spec.io), an aggregated API of the API server.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Metrics API")]
pub struct MetricsApi {
    /// Port of the metrics API; without one it is not served. The webhooks' Service must have the same port.
    #[arg(long, env = "OSM_METRICS_API_PORT")]
    pub metrics_api_port: Option<u16>,
    /// Seconds of traffic that an answer is about.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub metrics_window: u64,
    /// Seconds between two looks at the statistics of every sidecar.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub metrics_interval: u64,
}

/// Images of what is injected.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Injection")]
pub struct Images {
    /// Image of Envoy where MeshConfig names none.
    #[arg(long, env = "OSM_DEFAULT_ENVOY_IMAGE", default_value = "envoyproxy/envoy-distroless:v1.40.0")]
    pub envoy_image: String,
    /// Image of the init container where MeshConfig names none; needs sh and iptables.
    #[arg(long, env = "OSM_DEFAULT_INIT_CONTAINER_IMAGE", default_value = "openservicemesh/init:v1.2.4")]
    pub init_container_image: String,
    /// imagePullPolicy of both.
    #[arg(long, default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub osm_container_pull_policy: String,
}

impl Listen {
    /// An address of a listener.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen_address, port)
    }

    /// How long readiness fails before connections are closed.
    pub fn notice(&self) -> Duration {
        Duration::from_secs(self.shutdown_notice)
    }
}

impl Flags {
    /// Host name or address of the ADS server, as sidecars see it.
    pub fn ads_host(&self) -> String {
        let service = || format!("osm-controller.{}.svc.cluster.local", self.osm_namespace);
        self.listen.ads_host.clone().unwrap_or_else(service)
    }

    /// The DNS names in the certificate of ADS and webhooks.
    pub fn server_names(&self) -> Vec<String> {
        let services = [&self.webhooks.webhook_service, &self.webhooks.conversion_service];
        let services = services.map(|service| format!("{service}.{}.svc", self.osm_namespace));
        let url_host = self.webhooks.webhook_url.as_deref().and_then(|url| url.strip_prefix("https://"));
        let outside = [Some(self.ads_host()), url_host.map(ToOwned::to_owned)].into_iter().flatten();
        let mut names: Vec<_> = services.iter().map(|service| format!("{service}.cluster.local")).collect();
        names.extend(services);
        names.extend(outside.filter(|name| address(name).is_none()));
        names.sort();
        names.dedup();
        names
    }

    /// The addresses in that certificate: those that are not DNS names.
    pub fn server_addresses(&self) -> Vec<IpAddr> {
        let url_host = self.webhooks.webhook_url.as_deref().and_then(|url| url.strip_prefix("https://"));
        let mut addresses: Vec<_> =
            [Some(&*self.ads_host()), url_host].into_iter().flatten().filter_map(address).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

/// The address, if a host is one. IPv6 may be in brackets.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn https(url: &str) -> Result<String, String> {
    let url = url.trim_end_matches('/');
    let host = url.strip_prefix("https://").ok_or("it must begin with https://: API servers call no other webhooks")?;
    let port =
        host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    if host.is_empty() || host.contains('/') || port {
        return Err(
            "write a host without port and path, such as https://192.0.2.1: the ports have flags of their own".into()
        );
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Flags::command().debug_assert();
        let flags = Flags::try_parse_from(["osm-controller"]).expect("all flags have a default");
        assert_eq!(flags.ads_host(), "osm-controller.osm-system.svc.cluster.local");
        assert_eq!(
            flags.server_names(),
            [
                "osm-controller.osm-system.svc",
                "osm-controller.osm-system.svc.cluster.local",
                "osm-conversion.osm-system.svc",
                "osm-conversion.osm-system.svc.cluster.local",
            ]
        );
        assert!(flags.server_addresses().is_empty());
    }

    #[test]
    fn outside_of_a_cluster_the_certificate_names_what_is_dialled() {
        let line = ["osm-controller", "--webhook-url", "https://127.0.0.1/", "--ads-host", "mesh.example.com"];
        let flags = Flags::try_parse_from(line).expect("sound");
        assert_eq!(flags.server_addresses(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        assert!(flags.server_names().contains(&"mesh.example.com".to_owned()));
        for wrong in ["http://127.0.0.1", "https://127.0.0.1:9090", "https://a/b", "https://"] {
            assert!(Flags::try_parse_from(["osm-controller", "--webhook-url", wrong]).is_err(), "{wrong}");
        }
    }
}
