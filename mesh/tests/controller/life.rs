//! From start to end.

use std::{sync::Arc, time::Duration};

use mesh::{
    admin::{Level, Metrics},
    controller::{Controller, StartError},
};
use serde_json::json;

use crate::bench::{Bench, Options, config, http, parts, pod, serving, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_means_it() {
    let bench = Bench::start(Options::default()).await;
    let (status, text) = bench.get("/healthz").await;
    assert_eq!(status, 200, "{text}");
    let (status, text) = bench.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("[-] watches failed: not listed yet"), "{text}");
    assert!(text.contains("[-] api failed: the API server has never answered"), "{text}");
    assert!(text.contains("[+] ads ok: listens on 127.0.0.1:"), "{text}");

    bench.tell(vec![pod("a", "books")], json!({}));
    let (_, text) = until(|| bench.get("/readyz"), |(status, _)| *status == 200).await;
    assert!(text.contains("[+] ca ok"), "{text}");
    until(|| bench.get("/metrics"), |(_, text)| text.contains("osm_cert_issued_count 1\n")).await;
    let (_, text) = bench.get("/metrics").await;
    for line in [
        "osm_k8s_api_event_count{type=\"pod-put\",namespace=\"shop\"} 1",
        "osm_resource_namespace_count 1",
        "osm_feature_flag_enabled{feature_flag=\"enableRetryPolicy\"} 1",
        "osm_events_queued 0",
        "osm_http_response_total{code=\"503\",method=\"GET\",path=\"/readyz\"}",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let (_, text) = bench.get("/version").await;
    assert!(text.contains("\"version\":\"0."), "{text}");
    assert!(bench.get("/smi/version").await.1.contains("access.smi-spec.io/v1alpha3"));
    bench.controller.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_not_ready_any_more_before_it_closes_anything() {
    let bench = Bench::start(Options { notice: Duration::from_secs(2), ..Options::default() }).await;
    bench.tell(Vec::new(), json!({}));
    until(|| bench.get("/readyz"), |(status, _)| *status == 200).await;
    let (ads, http_at) = (bench.controller.ads(), bench.controller.http());
    let (plain, url) = (http(None), format!("http://{http_at}/readyz"));
    let ended = tokio::spawn(bench.controller.shutdown());
    let ready = || async { plain.get(&url).send().await.unwrap().text().await.unwrap() };
    until(ready, |text| text.contains("[-] running failed: it is shutting down")).await;
    tokio::net::TcpStream::connect(ads).await.expect("proxies can still connect");
    ended.await.unwrap();
    assert!(tokio::net::TcpStream::connect(ads).await.is_err());
    assert!(tokio::net::TcpStream::connect(http_at).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_replicas_run_in_one_process() {
    let (first, second) = (Bench::start(Options::default()).await, Bench::start(Options::default()).await);
    first.controller.kill().await;
    assert_eq!(second.get("/healthz").await.0, 200);
    second.controller.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_it_from_starting_is_told() {
    let other = Bench::start(Options::default()).await;
    let (metrics, level) = (Arc::new(Metrics::default()), Level::detached());
    let start = |config| Controller::start(config, parts(Options::default(), &metrics).0);
    let config = |debug: &str| config(&Options::default(), debug.parse().unwrap(), &metrics, &level);

    let mut taken = config("127.0.0.1:0");
    taken.http = other.controller.http();
    let error = start(taken).await.unwrap_err().to_string();
    assert!(error.contains("for health and metrics") && error.contains("is another controller running"), "{error}");
    let open = start(config("0.0.0.0:0")).await.unwrap_err();
    assert!(matches!(open, StartError::DebugOutside(_)), "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_are_served_with_the_certificate_in_force_and_counted() {
    let first = serving();
    let bench = Bench::start(Options { serving: first.clone(), ..Options::default() }).await;
    let url = format!("https://{}/validate", bench.controller.webhook("validator").unwrap());
    let review = |name: &str| {
        let request = json!({ "uid": "1", "kind": { "kind": "TrafficSplit" }, "name": name });
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request })
    };
    let ask = async |root: &str, name: &str| http(Some(root)).post(&url).json(&review(name)).send().await;
    let answer: serde_json::Value = ask(&first.roots_pem, "bad").await.unwrap().json().await.unwrap();
    assert_eq!(answer["response"]["allowed"], false, "the body is passed on: {answer}");
    ask(&first.roots_pem, "good").await.unwrap();
    let (_, text) = bench.get("/metrics").await;
    for allowed in [true, false] {
        let line = format!("osm_admission_webhook_response_total{{kind=\"TrafficSplit\",success=\"{allowed}\"}} 1");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }

    let second = serving();
    assert!(ask(&second.roots_pem, "good").await.is_err(), "its root is not in use yet");
    bench.serving.send_replace(second.clone());
    while ask(&second.roots_pem, "good").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(ask(&first.roots_pem, "good").await.is_err());
    bench.controller.shutdown().await;
}
