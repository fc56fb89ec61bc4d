//! Services and their ports.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::ObjectName;

/// A Kubernetes Service, as far as the mesh reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// `spec.clusterIP`; `None` for a headless service.
    pub cluster_ip: Option<IpAddr>,
    /// `spec.selector`; empty selects no pod.
    pub selector: BTreeMap<Arc<str>, Arc<str>>,
    /// `spec.ports`, ascending by port, each port once.
    pub ports: Vec<ServicePort>,
}

impl Service {
    /// The port numbered `port`, if the service has it.
    pub fn port(&self, port: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|p| p.port == port)
    }

    /// Whether the selector covers these labels. An empty selector covers nothing.
    pub fn selects(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(k, v)| labels.get(k) == Some(v))
    }
}

/// One entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Optional name, unique within the service.
    pub name: Option<Arc<str>>,
    /// The port that clients dial, 1–65535.
    pub port: u16,
    /// Where it leads on the pods.
    pub target: TargetPort,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// `spec.ports[].targetPort`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetPort {
    /// A port number.
    Number(u16),
    /// The name of a container port; each pod resolves it for itself.
    Name(Arc<str>),
}

/// What a port speaks: by `appProtocol`, then the port name's prefix, then HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 by prior knowledge.
    Http,
    /// HTTP/2 or gRPC; handled like [`Protocol::Http`], the codec follows the client.
    Grpc,
    /// Opaque TCP in which the client speaks first.
    Tcp,
    /// Opaque TCP in which the server speaks first (MySQL, SMTP).
    TcpServerFirst,
    /// UDP, SCTP or an unknown `appProtocol`: the sidecar does not carry it.
    Unsupported,
}

impl Protocol {
    /// The name used in filter chain names and by `appProtocol`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
            Self::TcpServerFirst => "tcp-server-first",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether requests can be told apart by path, method and header.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Grpc)
    }

    /// Whether it is carried as an opaque byte stream.
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::TcpServerFirst)
    }
}
