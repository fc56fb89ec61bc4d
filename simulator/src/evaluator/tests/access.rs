//! Who may call whom, and what a refusal looks like.

use super::{
    allowed, denied,
    fixture::{
        CLIENT_NAME, Mesh, SERVICE, WEB, any_permission, caller, certificate_secret, exact, get, header, inbound, lead,
        network, per_route, policy, port_permission, request,
    },
    shape, verdict,
};
use crate::{
    evaluator::{Stage, Verdict},
    scenario::model::{Because, Proto, Shape},
};

const OTHER: &str = "other.ns.cluster.local";

#[test]
fn an_allowed_request_arrives_with_the_callers_identity() {
    let mesh = Mesh::http(vec![inbound("/books", vec![header(":method", exact("GET"))], CLIENT_NAME)]);
    let evaluation = mesh.evaluator().explain(&caller(), &get("/x/..//books?q=1")).expect("modelled");
    assert_eq!(evaluation.total, 2, "two equal pods");
    for (outcome, pod) in evaluation.outcomes.iter().zip(["web-0", "web-1"]) {
        let Verdict::Delivered(delivered) = &outcome.verdict else { panic!("{:?}", outcome.verdict) };
        assert_eq!((&*delivered.pod, delivered.port, outcome.weight), (pod, 8080, 1));
        assert_eq!((delivered.path.as_str(), delivered.authority.as_str()), ("/books?q=1", "web"));
        assert_eq!(delivered.peer.as_deref(), Some("spiffe://cluster.local/client/ns/cluster/local"));
        assert_eq!(delivered.identity.as_deref(), Some(CLIENT_NAME));
        let stages: Vec<_> = outcome.trace.steps.iter().map(|step| step.stage).collect();
        use Stage::{
            App, Chain, Cluster, DownstreamTls, Endpoint, HttpRbac, Listener, NetworkRbac, Normalisation, Route,
            VirtualHost,
        };
        assert_eq!(
            stages,
            [
                Listener,
                Chain,
                Normalisation,
                VirtualHost,
                Route,
                Cluster,
                Endpoint,
                Listener,
                Chain,
                DownstreamTls,
                NetworkRbac,
                VirtualHost,
                Route,
                HttpRbac,
                Cluster,
                Endpoint,
                App
            ]
        );
        let route = outcome.trace.steps.iter().rfind(|step| step.stage == Route).expect("a route");
        assert_eq!(
            route.objects.iter().map(|o| &**o).collect::<Vec<_>>(),
            ["HTTPRouteGroup ns/routes", "TrafficTarget ns/t"]
        );
    }
}

#[test]
fn an_unknown_destination_meets_the_default_chain() {
    let evaluator = Mesh::http(Vec::new()).evaluator();
    for to in ["10.96.0.9:80", "10.96.0.1:81", "10.0.0.2:8080"] {
        let denial = denied(&evaluator, &caller(), &request(Proto::Http1, to, "GET", "/"));
        assert_eq!((denial.layer, denial.shape), (Stage::NetworkRbac, Some(Shape::Closed)), "{to}");
        assert_eq!((&*denial.pod, denial.because), ("client-0", Because::WrongSource));
        assert_eq!(shape(&evaluator, &caller(), &request(Proto::TcpServerFirst, to, "", "")), Shape::Closed, "{to}");
    }
}

#[test]
fn http_rules_tell_path_and_method_from_source() {
    let evaluator = Mesh::http(vec![
        inbound("/books", vec![header(":method", exact("GET"))], CLIENT_NAME),
        inbound("/admin", Vec::new(), OTHER),
    ])
    .evaluator();
    assert!(allowed(&evaluator, &caller(), &get("/books")));
    let admin = denied(&evaluator, &caller(), &get("/admin"));
    assert_eq!((admin.layer, admin.shape, admin.status), (Stage::HttpRbac, Some(Shape::Http403), Some(403)));
    assert_eq!(admin.because, Because::RouteNotAllowed, "the caller may do other things");
    let post = denied(&evaluator, &caller(), &request(Proto::Http1, &format!("{SERVICE}:80"), "POST", "/books"));
    assert_eq!((post.layer, post.shape, post.because), (Stage::Route, Some(Shape::Http404), Because::RouteNotAllowed));
    assert_eq!(shape(&evaluator, &caller(), &get("/nothing")), Shape::Http404);
}

#[test]
fn a_stranger_is_a_wrong_source() {
    let mut mesh = Mesh::http(vec![inbound("/books", Vec::new(), OTHER)]);
    let denial = denied(&mesh.evaluator(), &caller(), &get("/books"));
    assert_eq!((denial.shape, denial.because), (Some(Shape::Http403), Because::WrongSource));
    mesh.server.listener.filter_chains[0].filters[0] = network(vec![policy("ns/t", any_permission(), OTHER)]);
    let denial = denied(&mesh.evaluator(), &caller(), &get("/books"));
    assert_eq!(
        (denial.layer, denial.shape),
        (Stage::NetworkRbac, Some(Shape::Http503)),
        "the caller's proxy sees a reset"
    );
    assert_eq!((&*denial.pod, denial.because), ("web-1", Because::WrongSource));
}

#[test]
fn without_an_rbac_filter_route_rules_have_no_effect() {
    let mut mesh = Mesh::http(vec![inbound("/books", Vec::new(), OTHER)]);
    mesh.server.change_hcm(|manager| drop(manager.http_filters.remove(0)));
    assert!(allowed(&mesh.evaluator(), &caller(), &get("/books")));
}

