//! The rules that lead a pod's TCP connections into its sidecar, for `iptables-restore --noflush` and its IPv6 twin.
//!
//! They are OSM's, with four differences. The exception for Envoy's administration port stands where it is reached, and is bound
//! to the loopback interface. Long lists of ports are cut, because `multiport` takes 15. There is a twin for IPv6. And a second
//! run leaves the same rules as the first: declaring a chain empties it, and the two jumps into it are taken out before.

use std::{fmt::Write, net::Ipv4Addr, net::Ipv6Addr};

use ipnet::IpNet;

use super::{ADMIN_PORT, PROXY_UID, exclusions::Interception};
use crate::{
    api::mesh_config::LocalProxyMode,
    snapshot::{INBOUND_PORT, OUTBOUND_PORT},
};

/// The most ports that one `multiport` match takes.
const MOST_PORTS: usize = 15;

/// IPv4 or IPv6: each has its own tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Family {
    V4,
    V6,
}

impl Family {
    fn command(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    /// The loopback address, as a range of one.
    fn loopback(self) -> IpNet {
        match self {
            Self::V4 => IpNet::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST)),
            Self::V6 => IpNet::from(std::net::IpAddr::from(Ipv6Addr::LOCALHOST)),
        }
    }

    fn has(self, range: &IpNet) -> bool {
        matches!((self, range), (Self::V4, IpNet::V4(_)) | (Self::V6, IpNet::V6(_)))
    }

    /// The variable of [`Rules::script`] with the pod's address of this family.
    fn pod_ip(self) -> &'static str {
        match self {
            Self::V4 => "POD_IP4",
            Self::V6 => "POD_IP6",
        }
    }
}

/// What the rules depend on.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// What bypasses the sidecar.
    pub interception: &'a Interception,
    /// The address at which the sidecar reaches its application.
    pub local_proxy: LocalProxyMode,
    /// Ports that the sidecar itself answers, to anyone: statistics and probes.
    pub own_ports: &'a [u16],
}

