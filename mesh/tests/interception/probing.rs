//! Probes, asked from another machine as the kubelet would, with interception in force.

use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use crate::{
    lab::{From, Lab, http},
    pods::{injected, probed, settings},
    skip,
};

const HTTP: &str = "http://10.77.0.1:15901/osm-probe/liveness/web?deep=1";
const TCP: &str = "http://10.77.0.1:15901/osm-probe/readiness/web";
const HTTPS: &str = "http://10.77.0.1:15901/osm-probe/liveness/secure";

/// The application: HTTP, HTTPS and what passes for a gRPC health service.
fn app() -> Vec<Value> {
    let answer =
        |path: &str, status: u16| json!({ "match": { "path": path }, "direct_response": { "status": status } });
    let healthz = answer("/healthz", 200);
    let moved = json!({ "match": { "path": "/moved" }, "redirect": { "path_redirect": "/elsewhere" } });
    let secret = json!({ "match": { "prefix": "/healthz/" }, "direct_response": { "status": 200 } });
    let plain = http("app", "::", 8080, &json!([healthz, moved, secret, answer("/broken", 500)]));
    let mut tls = http("app", "::", 8443, &json!([healthz]));
    let pair = generate_simple_self_signed(["whoever".to_owned()]).unwrap();
    tls["filter_chains"][0]["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": { "tls_certificates": [{
                "certificate_chain": { "inline_string": pair.cert.pem() },
                "private_key": { "inline_string": pair.signing_key.serialize_pem() },
            }] },
        },
    });
    let serving = json!([{ "header": { "key": "grpc-status", "value": "0" } }]);
    let all =
        json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200 }, "response_headers_to_add": serving });
    let grpc = http("app", "::", 9090, &json!([all]));
    vec![plain, tls, grpc]
}

fn grpc(lab: &Lab, method: &str) -> String {
    let url = format!("http://10.77.0.1:15911{method}");
    let header = "content-type: application/grpc";
    lab.ask_with(From::Peer, &["--http2-prior-knowledge", "-X", "POST", "-H", header, "-H", "te: trailers", &url])
}

#[test]
fn probes_tell_the_truth_about_the_application() {
    let mut lab = match Lab::new() {
        Ok(lab) => lab,
        Err(reason) => return skip(&reason),
    };
    let pod = injected(&json!({}), &probed(), &settings(json!({})));
    lab.sidecar(&pod);
    lab.init(&pod);
    closed(&lab);

    lab.answers(From::App, "app", &app());
    open(&lab);
    only_what_a_probe_would_ask(&lab);

    lab.end_last();
    lab.until(From::Peer, TCP, "503");
    closed(&lab);
}

/// No probe succeeds while the application's ports are closed.
fn closed(lab: &Lab) {
    for url in [HTTP, TCP, HTTPS] {
        assert!(lab.ask(From::Peer, url).starts_with("503"), "{url}: {}", lab.ask(From::Peer, url));
    }
    // 14 is `unavailable`.
    assert_eq!(grpc(lab, "/grpc.health.v1.Health/Check"), "200 14");
}

fn open(lab: &Lab) {
    lab.until(From::Peer, TCP, "200");
    lab.expect(From::Peer, HTTP, "200");
    lab.expect(From::Peer, HTTPS, "200");
    assert_eq!(grpc(lab, "/grpc.health.v1.Health/Check"), "200 0");
    // A redirection is told, but not its target.
    lab.expect(From::Peer, "http://10.77.0.1:15901/osm-probe/startup/web", "301");
    let headers = lab.ask_with(From::Peer, &["-D", "-", "http://10.77.0.1:15901/osm-probe/startup/web"]);
    assert!(!headers.contains("location"), "{headers}");
    lab.expect(From::Peer, "http://10.77.0.1:15901/osm-probe/pre-stop/secure", "500");
}

/// The doors for probes lead nowhere else.
fn only_what_a_probe_would_ask(lab: &Lab) {
    let at = |path: &str| format!("http://10.77.0.1:15901{path}");
    for path in
        ["/healthz/secret", "/osm-probe/liveness/web/secret", "/osm-probe/liveness/web/../secret", "/quitquitquit"]
    {
        lab.expect(From::Peer, &at(path), "404");
    }
    assert_eq!(lab.ask_with(From::Peer, &["-X", "POST", HTTP]), "404");
    // 12 is `unimplemented`.
    assert_eq!(grpc(lab, "/shop.Orders/Delete"), "200 12");
    assert!(lab.ask(From::Peer, "http://10.77.0.1:8080/healthz/secret").contains("inbound"), "all else is intercepted");
}
