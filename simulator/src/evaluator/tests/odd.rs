//! Whatever is not modelled is named, and only where a request meets it.

use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::HealthCheck,
            route::v3::{HeaderMatcher, RetryPolicy, RouteAction, header_matcher::HeaderMatchSpecifier, route},
        },
        extensions::{
            filters::network::http_connection_manager::v3::HttpFilter, transport_sockets::tls::v3::TlsCertificate,
        },
    },
    google::protobuf::BoolValue,
};

use super::fixture::{CLIENT_NAME, Config, Mesh, any_permission, caller, exact, get, header, inbound, policy, tcp};
use crate::exchange::Request;

fn mesh() -> Mesh {
    Mesh::http(vec![inbound("/books", Vec::new(), CLIENT_NAME)])
}

#[track_caller]
fn named(change: impl FnOnce(&mut Mesh), field: &str) {
    let mut mesh = mesh();
    change(&mut mesh);
    let error = mesh.evaluator().evaluate(&caller(), &get("/books")).expect_err(field);
    assert!(error.to_string().contains(field), "{error} does not name {field}");
}

fn set_action(config: &mut Config, rds: &str, change: impl FnOnce(&mut RouteAction)) {
    let routes = config.routes.get_mut(rds).expect("routes");
    let Some(route::Action::Route(action)) = &mut routes.virtual_hosts[0].routes[0].action else { panic!("a route") };
    change(action);
}

#[test]
fn an_odd_field_anywhere_on_the_way_is_named() {
    let inbound = "rds-inbound.8080";
    named(|mesh| mesh.client.listener.enable_mptcp = true, "Listener.enable_mptcp");
    named(|mesh| mesh.client.listener.listener_filters.clear(), "listener_filters");
    named(
        |mesh| mesh.server.listener.filter_chains[0].transport_socket_connect_timeout = Some(Default::default()),
        "FilterChain.transport_socket_connect_timeout",
    );
    named(
        |mesh| mesh.server.change_hcm(|hcm| hcm.add_user_agent = Some(BoolValue { value: true })),
        "HttpConnectionManager.add_user_agent",
    );
    named(
        |mesh| mesh.server.change_hcm(|hcm| hcm.path_with_escaped_slashes_action = 2),
        "path_with_escaped_slashes_action",
    );
    named(
        |mesh| {
            mesh.server
                .change_hcm(|hcm| hcm.http_filters.insert(0, HttpFilter { name: "lua".into(), ..Default::default() }));
        },
        "http_filters[lua]",
    );
    named(
        |mesh| set_action(&mut mesh.server, inbound, |action| action.prefix_rewrite = "/x".into()),
        "RouteAction.prefix_rewrite",
    );
    named(
        |mesh| set_action(&mut mesh.server, inbound, |action| action.retry_policy = Some(RetryPolicy::default())),
        "RouteAction.retry_policy",
    );
    named(
        |mesh| mesh.server.routes.get_mut(inbound).expect("routes").ignore_port_in_host_matching = true,
        "ignore_port_in_host_matching",
    );
    named(|mesh| mesh.client.clusters.get_mut("ns/web|8080").expect("cluster").lb_policy = 1, "Cluster.lb_policy");
    named(
        |mesh| {
            mesh.client.clusters.get_mut("ns/web|8080").expect("cluster").health_checks = vec![HealthCheck::default()];
        },
        "Cluster.health_checks",
    );
    named(
        |mesh| mesh.client.endpoints.get_mut("ns/web|8080").expect("endpoints").endpoints[0].priority = 1,
        "LocalityLbEndpoints.priority",
    );
    named(|mesh| mesh.client.endpoints.clear(), "endpoints ns/web|8080");
}

#[test]
fn odd_policies_and_secrets_are_named() {
    named(
        |mesh| {
            let (name, mut odd) = policy("ns/t", any_permission(), CLIENT_NAME);
            odd.condition = Some(Default::default());
            mesh.server.listener.filter_chains[0].filters[0] = super::fixture::network(vec![(name, odd)]);
        },
        "RBAC.policies[ns/t]: Policy.condition",
    );
    named(
        |mesh| {
            let odd = TlsCertificate {
                pkcs12: Some(Default::default()),
                private_key: Some(Default::default()),
                ..Default::default()
            };
            let secret = mesh.client.secrets.get_mut("cert").expect("secret");
            secret.r#type =
                Some(envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type::TlsCertificate(odd));
        },
        "secret cert: TlsCertificate.pkcs12",
    );
}

#[test]
fn odd_matches_are_named_when_a_request_comes_to_them() {
    let deprecated = HeaderMatcher {
        name: "x".into(),
        #[expect(deprecated, reason = "what is tested")]
        header_match_specifier: Some(HeaderMatchSpecifier::ExactMatch("y".into())),
        ..HeaderMatcher::default()
    };
    for (odd, field) in [
        (inbound("/b[a&&b]", Vec::new(), CLIENT_NAME), "RegexMatcher.regex"),
        (inbound("/.*", vec![deprecated], CLIENT_NAME), "HeaderMatcher x"),
        (inbound("/.*", vec![header("x-forwarded-for", exact("y"))], CLIENT_NAME), "HeaderMatcher.name"),
    ] {
        let first = Mesh::http(vec![odd.clone(), inbound("/books", Vec::new(), CLIENT_NAME)]).evaluator();
        let error = first.evaluate(&caller(), &get("/books")).expect_err(field);
        assert!(error.to_string().contains(field), "{error}");
        let last = Mesh::http(vec![inbound("/books", Vec::new(), CLIENT_NAME), odd]).evaluator();
        assert!(last.evaluate(&caller(), &get("/books")).is_ok(), "the first route takes it");
    }
}

#[test]
fn what_other_requests_would_meet_does_not_matter() {
    let mut mesh = mesh();
    let mut chain = mesh.client.listener.filter_chains[0].clone();
    chain.filter_chain_match.as_mut().expect("match").destination_port.as_mut().expect("port").value = 81;
    chain.filters = vec![tcp("")];
    mesh.client.listener.filter_chains.push(chain);
    assert!(mesh.evaluator().evaluate(&caller(), &get("/books")).is_ok());
    let other = Request { destination: "10.96.0.1:81".parse().expect("address"), ..get("/books") };
    assert!(mesh.evaluator().evaluate(&caller(), &other).is_err());
}

#[test]
fn odd_requests_are_named() {
    let evaluator = mesh().evaluator();
    let header = |name: &str, value: &str| Request { headers: [(name.into(), value.into())].into(), ..get("/books") };
    for (request, field) in [
        (get("books"), "request.path"),
        (get("/bücher"), "request.path"),
        (get("/a#b"), "request.path"),
        (get("/a%zz"), "request.path"),
        (Request { method: "BREW".into(), ..get("/books") }, "request.method"),
        (Request { authority: "[::1]".into(), ..get("/books") }, "request.authority"),
        (header("x-forwarded-proto", "x"), "request.headers"),
        (header("x-a", " b"), "request.headers"),
        (header("X-A", "b"), "request.headers"),
    ] {
        let error = evaluator.evaluate(&caller(), &request).expect_err(field);
        assert!(error.path.starts_with(field), "{error}");
    }
}
