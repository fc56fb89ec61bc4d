//! The PROXY protocol header, version 2 (HAProxy, proxy-protocol.txt §2.2), in which a fake client tells the sidecar what it
//! dialled: it stands for the redirection of a real pod.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_AND_COMMAND: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a TCP connection from `source` to `destination`.
///
/// If the two are of different families, the IPv4 one is written as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2).
pub fn proxy_header(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            addresses.extend(source.octets());
            addresses.extend(destination.octets());
            TCP_OVER_IPV4
        }
        (source, destination) => {
            addresses.extend(as_v6(source));
            addresses.extend(as_v6(destination));
            TCP_OVER_IPV6
        }
    };
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    // 12 or 36 bytes.
    let length = if family == TCP_OVER_IPV4 { 12_u16 } else { 36 };
    let mut header = Vec::with_capacity(16 + addresses.len());
    header.extend(SIGNATURE);
    header.extend([VERSION_AND_COMMAND, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header
}

fn as_v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::proxy_header;

    const START: [u8; 12] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

    /// Written by hand after the tables of the specification.
    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let v4 = proxy_header("127.1.2.3:4660".parse().unwrap(), "10.0.0.9:80".parse().unwrap());
        let tail = [0x21, 0x11, 0, 12, 127, 1, 2, 3, 10, 0, 0, 9, 0x12, 0x34, 0, 80];
        assert_eq!(v4, [&START[..], &tail].concat());

        let v6 = proxy_header("[::1]:1".parse().unwrap(), "[2001:db8::2]:8080".parse().unwrap());
        let mut tail = vec![0x21, 0x21, 0, 36];
        tail.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        tail.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        tail.extend([0, 1, 0x1f, 0x90]);
        assert_eq!(v6, [&START[..], &tail].concat());
    }

    #[test]
    fn mixed_families_are_written_as_ipv6() {
        let mixed = proxy_header("127.0.0.1:1".parse().unwrap(), "[::2]:2".parse().unwrap());
        assert_eq!(mixed[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(mixed[16..32], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    }
}
