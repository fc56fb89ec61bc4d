//! Which filter chain takes a connection: Envoy's filter chain match, level by level and without going back.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use envoy_types::pb::envoy::config::listener::v3::FilterChainMatch;
use ipnet::IpNet;

use super::unmodelled::{Modelled, Unmodelled, nothing_else, refused};

/// The filter chain match of one listener. `usize` numbers the chains.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    ports: BTreeMap<Option<u16>, Addresses>,
    /// Whether some chain asks for something that only a TLS inspector can tell.
    inspects: bool,
}

#[derive(Debug, Default)]
struct Addresses {
    prefixes: BTreeMap<IpNet, Names>,
    /// Prefix lengths in use, longest first, of IPv4 and IPv6 alike.
    lengths: Vec<u8>,
    any: Option<Names>,
}

/// Server name → transport protocol → application protocol → source → chain. An empty text is a wildcard.
type Names = BTreeMap<String, Transports>;
type Transports = BTreeMap<String, Protocols>;
type Protocols = BTreeMap<String, Sources>;
/// Range of source addresses → chain; `None` is any.
type Sources = BTreeMap<Option<IpNet>, usize>;

/// What is known of a connection before a chain is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traits<'a> {
    pub(super) destination: SocketAddr,
    /// `None`: nobody knows.
    pub(super) source: Option<IpAddr>,
    /// In lower case; empty if the client names none.
    pub(super) server_name: &'a str,
    /// Whether the connection begins with a TLS handshake, as far as the listener looks.
    pub(super) tls: bool,
    pub(super) alpn: &'a [String],
}

/// The level at which no chain was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    Port,
    Address,
    ServerName,
    Transport,
    Alpn,
    Source,
}

impl Sieve {
    /// Adds chain number `chain`.
    pub(super) fn add(&mut self, mut spec: FilterChainMatch, chain: usize) -> Modelled<()> {
        let port = spec.destination_port.take().map(|port| port.value);
        let prefixes = std::mem::take(&mut spec.prefix_ranges);
        let names = or_wildcard(std::mem::take(&mut spec.server_names));
        let transport = std::mem::take(&mut spec.transport_protocol);
        let alpn = or_wildcard(std::mem::take(&mut spec.application_protocols));
        let sources = std::mem::take(&mut spec.source_prefix_ranges);
        nothing_else(&spec)?;
        let mut from = Vec::with_capacity(sources.len());
        for source in sources {
            let net = net(&source.address_prefix, source.prefix_len.map_or(0, |length| length.value))?;
            from.push((net.prefix_len() > 0).then_some(net));
        }
        if from.is_empty() {
            from.push(None);
        }
        let (alpn, from) = (alpn.as_slice(), from.as_slice());
        if names.iter().any(|name| name.contains('*') || name.chars().any(char::is_uppercase)) {
            return Err(Unmodelled::new("FilterChainMatch.server_names", "wildcards and capitals are not modelled"));
        }
        self.inspects |= !names[0].is_empty() || transport == "tls" || !alpn[0].is_empty();
        let port = match port.map(u16::try_from) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return refused("FilterChainMatch.destination_port", "it is out of range"),
        };
        let addresses = self.ports.entry(port).or_default();
        let mut nets = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            let length = prefix.prefix_len.map_or(0, |length| length.value);
            nets.push(net(&prefix.address_prefix, length)?);
        }
        if nets.is_empty() {
            insert(addresses.any.get_or_insert_default(), &names, &transport, (alpn, from), chain)?;
        }
        for net in nets {
            if net.prefix_len() == 0 {
                insert(addresses.any.get_or_insert_default(), &names, &transport, (alpn, from), chain)?;
                continue;
            }
            if !addresses.lengths.contains(&net.prefix_len()) {
                addresses.lengths.push(net.prefix_len());
                addresses.lengths.sort_unstable_by(|a, b| b.cmp(a));
            }
            insert(addresses.prefixes.entry(net).or_default(), &names, &transport, (alpn, from), chain)?;
        }
        Ok(())
    }

    /// Whether some chain asks for something that only a TLS inspector can tell.
    pub(super) fn inspects(&self) -> bool {
        self.inspects
    }

    /// The chain for a connection.
    pub(super) fn find(&self, traits: &Traits<'_>) -> Result<usize, Miss> {
        let port = Some(traits.destination.port());
        let addresses = self.ports.get(&port).or_else(|| self.ports.get(&None)).ok_or(Miss::Port)?;
        let names = addresses.of(traits.destination.ip()).ok_or(Miss::Address)?;
        let transports = or_any(names, traits.server_name).ok_or(Miss::ServerName)?;
        let transport = if traits.tls { "tls" } else { "raw_buffer" };
        let protocols = or_any(transports, transport).ok_or(Miss::Transport)?;
        let offered = traits.alpn.iter().find_map(|protocol| protocols.get(protocol.as_str()));
        let sources = offered.or_else(|| protocols.get("")).ok_or(Miss::Alpn)?;
        let nearest = |source| {
            let around = sources.iter().filter_map(|(net, chain)| Some((net.as_ref()?, chain)));
            around.filter(|(net, _)| net.contains(&source)).max_by_key(|(net, _)| net.prefix_len())
        };
        let ranged = traits.source.and_then(nearest).map(|(_, chain)| chain);
        ranged.or_else(|| sources.get(&None)).copied().ok_or(Miss::Source)
    }
}

