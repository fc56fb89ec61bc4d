//! Listeners and their filter chains.

use std::{collections::BTreeSet, sync::Arc};

use envoy_types::pb::envoy::{
    config::{
        core::v3::{Address, address, socket_address::PortSpecifier},
        listener::v3::{
            FilterChain, Listener as Wire, ListenerFilter, ListenerFilterChainMatchPredicate, listener_filter,
            listener_filter_chain_match_predicate::Rule,
        },
    },
    extensions::filters::listener::{original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector},
};
use envoy_types::pb::google::protobuf::Duration;
use prost::Name;

use super::{
    filter::Filters,
    proxy::objects,
    sieve::Sieve,
    tls::ServerTls,
    unmodelled::{Modelled, Unmodelled, nothing_else, refused, unpack},
};

/// A listener that gets connections redirected, so that their destination is the original one.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: Arc<str>,
    /// The port that it listens on.
    pub(super) port: u16,
    /// Whether it looks at the first bytes for a TLS handshake.
    inspects_tls: bool,
    /// The only ports on which it does; all if empty.
    inspected: BTreeSet<u16>,
    pub(super) sieve: Sieve,
    pub(super) chains: Vec<Chain>,
    pub(super) default: Option<Chain>,
}

/// A filter chain.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: Arc<str>,
    pub(super) objects: Arc<[Arc<str>]>,
    pub(super) body: Modelled<Body>,
}

/// What a filter chain does.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) tls: Option<ServerTls>,
    pub(super) filters: Filters,
}

impl Listener {
    /// Reads a listener.
    pub(super) fn new(mut listener: Wire) -> Modelled<Self> {
        let name = std::mem::take(&mut listener.name);
        let port = port(listener.address.take())?;
        let (inspects_tls, inspected, original) = listener_filters(std::mem::take(&mut listener.listener_filters))?;
        if !original {
            return Err(Unmodelled::new("listener_filters", "without original_dst the destination is unknown"));
        }
        let chains = std::mem::take(&mut listener.filter_chains);
        let default = listener.default_filter_chain.take();
        listener.access_log.clear();
        listener.metadata = None;
        listener.stat_prefix.clear();
        listener.traffic_direction = 0;
        patience(&mut listener)?;
        nothing_else(&listener)?;
        let mut read = Self {
            name: name.into(),
            port,
            inspects_tls,
            inspected,
            sieve: Sieve::default(),
            chains: Vec::with_capacity(chains.len()),
            default: default.map(Chain::new),
        };
        for mut chain in chains {
            let spec = chain.filter_chain_match.take().unwrap_or_default();
            read.sieve
                .add(spec, read.chains.len())
                .map_err(|error| error.inside(format!("filter_chains[{}]", chain.name)))?;
            read.chains.push(Chain::new(chain));
        }
        if read.sieve.inspects() && !inspects_tls {
            return Err(Unmodelled::new(
                "listener_filters",
                "chains ask for TLS details, but no tls_inspector is there",
            ));
        }
        Ok(read)
    }

    /// Whether it looks at the first bytes of connections to `port` for a TLS handshake.
    pub(super) fn inspects(&self, port: u16) -> bool {
        self.inspects_tls && (self.inspected.is_empty() || self.inspected.contains(&port))
    }
}

impl Chain {
    fn new(mut chain: FilterChain) -> Self {
        let name: Arc<str> = std::mem::take(&mut chain.name).into();
        let objects = objects(chain.metadata.take());
        let body = Body::new(chain).map_err(|error| error.inside(format!("filter_chains[{name}]")));
        Self { name, objects, body }
    }
}

impl Body {
    fn new(mut chain: FilterChain) -> Modelled<Self> {
        chain.filter_chain_match = None;
        let tls = chain.transport_socket.take().map(ServerTls::new).transpose()?;
        let filters = std::mem::take(&mut chain.filters);
        nothing_else(&chain)?;
        Ok(Self { tls, filters: Filters::new(filters)? })
    }
}

/// How long a silent client is waited for changes nothing in how it ends: sent away. Zero would be to wait for ever.
fn patience(listener: &mut Wire) -> Modelled<()> {
    match listener.listener_filters_timeout.take() {
        Some(Duration { seconds: 0, nanos: 0 }) => {
            Err(Unmodelled::new("Listener.listener_filters_timeout", "without a limit, silent clients stay for ever"))
        }
        _ => Ok(()),
    }
}

/// Whether there is a TLS inspector, the only ports on which it works (all if empty), and whether the original destination is looked up.
fn listener_filters(filters: Vec<ListenerFilter>) -> Modelled<(bool, BTreeSet<u16>, bool)> {
    let (mut inspects, mut ports, mut original) = (false, BTreeSet::new(), false);
    for filter in filters {
        let at = format!("listener_filters[{}]", filter.name);
        let only = filter.filter_disabled.map(enabled_ports).transpose().map_err(|error| error.inside(&at))?;
        let Some(listener_filter::ConfigType::TypedConfig(any)) = filter.config_type else {
            return Err(Unmodelled::new(at, "only typed_config is modelled"));
        };
        if any.type_url == OriginalDst::type_url() {
            if only.is_some() {
                return Err(Unmodelled::new(format!("{at}.filter_disabled"), "not modelled for this filter"));
            }
            original = true;
        } else {
            let inspector: TlsInspector = unpack(&any).map_err(|error| error.inside(&at))?;
            nothing_else(&inspector).map_err(|error| error.inside(&at))?;
            inspects = true;
            ports = only.unwrap_or_default();
        }
    }
    Ok((inspects, ports, original))
}

/// The ports on which a filter works that is off everywhere else.
fn enabled_ports(predicate: ListenerFilterChainMatchPredicate) -> Modelled<BTreeSet<u16>> {
    let unmodelled = || Unmodelled::new("filter_disabled", "only `not` of destination ports is modelled");
    let Some(Rule::NotMatch(on)) = predicate.rule else { return Err(unmodelled()) };
    let rules = match on.rule {
        Some(Rule::OrMatch(set)) => set.rules.into_iter().filter_map(|predicate| predicate.rule).collect(),
        Some(rule) => vec![rule],
        None => return Err(unmodelled()),
    };
    let mut ports = BTreeSet::new();
    for rule in rules {
        let Rule::DestinationPortRange(range) = rule else { return Err(unmodelled()) };
        ports.extend((range.start..range.end).filter_map(|port| u16::try_from(port).ok()));
    }
    Ok(ports)
}

fn port(address: Option<Address>) -> Modelled<u16> {
    let Some(address::Address::SocketAddress(mut socket)) = address.and_then(|address| address.address) else {
        return Err(Unmodelled::new("Listener.address", "only socket addresses are modelled"));
    };
    let port = socket.port_specifier.take();
    socket.address.clear();
    nothing_else(&socket)?;
    match port {
        Some(PortSpecifier::PortValue(port)) => u16::try_from(port).or_else(|error| refused("Listener.address", error)),
        _ => Err(Unmodelled::new("Listener.address", "only port_value is modelled")),
    }
}
