//! The rules, one after the other in the same namespace: each run of the script replaces what the last one left.

use serde_json::{Value, json};

use crate::{
    lab::{From, Lab, named},
    pods::{injected, settings},
    skip,
};

/// The pod with one annotation and this `spec.traffic` of MeshConfig.
fn pod(annotation: &str, list: &str, traffic: &Value) -> Value {
    let annotations = if annotation.is_empty() {
        json!({ "prometheus.io/scrape": "true" })
    } else {
        json!({ "prometheus.io/scrape": "true", format!("openservicemesh.io/{annotation}"): list })
    };
    injected(&annotations, &json!([{ "name": "web" }]), &settings(json!({ "traffic": traffic })))
}

fn lab() -> Result<Lab, String> {
    let mut lab = Lab::new()?;
    let peer: Vec<Value> = [8080, 6379, 15000].map(|port| named("peer", "::", port)).into();
    lab.answers(From::Peer, "peer", &peer);
    lab.answers(
        From::App,
        "app",
        &[named("app", "::", 8080), named("app", "::", 9000), named("app", "10.77.0.1", 8085)],
    );
    // Before there are rules, everyone is reached; then it is the rules' doing.
    lab.until(From::App, "http://10.77.0.2:8080", "200 peer");
    lab.until(From::Peer, "http://10.77.0.1:8080", "200 app");
    lab.sidecar(&pod("", "", &json!({})));
    Ok(lab)
}

#[test]
fn connections_go_where_the_rules_say() {
    let lab = match lab() {
        Ok(lab) => lab,
        Err(reason) => return skip(&reason),
    };
    all_is_intercepted(&lab);
    a_second_run_changes_nothing(&lab);
    ports_and_ranges_are_excluded(&lab);
    only_included_ranges_are_intercepted(&lab);
    interfaces_are_excluded(&lab);
    the_pods_own_address_is_reached(&lab);
}

fn all_is_intercepted(lab: &Lab) {
    lab.init(&pod("", "", &json!({})));
    for url in ["http://10.77.0.2:8080", "http://[fd77::2]:8080", "http://192.0.2.1:8080", "http://10.77.0.2:15000"] {
        lab.expect(From::App, url, "200 outbound peer");
        lab.expect(From::Proxy, url, "200 peer");
    }
    for url in ["http://10.77.0.1:8080", "http://[fd77::1]:8080", "http://10.78.0.1:8080", "http://10.77.0.1:9000"] {
        lab.expect(From::Peer, url, "200 inbound app");
        lab.expect(From::App, url, "200 app");
        lab.expect(From::Proxy, url, "200 inbound app");
    }
    for url in ["http://127.0.0.1:8080", "http://[::1]:8080"] {
        lab.expect(From::App, url, "200 app");
        lab.expect(From::Proxy, url, "200 app");
    }
    lab.expect(From::Peer, "http://10.77.0.1:15901/ready", "200 LIVE");
    lab.expect(From::Peer, "http://[fd77::1]:15901/ready", "200 LIVE");
    // Envoy's administration interface is reached from within only, and through the door for statistics only that.
    lab.expect(From::App, "http://127.0.0.1:15000/ready", "200 LIVE");
    for path in ["/config_dump", "/stats", "/quitquitquit", "/stats/prometheus/"] {
        lab.expect(From::Peer, &format!("http://10.77.0.1:15010{path}"), "404");
    }
    let statistics = lab.ask(From::Peer, "http://10.77.0.1:15010/stats/prometheus");
    assert!(statistics.contains("\nenvoy_server_live"), "{statistics}");
    assert!(statistics.contains("\nosm_request_total{} "), "{statistics}");
    assert!(!statistics.contains("envoy_osm_request_total"), "{statistics}");
}

