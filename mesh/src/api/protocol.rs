//! What a service port speaks.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Protocol;

/// `spec.ports[].protocol`: the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// TCP.
    #[default]
    Tcp,
    /// UDP: not carried by the sidecar.
    Udp,
    /// SCTP: not carried by the sidecar.
    Sctp,
}

/// The protocol of a service port.
///
/// `appProtocol` decides if given; a word that is not known means [`Protocol::Unsupported`]. Else the port's name decides if
/// it is such a word, or begins with one and `-`. Else it is HTTP.
pub fn protocol(transport: Transport, app_protocol: Option<&str>, port_name: Option<&str>) -> Protocol {
    match (transport, app_protocol) {
        (Transport::Udp | Transport::Sctp, _) => Protocol::Unsupported,
        (Transport::Tcp, Some(app)) => by_app_protocol(app),
        (Transport::Tcp, None) => port_name.and_then(by_name).unwrap_or(Protocol::Http),
    }
}

fn by_app_protocol(app: &str) -> Protocol {
    match app {
        "http" | "kubernetes.io/ws" => Protocol::Http,
        "http2" | "kubernetes.io/h2c" | "grpc" => Protocol::Grpc,
        "tcp" => Protocol::Tcp,
        "tcp-server-first" => Protocol::TcpServerFirst,
        _ => Protocol::Unsupported,
    }
}

fn by_name(name: &str) -> Option<Protocol> {
    let is = |word: &str| name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    // `tcp` is the first word of `tcp-server-first` too.
    if is("tcp-server-first") {
        Some(Protocol::TcpServerFirst)
    } else if is("tcp") {
        Some(Protocol::Tcp)
    } else if is("http") {
        Some(Protocol::Http)
    } else if is("http2") || is("grpc") {
        Some(Protocol::Grpc)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols() {
        use Protocol::{Grpc, Http, Tcp as Opaque, TcpServerFirst, Unsupported};
        use Transport::{Sctp, Tcp, Udp};
        let table = [
            (Udp, None, None, Unsupported),
            (Udp, Some("http"), Some("http"), Unsupported),
            (Sctp, None, Some("tcp"), Unsupported),
            (Tcp, None, None, Http),
            (Tcp, Some("http"), Some("tcp"), Http),
            (Tcp, Some("http2"), None, Grpc),
            (Tcp, Some("kubernetes.io/h2c"), None, Grpc),
            (Tcp, Some("grpc"), None, Grpc),
            (Tcp, Some("tcp"), Some("http"), Opaque),
            (Tcp, Some("tcp-server-first"), None, TcpServerFirst),
            (Tcp, Some("kubernetes.io/ws"), None, Http),
            (Tcp, Some("https"), Some("http"), Unsupported),
            (Tcp, Some("HTTP"), None, Unsupported),
            (Tcp, Some(""), None, Unsupported),
            (Tcp, None, Some("http"), Http),
            (Tcp, None, Some("http-web"), Http),
            (Tcp, None, Some("http2"), Grpc),
            (Tcp, None, Some("http2-web"), Grpc),
            (Tcp, None, Some("grpc-api"), Grpc),
            (Tcp, None, Some("tcp"), Opaque),
            (Tcp, None, Some("tcp-server"), Opaque),
            (Tcp, None, Some("tcp-server-first"), TcpServerFirst),
            (Tcp, None, Some("tcp-server-first-db"), TcpServerFirst),
            (Tcp, None, Some("tcp-server-firstly"), Opaque),
            (Tcp, None, Some("tcpdump"), Http),
            (Tcp, None, Some("web"), Http),
            (Tcp, None, Some("web-tcp"), Http),
        ];
        for (transport, app, name, expected) in table {
            assert_eq!(protocol(transport, app, name), expected, "{transport:?} {app:?} {name:?}");
        }
    }
}
