//! TrafficMetrics by way of the API server: `osm-controller` itself, registered as an APIService.
//!
//! Sidecars' statistics endpoints are HTTP servers here that give text in the form of a real Envoy 1.40. That real Envoys are counted right, the
//! scenarios of `scenarios/conformance/metrics` show.

use std::{path::Path, sync::Arc};

use axum::{Router, routing::get};
use kube::Client;
use reqwest::Identity;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::harness::{ApiServer, Test, apply, call, crds, eventually, free_ports, monitored, pod, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![test("metrics::the_api_server_serves_them_and_guards_edges_apart", served)]
}

const BASE: &str = "/apis/metrics.smi-spec.io/v1alpha1";

/// Serves a sidecar's statistics where Prometheus finds them.
async fn sidecar(ip: &str, text: String) {
    let text: Arc<str> = text.into();
    let router = Router::new().route("/stats/prometheus", get(move || std::future::ready(text.to_string())));
    let listener = TcpListener::bind((ip, 15010)).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// What the client's Envoy tells after 7 answers of 200 and 3 of 500.
fn page(ns: &str) -> String {
    let labels = format!(
        "destination_kind=\"Deployment\",destination_name=\"web\",destination_namespace=\"{ns}\",destination_pod=\"web-h1-a\",\
         destination_service=\"web\",source_kind=\"Pod\",source_name=\"client\",source_namespace=\"{ns}\",\
         source_pod=\"client\",traffic_split=\"unknown\""
    );
    format!(
        "# TYPE envoy_server_uptime gauge\nenvoy_server_uptime{{}} 5\n# TYPE osm_request_total counter\n\
         osm_request_total{{{labels},response_code=\"200\"}} 7\nosm_request_total{{{labels},response_code=\"500\"}} 3\n\
         # TYPE osm_request_duration_ms histogram\nosm_request_duration_ms_bucket{{{labels},le=\"250\"}} 10\n\
         osm_request_duration_ms_bucket{{{labels},le=\"+Inf\"}} 10\nosm_request_duration_ms_sum{{{labels}}} 1500\n\
         osm_request_duration_ms_count{{{labels}}} 10\n"
    )
}

async fn served() {
    let server = ApiServer::start().await;
    let admin = server.client();
    crds(&admin).await;
    let ns = monitored(&admin, "traffic").await;
    let third = std::process::id() % 250;
    let [web, client] = [1, 2].map(|fourth| format!("127.77.{third}.{fourth}"));
    pod(&admin, &ns, "web-h1-a", "web", "app=web,pod-template-hash=h1", &web).await;
    pod(&admin, &ns, "client", "client", "app=client", &client).await;
    sidecar(&web, "envoy_server_uptime{} 9\n".into()).await;
    sidecar(&client, page(&ns)).await;
    let port = controller(&server, &admin).await;

    let available = || async {
        let service = call(
            &admin,
            "GET",
            "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.metrics.smi-spec.io",
            &Value::Null,
        );
        let conditions = service.await.body["status"]["conditions"].clone();
        let condition = conditions.as_array()?.iter().find(|condition| condition["type"] == "Available")?.clone();
        (condition["status"] == "True").then_some(())
    };
    eventually(&format!("the APIService is available: {}", server.log("controller")), available).await;
    answers(&admin, &ns).await;
    rights(&server, &admin, &ns).await;
    refusals(&server, &ns, port).await;
}

/// Starts `osm-controller`, which registers itself. The Service leads to this machine: there is no kube-proxy.
async fn controller(server: &ApiServer, admin: &Client) -> u16 {
    for object in [
        "{apiVersion: v1, kind: Namespace, metadata: {name: osm-system}}",
        "{apiVersion: v1, kind: Service, metadata: {name: osm-controller, namespace: osm-system}, \
          spec: {type: ExternalName, externalName: localhost}}",
    ] {
        apply(admin, "osm-system", object).await;
    }
    let ([ads, http, injector], [validator, conversion, metrics]) = (free_ports(), free_ports());
    let ports = [
        ("ads-port", ads),
        ("http-port", http),
        ("injector-port", injector),
        ("validator-port", validator),
        ("conversion-port", conversion),
        ("metrics-api-port", metrics),
    ];
    let mut arguments: Vec<String> = ports.iter().map(|(name, port)| format!("--{name}={port}")).collect();
    arguments.push(format!("--kubeconfig={}", server.kubeconfig().display()));
    arguments.extend(
        ["--listen-address=127.0.0.1", "--debug-address=127.0.0.1:0", "--metrics-window=3600", "--metrics-interval=1"]
            .map(Into::into),
    );
    server.start_beside("controller", Path::new(env!("CARGO_BIN_EXE_osm-controller")), &arguments);
    metrics
}

fn counts(item: &Value) -> [&str; 2] {
    ["success_count", "failure_count"].map(|name| {
        let metrics = item["metrics"].as_array().unwrap_or_else(|| panic!("{item}"));
        metrics.iter().find(|metric| metric["name"] == name).unwrap()["value"].as_str().unwrap()
    })
}

async fn answers(admin: &Client, ns: &str) {
    let resources = admin.list_api_group_resources("metrics.smi-spec.io/v1alpha1").await.unwrap();
    let names: Vec<_> = resources.resources.iter().map(|resource| &*resource.name).collect();
    assert_eq!(names.len(), 11, "{names:?}");
    assert!(resources.resources.iter().all(|r| r.kind == "TrafficMetrics" && r.verbs == ["get", "list"]));
    let get = |path: String| async move { call(admin, "GET", &format!("{BASE}{path}"), &Value::Null).await };
    // The pods are known when the watches are; the counts when the sidecars were asked.
    let web = || async {
        let web = get(format!("/namespaces/{ns}/deployments/web")).await;
        (web.status == 200 && counts(&web.body) == ["7", "3"]).then_some(web.body)
    };
    let web = eventually("the Deployment has its counts", web).await;
    assert_eq!(web["resource"]["kind"], "Deployment");
    assert_eq!(web["edge"], json!({"direction": "from", "side": "client", "resource": {}}));
    let pods = get(format!("/namespaces/{ns}/pods?labelSelector=app%3Dweb")).await.object();
    assert_eq!((pods["items"].as_array().unwrap().len(), counts(&pods["items"][0])), (1, ["7", "3"]));
    let edges = get(format!("/namespaces/{ns}/pods/client/edges")).await.object();
    assert_eq!((&edges["items"][0]["edge"]["direction"], counts(&edges["items"][0])), (&json!("to"), ["7", "3"]));
    assert_eq!(edges["items"][0]["edge"]["resource"]["name"], "web-h1-a");
    assert_eq!(get(format!("/namespaces/{ns}/deployments/nobody")).await.status, 404);
    assert_eq!(call(admin, "DELETE", &format!("{BASE}/namespaces/{ns}/pods/client"), &Value::Null).await.status, 405);
    assert_eq!(call(admin, "POST", &format!("{BASE}/namespaces/{ns}/pods"), &json!({})).await.status, 405);
}

/// One user may read pods, another the edges of pods, and neither the other.
async fn rights(server: &ApiServer, admin: &Client, ns: &str) {
    for (user, resource) in [("reader", "pods"), ("edges", "pods/edges")] {
        let role = format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: {user}}}, \
              rules: [{{apiGroups: [metrics.smi-spec.io], resources: [{resource}], verbs: ['*']}}]}}\n---\n\
             {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {user}}}, \
              roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {user}}}, \
              subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]}}"
        );
        apply(admin, ns, &role).await;
    }
    let pod = format!("{BASE}/namespaces/{ns}/pods/client");
    let edges = format!("{pod}/edges");
    for (user, allowed, denied) in [("reader", &pod, &edges), ("edges", &edges, &pod)] {
        let client = server.client_of(user);
        let may = || async { (call(&client, "GET", allowed, &Value::Null).await.status == 200).then_some(()) };
        eventually(&format!("{user} may GET {allowed}"), may).await;
        assert_eq!(call(&client, "GET", denied, &Value::Null).await.status, 403, "{user} {denied}");
    }
}