fn a_second_run_changes_nothing(lab: &Lab) {
    let before = (lab.rules("iptables"), lab.rules("ip6tables"));
    assert!(before.0.contains("OSM_PROXY_OUTBOUND"), "{}", before.0);
    lab.init(&pod("", "", &json!({})));
    assert_eq!((lab.rules("iptables"), lab.rules("ip6tables")), before);
}

fn ports_and_ranges_are_excluded(lab: &Lab) {
    lab.init(&pod("outbound-port-exclusion-list", "6379", &json!({})));
    for host in ["10.77.0.2", "[fd77::2]"] {
        lab.expect(From::App, &format!("http://{host}:6379"), "200 peer");
        lab.expect(From::App, &format!("http://{host}:8080"), "200 outbound peer");
    }
    lab.init(&pod("inbound-port-exclusion-list", "9000", &json!({})));
    for host in ["10.77.0.1", "[fd77::1]"] {
        lab.expect(From::Peer, &format!("http://{host}:9000"), "200 app");
        lab.expect(From::Peer, &format!("http://{host}:8080"), "200 inbound app");
    }
    // One list from the pod, one from the mesh.
    let mesh = json!({ "outboundIPRangeExclusionList": ["fd77::/64"] });
    lab.init(&pod("outbound-ip-range-exclusion-list", "10.77.0.2/32", &mesh));
    lab.expect(From::App, "http://10.77.0.2:8080", "200 peer");
    lab.expect(From::App, "http://[fd77::2]:8080", "200 peer");
    lab.expect(From::App, "http://192.0.2.1:8080", "200 outbound peer");
}

fn only_included_ranges_are_intercepted(lab: &Lab) {
    lab.init(&pod("outbound-ip-range-inclusion-list", "192.0.2.0/24", &json!({})));
    lab.expect(From::App, "http://192.0.2.1:8080", "200 outbound peer");
    lab.expect(From::App, "http://10.77.0.2:8080", "200 peer");
    lab.expect(From::App, "http://[fd77::2]:8080", "200 peer");
    lab.init(&pod("", "", &json!({ "outboundIPRangeInclusionList": ["fd77::2/128"] })));
    lab.expect(From::App, "http://[fd77::2]:8080", "200 outbound peer");
    lab.expect(From::App, "http://192.0.2.1:8080", "200 peer");
}

fn interfaces_are_excluded(lab: &Lab) {
    lab.init(&pod("", "", &json!({ "networkInterfaceExclusionList": ["net1"] })));
    lab.expect(From::App, "http://10.78.0.2:8080", "200 peer");
    lab.expect(From::Peer, "http://10.78.0.1:8080", "200 app");
    lab.expect(From::App, "http://10.77.0.2:8080", "200 outbound peer");
    lab.expect(From::Peer, "http://10.77.0.1:8080", "200 inbound app");
}

fn the_pods_own_address_is_reached(lab: &Lab) {
    lab.init(&pod("", "", &json!({})));
    assert!(
        lab.ask(From::Peer, "http://10.77.0.1:8085/own-address").starts_with("503 inbound"),
        "nobody is at 127.0.0.1"
    );
    let own = settings(json!({ "sidecar": { "localProxyMode": "PodIP" } }));
    lab.init(&injected(&json!({ "prometheus.io/scrape": "true" }), &json!([{ "name": "web" }]), &own));
    lab.expect(From::Peer, "http://10.77.0.1:8085/own-address", "200 inbound app");
    lab.expect(From::Peer, "http://10.77.0.1:8080", "200 inbound app");
    lab.expect(From::App, "http://10.77.0.2:8080", "200 outbound peer");
    // Envoy still finds its own administration interface. It may keep connections, so a new one is made too.
    lab.expect(From::Proxy, "http://127.0.0.1:15000/ready", "200 LIVE");
    lab.expect(From::Peer, "http://10.77.0.1:15901/ready", "200 LIVE");
    assert!(lab.ask(From::Peer, "http://10.77.0.1:15010/stats/prometheus").contains("envoy_server_live"));
}