impl Rules<'_> {
    /// What the init container runs: a script for `sh -c`. It reads `POD_IPS`, the pod's addresses parted by commas.
    ///
    /// The rules for IPv6 are set, and must be, if the pod has an IPv6 address that others can reach. A pod without one needs
    /// none, and its node may not even be able to.
    pub fn script(&self) -> String {
        let (v4, v6) = (self.apply(Family::V4), self.apply(Family::V6));
        format!(
            "set -eu\n\
             POD_IP4= POD_IP6= IPV6=\n\
             IFS=,\n\
             for ip in ${{POD_IPS:-}}; do case \"$ip\" in *:*) POD_IP6=$ip ;; *) POD_IP4=$ip ;; esac; done\n\
             unset IFS\n\
             {v4}\
             if [ -r /proc/net/if_inet6 ]; then while read -r address _; do case \"$address\" in\n\
             fe80*|00000000000000000000000000000001) ;; *) IPV6=yes ;; esac; done < /proc/net/if_inet6; fi\n\
             if [ -n \"$IPV6\" ]; then\n\
             {v6}\
             fi\n"
        )
    }

    fn apply(&self, family: Family) -> String {
        let (command, rules) = (family.command(), self.restore(family));
        format!(
            "while {command} -w -t nat -D PREROUTING -p tcp -j OSM_PROXY_INBOUND 2>/dev/null; do :; done\n\
             while {command} -w -t nat -D OUTPUT -p tcp -j OSM_PROXY_OUTBOUND 2>/dev/null; do :; done\n\
             {command}-restore --noflush <<EOF\n{rules}EOF\n"
        )
    }

    /// The input of `iptables-restore --noflush` or `ip6tables-restore --noflush`. It names the shell variables `POD_IP4` and
    /// `POD_IP6` if the application is reached at the pod's address.
    pub fn restore(&self, family: Family) -> String {
        let mut text = String::from("*nat\n");
        for chain in ["INBOUND", "IN_REDIRECT", "OUTBOUND", "OUT_REDIRECT"] {
            let _ = writeln!(text, ":OSM_PROXY_{chain} - [0:0]");
        }
        for rule in self.inbound().into_iter().chain(self.outbound(family)) {
            // `${VARIABLE:+…}` keeps its own place at the line's start.
            let _ = match rule.strip_prefix("${") {
                Some(_) => writeln!(text, "{rule}"),
                None => writeln!(text, "-A {rule}"),
            };
        }
        text + "COMMIT\n"
    }

    fn inbound(&self) -> Vec<String> {
        let mut rules = vec![format!("OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-ports {INBOUND_PORT}")];
        let interfaces = self.interception.interface_exclusions.iter();
        rules.extend(interfaces.map(|name| format!("OSM_PROXY_INBOUND -i {name} -j RETURN")));
        rules.extend(ports("OSM_PROXY_INBOUND", self.interception.inbound_port_exclusions.iter().copied()));
        rules.extend(ports("OSM_PROXY_INBOUND", self.own_ports.iter().copied()));
        rules.push("OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT".into());
        rules.push("PREROUTING -p tcp -j OSM_PROXY_INBOUND".into());
        rules
    }

    fn outbound(&self, family: Family) -> Vec<String> {
        let (loopback, pod_ip) = (family.loopback(), family.pod_ip());
        let mut rules = vec![
            format!("OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}"),
            // Else the next rule would send Envoy's own requests for its statistics to the pod's address, where nobody listens.
            format!("OSM_PROXY_OUTBOUND -o lo -p tcp --dport {ADMIN_PORT} -j ACCEPT"),
        ];
        if self.local_proxy == LocalProxyMode::PodIp {
            rules.push(format!(
                "${{{pod_ip}:+-A OSM_PROXY_OUTBOUND -o lo -d {loopback} -p tcp -m owner --uid-owner {PROXY_UID} \
                 -j DNAT --to-destination ${pod_ip}}}"
            ));
        }
        rules.extend([
            format!(
                "OSM_PROXY_OUTBOUND -o lo ! -d {loopback} -m owner --uid-owner {PROXY_UID} -j OSM_PROXY_IN_REDIRECT"
            ),
            format!("OSM_PROXY_OUTBOUND -o lo -m owner ! --uid-owner {PROXY_UID} -j RETURN"),
            format!("OSM_PROXY_OUTBOUND -m owner --uid-owner {PROXY_UID} -j RETURN"),
            format!("OSM_PROXY_OUTBOUND -d {loopback} -j RETURN"),
        ]);
        let Interception { interface_exclusions, outbound_range_exclusions, .. } = self.interception;
        rules.extend(interface_exclusions.iter().map(|name| format!("OSM_PROXY_OUTBOUND -o {name} -j RETURN")));
        let excluded = outbound_range_exclusions.iter().filter(|range| family.has(range));
        rules.extend(excluded.map(|range| format!("OSM_PROXY_OUTBOUND -d {range} -j RETURN")));
        rules.extend(ports("OSM_PROXY_OUTBOUND", self.interception.outbound_port_exclusions.iter().copied()));
        rules.extend(self.inclusions(family));
        rules.push("OUTPUT -p tcp -j OSM_PROXY_OUTBOUND".into());
        rules
    }

    /// Whatever no rule before has let go. If there is a list of what alone is intercepted, it holds for both families.
    fn inclusions(&self, family: Family) -> Vec<String> {
        let included = &self.interception.outbound_range_inclusions;
        if included.is_empty() {
            return vec!["OSM_PROXY_OUTBOUND -j OSM_PROXY_OUT_REDIRECT".into()];
        }
        let own = included.iter().filter(|range| family.has(range));
        let redirect = own.map(|range| format!("OSM_PROXY_OUTBOUND -d {range} -j OSM_PROXY_OUT_REDIRECT"));
        redirect.chain(["OSM_PROXY_OUTBOUND -j RETURN".into()]).collect()
    }
}

fn ports(chain: &str, ports: impl Iterator<Item = u16>) -> Vec<String> {
    let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    let rule = |ports: &[String]| format!("{chain} -p tcp -m multiport --dports {} -j RETURN", ports.join(","));
    ports.chunks(MOST_PORTS).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Interception {
        Interception {
            outbound_port_exclusions: (1..=16).collect(),
            inbound_port_exclusions: [9000].into(),
            outbound_range_exclusions: ["10.0.0.0/8", "fd00::/8"].map(|r| r.parse().unwrap()).into(),
            outbound_range_inclusions: ["0.0.0.0/1"].map(|r| r.parse().unwrap()).into(),
            interface_exclusions: ["net1".to_owned()].into(),
        }
    }

    #[test]
    fn the_plain_rules_are_osms() {
        let interception = Interception::default();
        let rules = Rules { interception: &interception, local_proxy: LocalProxyMode::Localhost, own_ports: &[15901] };
        insta::assert_snapshot!(rules.restore(Family::V4));
    }

    #[test]
    fn each_family_gets_its_own_ranges() {
        let interception = everything();
        let rules =
            Rules { interception: &interception, local_proxy: LocalProxyMode::PodIp, own_ports: &[15010, 15901] };
        insta::assert_snapshot!(rules.script());
    }
}