#[test]
fn the_most_specific_rules_count() {
    let mut mesh = Mesh::http(vec![lead("ns/web|8080|local"), lead("ns/web|8080|local")]);
    let routes = mesh.server.routes.get_mut("rds-inbound.8080").expect("routes");
    let rules = |principal| per_route(vec![policy("p", any_permission(), principal)]);
    routes.typed_per_filter_config = rules(CLIENT_NAME);
    routes.virtual_hosts[0].typed_per_filter_config = rules(OTHER);
    assert_eq!(shape(&mesh.evaluator(), &caller(), &get("/")), Shape::Http403);
    let routes = mesh.server.routes.get_mut("rds-inbound.8080").expect("routes");
    routes.virtual_hosts[0].routes[0].typed_per_filter_config = rules(CLIENT_NAME);
    assert!(allowed(&mesh.evaluator(), &caller(), &get("/")));
}

#[test]
fn tcp_is_allowed_by_source_and_port() {
    let tcp = request(Proto::Tcp, &format!("{SERVICE}:80"), "", "");
    let delivered =
        verdict(&Mesh::tcp(vec![policy("ns/t", port_permission(8080), CLIENT_NAME)]).evaluator(), &caller(), &tcp);
    let Verdict::Delivered(delivered) = delivered else { panic!("{delivered:?}") };
    assert_eq!((delivered.identity.as_deref(), delivered.peer), (Some(CLIENT_NAME), None));
    for (policies, because, near) in [
        (vec![policy("ns/t", port_permission(80), CLIENT_NAME)], Because::PortNotAllowed, 1),
        (vec![policy("ns/t", port_permission(8080), OTHER)], Because::WrongSource, 0),
        (Vec::new(), Because::WrongSource, 0),
    ] {
        let evaluator = Mesh::tcp(policies).evaluator();
        let denial = denied(&evaluator, &caller(), &tcp);
        assert_eq!((denial.shape, denial.because, denial.near.len()), (Some(Shape::Closed), because, near));
        let first = request(Proto::TcpServerFirst, &format!("{SERVICE}:80"), "", "");
        let Verdict::Delivered(banner) = verdict(&evaluator, &caller(), &first) else { panic!("the banner comes out") };
        assert!(banner.banner_only);
    }
}

#[test]
fn http_through_a_tcp_chain_is_not_touched() {
    let evaluator = Mesh::tcp(vec![policy("ns/t", any_permission(), CLIENT_NAME)]).evaluator();
    let Verdict::Delivered(delivered) = verdict(&evaluator, &caller(), &get("/a//../b")) else { panic!("denied") };
    assert_eq!((delivered.path.as_str(), delivered.peer), ("/a//../b", None));
}

#[test]
fn bytes_at_an_http_chain_are_no_request() {
    let evaluator = Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)]).evaluator();
    let denial = denied(&evaluator, &caller(), &request(Proto::Tcp, &format!("{SERVICE}:80"), "", ""));
    assert_eq!((denial.layer, denial.shape, denial.status), (Stage::Codec, Some(Shape::Closed), Some(400)));
}

#[test]
fn a_websocket_needs_permission() {
    let mut mesh = Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)]);
    let socket = request(Proto::Websocket, &format!("{SERVICE}:80"), "GET", "/");
    assert!(allowed(&mesh.evaluator(), &caller(), &socket));
    mesh.server.change_hcm(|manager| manager.upgrade_configs.clear());
    let denial = denied(&mesh.evaluator(), &caller(), &socket);
    assert_eq!((denial.layer, denial.shape), (Stage::Upgrade, Some(Shape::Http403)));
}

#[test]
fn nobody_to_deliver_to_is_503() {
    let routes = || vec![inbound(".*", Vec::new(), CLIENT_NAME)];
    let mut mesh = Mesh::http(routes());
    mesh.client.endpoints.insert("ns/web|8080".into(), super::fixture::assignment(&[]));
    let denial = denied(&mesh.evaluator(), &caller(), &get("/"));
    assert_eq!(
        (denial.layer, denial.shape, denial.because),
        (Stage::Endpoint, Some(Shape::Http503), Because::NoEndpoint)
    );
    let mut mesh = Mesh::http(routes());
    mesh.client.clusters.clear();
    assert_eq!(denied(&mesh.evaluator(), &caller(), &get("/")).layer, Stage::Cluster);
    let mut evaluator = Mesh::http(routes()).evaluator();
    evaluator.remove(super::fixture::ip(WEB[0]));
    let evaluation = evaluator.evaluate(&caller(), &get("/")).expect("modelled");
    let weights: Vec<_> =
        evaluation.outcomes.iter().map(|o| (o.weight, matches!(o.verdict, Verdict::Delivered(_)))).collect();
    assert_eq!((weights, evaluation.total), (vec![(1, false), (1, true)], 2));
}

#[test]
fn a_missing_secret_is_not_judged() {
    let mut mesh = Mesh::http(vec![inbound(".*", Vec::new(), CLIENT_NAME)]);
    mesh.server.secrets.remove("inbound");
    let error = mesh.evaluator().evaluate(&caller(), &get("/")).expect_err("Envoy would wait");
    assert!(error.path.ends_with("secret inbound"), "{error}");
    mesh.server.secrets.insert("inbound".into(), certificate_secret(&mesh.authority.leaf("x", 2040)));
    assert!(mesh.evaluator().evaluate(&caller(), &get("/")).is_err());
}