/// Past the API server there is nothing to be had; and what the API server lets pass, the controller still asks about.
async fn refusals(server: &ApiServer, ns: &str, port: u16) {
    let plain = || reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    let proxy =
        || Identity::from_pem(format!("{}{}", server.file("proxy.crt"), server.file("proxy.key")).as_bytes()).unwrap();
    let ask = async |client: reqwest::Client, user: Option<&str>, path: &str| {
        let mut request = client.get(format!("https://localhost:{port}{BASE}/namespaces/{ns}/pods/client{path}"));
        if let Some(user) = user {
            request = request.header("X-Remote-User", user).header("X-Remote-Group", "system:authenticated");
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap()["kind"].clone())
    };
    assert_eq!(ask(plain().build().unwrap(), None, "").await, (401, json!("Status")));
    assert_eq!(
        ask(plain().build().unwrap(), Some("admin"), "").await,
        (401, json!("Status")),
        "a header proves nothing"
    );
    let by_proxy = || plain().identity(proxy()).build().unwrap();
    assert_eq!(ask(by_proxy(), None, "").await, (401, json!("Status")), "no user");
    assert_eq!(ask(by_proxy(), Some("reader"), "").await, (200, json!("TrafficMetrics")));
    assert_eq!(ask(by_proxy(), Some("reader"), "/edges").await, (403, json!("Status")));
    assert_eq!(ask(by_proxy(), Some("edges"), "/edges").await, (200, json!("TrafficMetricsList")));
    assert_eq!(ask(by_proxy(), Some("nobody"), "").await, (403, json!("Status")));
    // A certificate of another authority does not even get through the handshake.
    let other = rcgen::generate_simple_self_signed(vec!["front-proxy-client".into()]).unwrap();
    let identity = Identity::from_pem(format!("{}{}", other.cert.pem(), other.signing_key.serialize_pem()).as_bytes());
    let impostor = plain().identity(identity.unwrap()).build().unwrap();
    assert!(
        impostor.get(format!("https://localhost:{port}{BASE}")).header("X-Remote-User", "admin").send().await.is_err()
    );
}
