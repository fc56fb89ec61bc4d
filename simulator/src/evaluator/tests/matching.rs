//! Filter chains, virtual hosts, routes, and RBAC's and, or, not.

use std::net::SocketAddr;

use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::CidrRange,
            listener::v3::FilterChainMatch,
            rbac::v3::{Permission, permission},
            route::v3::{DirectResponseAction, RouteConfiguration, VirtualHost, route, route_action},
        },
        r#type::matcher::v3::{PathMatcher, StringMatcher, path_matcher, string_matcher::MatchPattern},
    },
    google::protobuf::UInt32Value,
};

use super::{
    allowed,
    fixture::{
        CLIENT_NAME, Mesh, any_permission, caller, exact, get, header, inbound, lead, per_route, policy, regex,
        request, route as route_to, routes_of,
    },
    shape,
};
use crate::{
    evaluator::{
        route::Routes,
        sieve::{Miss, Sieve, Traits},
    },
    scenario::model::{Proto, Shape},
};

/// Port, prefixes, server names, transport, application protocols.
type Spec =
    (Option<u32>, &'static [(&'static str, u32)], &'static [&'static str], &'static str, &'static [&'static str]);

fn sieve(specs: &[Spec]) -> Sieve {
    let mut sieve = Sieve::default();
    for (i, (port, prefixes, names, transport, alpn)) in specs.iter().enumerate() {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let prefix = |(address, length): &(&str, u32)| CidrRange {
            address_prefix: (*address).into(),
            prefix_len: Some(UInt32Value { value: *length }),
        };
        let spec = FilterChainMatch {
            destination_port: port.map(|value| UInt32Value { value }),
            prefix_ranges: prefixes.iter().map(prefix).collect(),
            server_names: owned(names),
            transport_protocol: (*transport).into(),
            application_protocols: owned(alpn),
            ..FilterChainMatch::default()
        };
        sieve.add(spec, i).expect("modelled");
    }
    sieve
}

fn find(sieve: &Sieve, to: &str, tls: Option<(&str, &[&str])>) -> Result<usize, Miss> {
    let destination: SocketAddr = to.parse().expect("address");
    let alpn: Vec<String> = tls.map_or(&[][..], |(_, alpn)| alpn).iter().map(|&text| text.to_owned()).collect();
    sieve.find(&Traits {
        destination,
        source: None,
        server_name: tls.map_or("", |(name, _)| name),
        tls: tls.is_some(),
        alpn: &alpn,
    })
}

#[test]
fn the_most_specific_chain_takes_a_connection_and_there_is_no_way_back() {
    let sieve = sieve(&[
        (Some(80), &[("10.0.0.0", 8)], &[], "", &[]),
        (Some(80), &[("10.1.0.0", 16)], &["a.b"], "tls", &["osm"]),
        (Some(80), &[], &[], "", &[]),
        (None, &[], &[], "", &[]),
        (Some(81), &[("10.0.0.1", 32), ("10.0.0.2", 32)], &[], "raw_buffer", &[]),
        (Some(81), &[("10.0.0.2", 32)], &[], "tls", &[]),
        (Some(81), &[("10.0.0.2", 32)], &[], "tls", &["x", "osm"]),
    ]);
    assert_eq!(find(&sieve, "10.2.0.1:80", None), Ok(0));
    assert_eq!(find(&sieve, "10.1.0.1:80", Some(("a.b", &["osm"]))), Ok(1));
    assert_eq!(find(&sieve, "10.1.0.1:80", None), Err(Miss::ServerName), "the /16 hides the /8");
    assert_eq!(find(&sieve, "10.1.0.1:80", Some(("a.b", &["h2"]))), Err(Miss::Alpn));
    assert_eq!(find(&sieve, "11.0.0.1:80", None), Ok(2));
    assert_eq!(find(&sieve, "11.0.0.1:82", None), Ok(3));
    assert_eq!(find(&sieve, "10.0.0.3:81", None), Err(Miss::Address), "a known port hides the chain for any port");
    assert_eq!(find(&sieve, "10.0.0.1:81", Some(("", &[]))), Err(Miss::Transport));
    assert_eq!(find(&sieve, "10.0.0.2:81", None), Ok(4));
    assert_eq!(find(&sieve, "10.0.0.2:81", Some(("any", &["h2"]))), Ok(5));
    assert_eq!(find(&sieve, "10.0.0.2:81", Some(("any", &["h2", "osm"]))), Ok(6));
}

#[test]
fn equal_matches_are_refused_by_envoy() {
    let mut sieve = sieve(&[(Some(80), &[], &[], "", &[])]);
    let same = FilterChainMatch { destination_port: Some(UInt32Value { value: 80 }), ..FilterChainMatch::default() };
    assert!(sieve.add(same, 1).is_err());
}

#[test]
fn virtual_hosts_go_by_exact_then_longest_wildcard() {
    let host = |name: &str, domains: &[&str]| VirtualHost {
        name: name.into(),
        domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
        ..VirtualHost::default()
    };
    let hosts = vec![
        host("exact", &["web.ns", "web.ns:80"]),
        host("suffix", &["*.ns"]),
        host("longer suffix", &["*eb.ns"]),
        host("prefix", &["web.*"]),
    ];
    let routes = |hosts| {
        Routes::new(RouteConfiguration { virtual_hosts: hosts, ..RouteConfiguration::default() }).expect("modelled")
    };
    let known = routes(hosts.clone());
    for (authority, expected) in [
        ("WEB.ns", Some("exact")),
        ("web.ns:80", Some("exact")),
        ("web.ns:81", Some("prefix")),
        ("x.ns", Some("suffix")),
        ("xweb.ns", Some("longer suffix")),
        ("eb.ns", Some("suffix")),
        ("web.other", Some("prefix")),
        ("web.", None),
        ("other", None),
    ] {
        assert_eq!(known.host(authority).map(|host| &*host.name), expected, "{authority}");
    }
    let any = routes([hosts, vec![host("any", &["*"])]].concat());
    assert_eq!(any.host("other").map(|host| &*host.name), Some("any"));
}

#[test]
fn the_first_matching_route_counts() {
    let answer = |mut from: envoy_types::pb::envoy::config::route::v3::Route, status| {
        from.action =
            Some(route::Action::DirectResponse(DirectResponseAction { status, ..DirectResponseAction::default() }));
        from
    };
    let safe =
        |text: &str| StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex(text))), ignore_case: false };
    let elsewhere =
        |path, headers| route_to(path, headers, route_action::ClusterSpecifier::Cluster("elsewhere".into()));
    let mut mesh = Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)]);
    let both = vec![header("user-agent", safe(".*Firefox.*")), header(":authority", safe("web(:80)?"))];
    let mut routes = routes_of(vec![
        answer(elsewhere("/a", both), 403),
        answer(elsewhere("/a/?", Vec::new()), 503),
        lead("ns/web|8080"),
    ]);
    routes.virtual_hosts[0].routes[2].r#match.as_mut().expect("match").path_specifier =
        Some(envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier::Prefix("/b".into()));
    mesh.client.routes.insert("rds-outbound.80".into(), routes);
    let evaluator = mesh.evaluator();
    let mut firefox = get("/a?x=/b");
    firefox.headers.insert("user-agent".into(), "a Firefox 1".into());
    assert_eq!(shape(&evaluator, &caller(), &firefox), Shape::Http403);
    assert_eq!(shape(&evaluator, &caller(), &get("/a")), Shape::Http503, "a missing header does not match");
    assert_eq!(shape(&evaluator, &caller(), &get("/a/c")), Shape::Http404, "an expression matches the whole path");
    assert!(allowed(&evaluator, &caller(), &get("/books")), "a prefix does not");
    let elsewhere = crate::exchange::Request { authority: "elsewhere".into(), ..get("/b") };
    assert_eq!(shape(&evaluator, &caller(), &elsewhere), Shape::Http404);
}

