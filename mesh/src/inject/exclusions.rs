//! What bypasses the sidecar: MeshConfig's lists for all pods, annotations for one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use super::refusal::Refusal;

/// Destination ports that bypass the sidecar: `6379, 7070`.
pub const OUTBOUND_PORTS: &str = "openservicemesh.io/outbound-port-exclusion-list";
/// Ports of the pod that bypass the sidecar.
pub const INBOUND_PORTS: &str = "openservicemesh.io/inbound-port-exclusion-list";
/// Destinations that bypass the sidecar: `10.0.0.0/8, fd00::/8`.
pub const OUTBOUND_RANGES: &str = "openservicemesh.io/outbound-ip-range-exclusion-list";
/// The only destinations that do not bypass the sidecar.
pub const OUTBOUND_RANGE_INCLUSIONS: &str = "openservicemesh.io/outbound-ip-range-inclusion-list";
/// Network interfaces whose connections bypass the sidecar, in both directions: `net1, eth1`.
pub const INTERFACES: &str = "openservicemesh.io/network-interface-exclusion-list";

const PREFIX: &str = "openservicemesh.io/";
const KNOWN: [&str; 7] = [
    super::decision::INJECTION,
    super::container::MARKER,
    OUTBOUND_PORTS,
    INBOUND_PORTS,
    OUTBOUND_RANGES,
    OUTBOUND_RANGE_INCLUSIONS,
    INTERFACES,
];

/// What is intercepted, and what is not. Only TCP ever is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interception {
    /// Destination ports that bypass the sidecar.
    pub outbound_port_exclusions: BTreeSet<u16>,
    /// Ports of the pod that bypass the sidecar.
    pub inbound_port_exclusions: BTreeSet<u16>,
    /// Destinations that bypass the sidecar.
    pub outbound_range_exclusions: BTreeSet<IpNet>,
    /// The only destinations that do not bypass the sidecar; all if empty.
    pub outbound_range_inclusions: BTreeSet<IpNet>,
    /// Interfaces whose connections bypass the sidecar.
    pub interface_exclusions: BTreeSet<String>,
}

impl Interception {
    /// Adds what a pod's annotations say.
    ///
    /// # Errors
    /// An annotation, or an interface that MeshConfig names, cannot be used.
    pub fn with_annotations(&self, annotations: &BTreeMap<String, String>) -> Result<Self, Refusal> {
        let field = "spec.traffic.networkInterfaceExclusionList";
        let bad = self.interface_exclusions.iter().find(|name| !is_interface(name));
        if let Some(value) = bad.cloned() {
            return Err(Refusal::MeshConfig { field, value, expected: INTERFACE_RULE });
        }
        let mut all = self.clone();
        all.outbound_port_exclusions.extend(entries(annotations, OUTBOUND_PORTS, port)?);
        all.inbound_port_exclusions.extend(entries(annotations, INBOUND_PORTS, port)?);
        all.outbound_range_exclusions.extend(entries(annotations, OUTBOUND_RANGES, range)?);
        all.outbound_range_inclusions.extend(entries(annotations, OUTBOUND_RANGE_INCLUSIONS, range)?);
        all.interface_exclusions.extend(entries(annotations, INTERFACES, interface)?);
        Ok(all)
    }
}

/// Warnings about annotations of a pod that look like the mesh's, but mean nothing.
pub fn unknown(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let odd = annotations.keys().filter(|key| key.starts_with(PREFIX) && !KNOWN.contains(&key.as_str()));
    odd.map(|key| format!("annotation `{key}` means nothing to the mesh on a pod")).collect()
}

/// The entries of a comma-separated list. An empty annotation is an empty list.
fn entries<T>(
    annotations: &BTreeMap<String, String>,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Refusal> {
    let Some(list) = annotations.get(name).filter(|list| !list.trim().is_empty()) else { return Ok(Vec::new()) };
    let entry = |entry: &str| {
        read(entry.trim()).map_err(|expected| Refusal::Annotation {
            object: "pod",
            name: name.to_owned(),
            value: list.clone(),
            expected: format!("{:?} {expected}", entry.trim()),
        })
    };
    list.split(',').map(entry).collect()
}

fn port(text: &str) -> Result<u16, String> {
    // `u16::parse` takes a sign, which is no port.
    let number = text.parse().ok().filter(|port| *port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| "is not a port; write numbers from 1 to 65535, parted by commas".to_owned())
}

fn range(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(format!("is a single address; write `{}`", IpNet::from(address)));
    }
    let range = text.parse::<IpNet>().map(|range| range.trunc());
    range.map_err(|_| "is not a range; write ranges such as `10.0.0.0/8` or `fd00::/8`, parted by commas".to_owned())
}

