//! Envoy itself reads the bootstrap.

use std::process::Command;

use serde_json::json;

use crate::{
    envoy::binary,
    pods::{bootstrap, injected, probed, settings},
    skip,
};

#[test]
fn envoy_accepts_the_bootstrap() {
    let Some(binary) = binary() else { return skip("there is no Envoy") };
    let limited = json!({ "sidecar": { "resources": { "limits": { "memory": "256Mi", "cpu": "1" } } } });
    for (ipv6, config) in [(true, json!({})), (false, limited)] {
        let mut settings = settings(config);
        settings.installation.ipv6 = ipv6;
        let pod = injected(&json!({ "prometheus.io/scrape": "true" }), &probed(), &settings);
        let out = Command::new(&binary)
            .args([
                "--mode",
                "validate",
                "--service-node",
                "shop/web",
                "--service-cluster",
                "web.shop",
                "--disable-hot-restart",
            ])
            .args(["--config-yaml", bootstrap(&pod)])
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}
