//! The debug endpoints.

use std::sync::Arc;

use mesh::{
    admin::{Level, Metrics},
    controller::Controller,
};
use serde_json::{Value, json};

use crate::bench::{Bench, Options, config, get, http, parts, pod, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_config_opens_and_closes_them() {
    let bench = Bench::start(Options::default()).await;
    let mut debug = bench.controller.debug();
    assert_eq!(*debug.borrow(), None, "off by default");
    bench.tell(
        vec![pod("a", "books")],
        json!({ "observability": { "enableDebugServer": true, "osmLogLevel": "debug" } }),
    );
    let address = debug.wait_for(Option::is_some).await.unwrap().unwrap();
    assert_eq!(bench.level.current(), "debug");
    let at = |path: &str| format!("http://{address}{path}");
    let ask = async |path: &str| {
        let (status, text) = get(&at(path)).await;
        assert_eq!(status, 200, "{path}: {text}");
        text
    };
    assert!(ask("/debug").await.contains("/debug/explain"));
    let proxies: Value = serde_json::from_str(&ask("/debug/proxies").await).unwrap();
    assert_eq!((&proxies[0]["pod"], &proxies[0]["connected"]), (&json!("shop/a"), &json!(false)));
    until(async || get(&at("/debug/certs")).await, |(_, text)| text.contains("notAfter")).await;
    for path in ["/debug/certs", "/debug/xds/shop/a", "/debug/policies", "/debug/world", "/debug/feature-flags"] {
        let text = ask(path).await;
        assert!(!text.contains("PRIVATE KEY"), "{path}");
    }
    assert_eq!(get(&at("/debug/xds/shop/nobody")).await.0, 404);
    let why: Value = serde_json::from_str(&ask("/debug/explain?from=shop/x&to=shop/books").await).unwrap();
    assert_eq!(why["allowed"], false);
    assert_eq!(why["because"], "no pod of the mesh runs under shop/x: nothing can call with its identity");
    assert!(ask("/debug/profile?seconds=1").await.contains("writer"));
    let set = async |level: &'static str| http(None).put(at("/debug/log")).body(level).send().await.unwrap();
    assert_eq!(set("mesh=loud").await.status(), 400);
    assert_eq!(set("warn").await.status(), 200);
    assert_eq!(bench.level.current(), "warn");

    bench.tell(Vec::new(), json!({}));
    debug.wait_for(Option::is_none).await.unwrap();
    until(|| tokio::net::TcpStream::connect(address), Result::is_err).await.unwrap_err();
    bench.controller.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_outside_they_demand_a_token() {
    let (metrics, level, options) = (Arc::new(Metrics::default()), Level::detached(), Options::default());
    let mut config = config(&options, "0.0.0.0:0".parse().unwrap(), &metrics, &level);
    config.debug_token = Some("correct horse battery".into());
    let (parts, heard, _serving) = parts(options, &metrics);
    let controller = Controller::start(config, parts).await.unwrap();
    let spec = serde_json::from_value(json!({ "observability": { "enableDebugServer": true } })).unwrap();
    let told = mesh::controller::Heard { mesh_config: Some(Arc::new(spec)), ..Default::default() };
    heard.send(told).unwrap();
    let port = controller.debug().wait_for(Option::is_some).await.unwrap().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/debug/world");
    let with = async |token: &str| http(None).get(&url).bearer_auth(token).send().await.unwrap().status().as_u16();
    assert_eq!(get(&url).await.0, 401);
    assert_eq!(with("correct horse batterz").await, 401);
    assert_eq!(with("correct").await, 401);
    assert_eq!(with("correct horse battery").await, 200);
}
