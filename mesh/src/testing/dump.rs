//! A snapshot in a few lines of text: what matters of every resource, and after `#` the objects that caused it.

use std::fmt::Write;

use envoy_types::pb::envoy::config::endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier};
use envoy_types::pb::envoy::{
    config::{
        core::v3::{Address, DataSource, address, data_source, socket_address::PortSpecifier},
        listener::v3::FilterChain,
        rbac::v3::{Permission, Principal, Rbac, permission::Rule, principal::Identifier},
        route::v3::{
            HeaderMatcher, Route, header_matcher::HeaderMatchSpecifier, route::Action, route_action::ClusterSpecifier,
            route_match::PathSpecifier,
        },
    },
    extensions::transport_sockets::tls::v3::{Secret, secret},
    r#type::matcher::v3::{StringMatcher, path_matcher, string_matcher::MatchPattern},
};

use super::decoded::{Decoded, Step, objects, rbac, steps, tls};

pub(crate) fn dump(snapshot: &Decoded) -> String {
    let mut out = String::new();
    snapshot.secrets.values().for_each(|s| line(&mut out, 0, &secret(s)));
    for cluster in snapshot.clusters.values() {
        let tls = cluster.transport_socket.as_ref().map(tls);
        let tls = tls.map(|t| format!("sni {}, alpn {:?}, {:?}, {}", t.sni, t.alpn, t.certificates, t.validation));
        let own = cluster.load_assignment.as_ref().map(|a| addresses(a).join(" "));
        let http = if cluster.typed_extension_protocol_options.is_empty() { "" } else { " (http)" };
        let caused = objects(cluster.metadata.as_ref()).join(", ");
        line(&mut out, 0, &format!("cluster {}{http}: {}  # {caused}", cluster.name, tls.or(own).unwrap_or_default()));
    }
    for (name, assignment) in &snapshot.endpoints {
        line(&mut out, 0, &format!("endpoints {name}: {}", addresses(assignment).join(" ")));
    }
    for listener in snapshot.listeners.values() {
        line(
            &mut out,
            0,
            &format!("listener {} {}", listener.name, listener.address.as_ref().map(address).unwrap_or_default()),
        );
        listener.filter_chains.iter().chain(&listener.default_filter_chain).for_each(|c| chain(&mut out, c));
    }
    for config in snapshot.routes.values() {
        line(&mut out, 0, &format!("routes {}", config.name));
        for host in &config.virtual_hosts {
            line(&mut out, 1, &format!("host {}: {}", host.name, host.domains.join(" ")));
            host.routes.iter().for_each(|r| route(&mut out, r));
        }
    }
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    writeln!(out, "{}{}", "  ".repeat(depth), text.trim_end()).expect("a string takes all");
}