#[test]
fn rbac_combines_with_and_or_not() {
    let rule = |rule| Permission { rule: Some(rule) };
    let path = |text: &str| {
        let text = StringMatcher { match_pattern: Some(MatchPattern::SafeRegex(regex(text))), ignore_case: false };
        rule(permission::Rule::UrlPath(PathMatcher { rule: Some(path_matcher::Rule::Path(text)) }))
    };
    let method = |text: &str| rule(permission::Rule::Header(header(":method", exact(text))));
    let all = |rules| rule(permission::Rule::AndRules(permission::Set { rules }));
    let one = |rules| rule(permission::Rule::OrRules(permission::Set { rules }));
    let not = |rule: Permission| Permission { rule: Some(permission::Rule::NotRule(Box::new(rule))) };
    let spec = one(vec![all(vec![path("/a"), method("GET")]), all(vec![path("/b.*"), not(method("GET"))])]);
    let mut local = lead("ns/web|8080|local");
    local.typed_per_filter_config =
        per_route(vec![policy("p", spec, CLIENT_NAME), policy("q", any_permission(), "nobody")]);
    let evaluator = Mesh::http(vec![local]).evaluator();
    for (verb, path, ok) in [
        ("GET", "/a?x", true),
        ("POST", "/a", false),
        ("POST", "/b/c", true),
        ("GET", "/b", false),
        ("GET", "/c", false),
    ] {
        let request = request(Proto::Http2, "10.96.0.1:80", verb, path);
        if ok {
            assert!(allowed(&evaluator, &caller(), &request), "{verb} {path}");
        } else {
            assert_eq!(shape(&evaluator, &caller(), &request), Shape::Http403, "{verb} {path}");
        }
    }
}