fn interface(text: &str) -> Result<String, String> {
    if is_interface(text) { Ok(text.to_owned()) } else { Err(INTERFACE_RULE.to_owned()) }
}

const INTERFACE_RULE: &str = "must be the name of a network interface: at most 15 letters, digits, `.`, `_`, `-`, `:` or `@`, \
                              and `+` at the end for all that begin so";

/// As Linux (`dev_valid_name`) and iptables take it, and nothing that a shell would take for more than a word.
fn is_interface(name: &str) -> bool {
    let stem = name.strip_suffix('+').unwrap_or(name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    (1..=15).contains(&name.len())
        && stem.starts_with(|c: char| c.is_ascii_alphanumeric())
        && stem.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Interception, Refusal> {
        Interception::default().with_annotations(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn lists_are_merged_with_those_of_the_mesh() {
        let mesh = Interception { outbound_port_exclusions: [25].into(), ..Default::default() };
        let annotations = [
            (OUTBOUND_PORTS, "6379, 25,7070"),
            (INBOUND_PORTS, "9000"),
            (OUTBOUND_RANGES, "10.1.2.3/8,fd00::1/8"),
            (OUTBOUND_RANGE_INCLUSIONS, " 0.0.0.0/0 "),
            (INTERFACES, "net1,eth+"),
        ];
        let annotations = annotations.map(|(name, list)| (name.to_owned(), list.to_owned())).into();
        let all = mesh.with_annotations(&annotations).unwrap();
        assert_eq!(all.outbound_port_exclusions, [25, 6379, 7070].into());
        assert_eq!(all.inbound_port_exclusions, [9000].into());
        assert_eq!(all.outbound_range_exclusions, ["10.0.0.0/8", "fd00::/8"].map(|r| r.parse().unwrap()).into());
        assert_eq!(all.outbound_range_inclusions, ["0.0.0.0/0".parse().unwrap()].into());
        assert_eq!(all.interface_exclusions, ["eth+", "net1"].map(String::from).into());
        assert_eq!(read(OUTBOUND_PORTS, " ").unwrap(), Interception::default());
    }

    #[test]
    fn a_bad_entry_is_refused_with_what_would_be_right() {
        for list in ["0", "65536", "-1", "+1", "80,", "80;81", "http"] {
            let refusal = read(INBOUND_PORTS, list).unwrap_err().to_string();
            assert!(refusal.contains(INBOUND_PORTS) && refusal.contains(&format!("{list:?}")), "{refusal}");
            assert!(refusal.contains("numbers from 1 to 65535"), "{refusal}");
        }
        assert!(read(OUTBOUND_RANGES, "10.0.0.1").unwrap_err().to_string().contains("write `10.0.0.1/32`"));
        assert!(read(OUTBOUND_RANGES, "::1").unwrap_err().to_string().contains("write `::1/128`"));
        for list in ["10.0.0.0/33", "10.0.0/8", "a", "fd00::/129"] {
            assert!(read(OUTBOUND_RANGE_INCLUSIONS, list).is_err(), "{list}");
        }
    }

    #[test]
    fn no_interface_name_can_escape_into_the_shell() {
        for name in ["eth0 -j ACCEPT", "$(id)", "a`id`", "-i", "eth0\nCOMMIT", "+", "0123456789abcdef", "é"] {
            assert!(read(INTERFACES, name).is_err(), "{name:?}");
            let mesh = Interception { interface_exclusions: [name.to_owned()].into(), ..Default::default() };
            let refusal = mesh.with_annotations(&BTreeMap::new()).unwrap_err();
            assert!(matches!(refusal, Refusal::MeshConfig { .. }), "{name:?}");
        }
    }

    #[test]
    fn a_mistyped_annotation_is_pointed_out() {
        let names = [OUTBOUND_PORTS, "openservicemesh.io/outbound-port-exclusions", "example.com/port"];
        let warnings = unknown(&names.map(|name| (name.to_owned(), String::new())).into());
        assert_eq!(
            warnings,
            ["annotation `openservicemesh.io/outbound-port-exclusions` means nothing to the mesh on a pod"]
        );
    }
}