pub(crate) fn secret(secret: &Secret) -> String {
    let text = |source: &Option<DataSource>| match source.as_ref().and_then(|s| s.specifier.as_ref()) {
        Some(data_source::Specifier::InlineString(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    match &secret.r#type {
        Some(secret::Type::TlsCertificate(c)) => {
            format!("secret {}: {} with {}", secret.name, text(&c.certificate_chain), text(&c.private_key))
        }
        Some(secret::Type::ValidationContext(v)) => {
            let names = v.match_typed_subject_alt_names.iter().flat_map(|n| &n.matcher).map(string).collect::<Vec<_>>();
            format!("secret {}: {} says {}", secret.name, text(&v.trusted_ca), names.join(" or "))
        }
        other => panic!("{other:?}"),
    }
}

fn string(matcher: &StringMatcher) -> String {
    match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => text.clone(),
        Some(MatchPattern::Prefix(text)) => format!("{text}*"),
        Some(MatchPattern::SafeRegex(regex)) => format!("~{}", regex.regex),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn address(address: &Address) -> String {
    let Some(address::Address::SocketAddress(socket)) = &address.address else { panic!("{address:?}") };
    let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else { panic!("{socket:?}") };
    format!("{}:{port}", socket.address)
}

fn addresses(assignment: &ClusterLoadAssignment) -> Vec<String> {
    let endpoints =
        assignment.endpoints.iter().flat_map(|l| &l.lb_endpoints).filter_map(|e| e.host_identifier.as_ref());
    let one = |host: &HostIdentifier| match host {
        HostIdentifier::Endpoint(endpoint) => address(endpoint.address.as_ref().expect("an address")),
        HostIdentifier::EndpointName(name) => panic!("{name}"),
    };
    endpoints.map(one).collect()
}

fn chain(out: &mut String, chain: &FilterChain) {
    let matched = chain.filter_chain_match.as_ref().map(|m| {
        let port = m.destination_port.map_or(0, |p| p.value);
        let ranges = m.prefix_ranges.iter().map(|r| r.address_prefix.clone());
        let words = ranges.chain(m.server_names.clone()).chain(m.application_protocols.clone());
        format!("port {port} {} {}", words.collect::<Vec<_>>().join(" "), m.transport_protocol)
    });
    line(out, 1, &format!("chain {}: {}", chain.name, matched.as_deref().unwrap_or("everything else").trim_end()));
    let caused = objects(chain.metadata.as_ref());
    if !caused.is_empty() {
        line(out, 2, &format!("# {}", caused.join(", ")));
    }
    if let Some(tls) = chain.transport_socket.as_ref().map(tls) {
        line(out, 2, &format!("tls {:?}, {}, client certificate: {}", tls.certificates, tls.validation, tls.required));
    }
    for step in steps(chain) {
        match step {
            Step::Rbac(rules) => rules_of(out, 2, &rules),
            Step::Http(routes, filters) => {
                let short = filters.iter().filter_map(|f| f.rsplit('.').next());
                line(out, 2, &format!("http {routes} [{}]", short.collect::<Vec<_>>().join(" ")));
            }
            Step::Tcp(clusters) => {
                let clusters = clusters.iter().map(|(name, weight)| format!("{weight} {name}"));
                line(out, 2, &format!("tcp {}", clusters.collect::<Vec<_>>().join(", ")));
            }
        }
    }
}

fn rules_of(out: &mut String, depth: usize, rules: &Rbac) {
    if rules.policies.is_empty() {
        line(out, depth, "rbac nobody");
    }
    let mut policies: Vec<_> = rules.policies.iter().collect();
    policies.sort_by_key(|(name, _)| *name);
    for (name, policy) in policies {
        let permissions = policy.permissions.iter().map(permission).collect::<Vec<_>>().join(" or ");
        let principals = policy.principals.iter().map(principal).collect::<Vec<_>>().join(" or ");
        line(out, depth, &format!("rbac {name}: {permissions} by {principals}"));
    }
}

fn permission(permission: &Permission) -> String {
    match permission.rule.as_ref().expect("a rule") {
        Rule::Any(true) => "anything".into(),
        Rule::DestinationPort(port) => format!("port {port}"),
        Rule::Header(matcher) => header(matcher),
        Rule::UrlPath(path) => match &path.rule {
            Some(path_matcher::Rule::Path(path)) => format!("path {}", string(path)),
            other => panic!("{other:?}"),
        },
        Rule::AndRules(set) => set.rules.iter().map(self::permission).collect::<Vec<_>>().join(" and "),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn principal(principal: &Principal) -> String {
    match &principal.identifier {
        Some(Identifier::Authenticated(who)) => string(who.principal_name.as_ref().expect("anyone otherwise")),
        other => panic!("{other:?}"),
    }
}

fn header(header: &HeaderMatcher) -> String {
    match &header.header_match_specifier {
        Some(HeaderMatchSpecifier::StringMatch(value)) => format!("{} {}", header.name, string(value)),
        other => panic!("{other:?}"),
    }
}

fn route(out: &mut String, route: &Route) {
    let m = route.r#match.as_ref().expect("a match");
    let path = match &m.path_specifier {
        Some(PathSpecifier::SafeRegex(regex)) => format!("~{}", regex.regex),
        Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
        other => panic!("{other:?}"),
    };
    let conditions = [path].into_iter().chain(m.headers.iter().map(header)).collect::<Vec<_>>().join(" and ");
    let caused = objects(route.metadata.as_ref()).join(", ");
    line(out, 2, &format!("{conditions} -> {}  # {caused}", action(route)));
    if let Some(rules) = rbac(route) {
        rules_of(out, 3, &rules);
    }
}

fn action(route: &Route) -> String {
    match &route.action {
        Some(Action::DirectResponse(response)) => format!("status {}", response.status),
        Some(Action::Route(action)) => match action.cluster_specifier.as_ref().expect("a cluster") {
            ClusterSpecifier::Cluster(name) => name.clone(),
            ClusterSpecifier::WeightedClusters(weighted) => {
                let part = |c: &_| -> String {
                    let c: &envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight = c;
                    format!("{} {}", c.weight.map_or(0, |w| w.value), c.name)
                };
                weighted.clusters.iter().map(part).collect::<Vec<_>>().join(", ")
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}
