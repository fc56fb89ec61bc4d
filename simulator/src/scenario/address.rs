//! How scenario files name senders and receivers.

use std::{fmt, net::IpAddr, str::FromStr};

/// A workload or one of its pods: `name` or `name/INDEX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    /// The workload.
    pub workload: String,
    /// The pod, counted from 0; any if `None`.
    pub index: Option<u16>,
}

/// A receiver, as `to` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A name that an application would look up: `host[:port]`.
    Host {
        /// The name as written: bare, `service.namespace` or longer.
        host: String,
        /// The port; the service's first if `None`.
        port: Option<u16>,
    },
    /// A pod's own address: `pod:workload[/INDEX]:port`.
    Pod {
        /// The pod.
        pod: PodRef,
        /// The container port.
        port: u16,
    },
    /// An IP address with a port.
    Ip {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
}

/// The text names no receiver or sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(&'static str);

impl FromStr for PodRef {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (workload, index) = match text.split_once('/') {
            Some((workload, index)) => {
                (workload, Some(index.parse().map_err(|_| AddressError("the part after `/` is the number of a pod"))?))
            }
            None => (text, None),
        };
        if workload.is_empty() {
            return Err(AddressError("name a workload"));
        }
        Ok(Self { workload: workload.to_owned(), index })
    }
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.workload)?;
        self.index.map_or(Ok(()), |index| write!(f, "/{index}"))
    }
}

impl FromStr for Destination {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        const PORT: AddressError = AddressError("a port is a number from 1 to 65535");
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or(PORT);
        if let Some(pod) = text.strip_prefix("pod:") {
            let (pod, number) = pod
                .rsplit_once(':')
                .ok_or(AddressError("a pod is named as `pod:workload:port` or `pod:workload/INDEX:port`"))?;
            return Ok(Self::Pod { pod: pod.parse()?, port: port(number)? });
        }
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return Ok(Self::Ip { address: address.ip(), port: address.port() });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, number)) => (host, Some(port(number)?)),
            None => (text, None),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if host.is_empty() || !host.chars().all(fits) || host.split('.').any(str::is_empty) {
            return Err(AddressError("name a service (`web`, `web.namespace`, `web:8080`) or a pod (`pod:web:8080`)"));
        }
        Ok(Self::Host { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_applications_dial() {
        let host = |host: &str, port| Ok(Destination::Host { host: host.into(), port });
        assert_eq!("web".parse(), host("web", None));
        assert_eq!("web.shop.svc.cluster.local:80".parse(), host("web.shop.svc.cluster.local", Some(80)));
        let pod = PodRef { workload: "web".into(), index: Some(1) };
        assert_eq!("pod:web/1:8080".parse(), Ok(Destination::Pod { pod, port: 8080 }));
        assert_eq!("127.1.2.3:80".parse(), Ok(Destination::Ip { address: [127, 1, 2, 3].into(), port: 80 }));
    }

    #[test]
    fn refuses_half_an_address() {
        for text in
            ["", ":80", "web:", "web:0", "web:http", "pod:web", "pod::80", "web..shop", "http://web", "pod:web/x:80"]
        {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }
}