impl Miss {
    /// The reason in words.
    pub(super) fn explain(self, traits: &Traits<'_>) -> String {
        match self {
            Self::Port => format!("none is for port {}", traits.destination.port()),
            Self::Address => {
                format!("none for port {} is for the address {}", traits.destination.port(), traits.destination.ip())
            }
            Self::ServerName => {
                format!("none for {} is for the server name `{}`", traits.destination, traits.server_name)
            }
            Self::Transport if traits.tls => "none is for TLS".to_owned(),
            Self::Transport => "none is for plaintext".to_owned(),
            Self::Source => match traits.source {
                Some(source) => format!("none is for the source {source}"),
                None => "none is for every source".to_owned(),
            },
            Self::Alpn => format!("none is for the application protocols [{}]", traits.alpn.join(", ")),
        }
    }
}

impl Addresses {
    fn of(&self, address: IpAddr) -> Option<&Names> {
        let nets = self.lengths.iter().filter_map(|&length| IpNet::new(address, length).ok());
        nets.map(|net| net.trunc()).find_map(|net| self.prefixes.get(&net)).or(self.any.as_ref())
    }
}

fn or_any<'a, T>(level: &'a BTreeMap<String, T>, value: &str) -> Option<&'a T> {
    level.get(value).or_else(|| level.get(""))
}

fn or_wildcard(values: Vec<String>) -> Vec<String> {
    if values.is_empty() { vec![String::new()] } else { values }
}

fn insert(
    names: &mut Names,
    wanted: &[String],
    transport: &str,
    (alpn, from): (&[String], &[Option<IpNet>]),
    chain: usize,
) -> Modelled<()> {
    for name in wanted {
        let protocols = names.entry(name.clone()).or_default().entry(transport.to_owned()).or_default();
        for protocol in alpn {
            let sources = protocols.entry(protocol.clone()).or_default();
            for range in from {
                if sources.insert(*range, chain).is_some() {
                    return refused("FilterChainMatch", "another chain has the same match");
                }
            }
        }
    }
    Ok(())
}

fn net(address: &str, length: u32) -> Modelled<IpNet> {
    let address: IpAddr = address.parse().or_else(|error| refused("CidrRange.address_prefix", error))?;
    let length = u8::try_from(length).or_else(|error| refused("CidrRange.prefix_len", error))?;
    let net = IpNet::new(address, length).or_else(|error| refused("CidrRange.prefix_len", error))?;
    Ok(net.trunc())
}
