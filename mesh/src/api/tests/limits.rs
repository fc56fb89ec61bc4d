//! Retry and UpstreamTrafficSetting.

use std::time::Duration;

use insta::assert_snapshot;

use super::{Manifest, good, object, refused};
use crate::{
    model::{DescriptorEntry, HeaderCondition, ObjectName, Retry, RetryPolicy, Subject, UpstreamTrafficSetting},
    world::Object,
};

const GROUP: &str = "policy.openservicemesh.io/v1alpha1";

fn setting(spec: &str) -> UpstreamTrafficSetting {
    match good(&object(GROUP, "UpstreamTrafficSetting", spec)).remove(0) {
        Manifest::Object(Object::UpstreamTrafficSetting(setting)) => *setting,
        other => panic!("{other:?}"),
    }
}

fn bad(kind: &str, spec: &str) -> String {
    refused(&object(GROUP, kind, spec))
}

#[test]
fn a_retry() {
    let text = "spec:\n  source: {kind: ServiceAccount, name: web, namespace: front}\n  destinations: [{kind: Service, name: a}, {kind: Service, name: b, namespace: back}]\n  retryPolicy: {retryOn: '5xx,connect-failure', perTryTimeout: 1s, numRetries: 3, retryBackoffBaseInterval: 50ms}";
    let Manifest::Object(Object::Retry(retry)) = good(&object(GROUP, "Retry", text)).remove(0) else { panic!() };
    let source = Subject { kind: "ServiceAccount".into(), name: "web".into(), namespace: Some("front".into()) };
    let policy = RetryPolicy {
        retry_on: "5xx,connect-failure".into(),
        per_try_timeout: Some(Duration::from_secs(1)),
        retries: Some(3),
        backoff: Some(Duration::from_millis(50)),
    };
    let destinations = vec![ObjectName::new("shop", "a"), ObjectName::new("back", "b")];
    assert_eq!(retry, Retry { name: ObjectName::new("shop", "n"), source, destinations, policy });
}

#[test]
fn every_field_of_a_setting() {
    let setting = setting(
        "spec:
  host: web.shop.svc.cluster.local
  connectionSettings:
    tcp: {maxConnections: 1, connectTimeout: 2s}
    http: {maxRequests: 3, maxRequestsPerConnection: 4, maxPendingRequests: 5, maxRetries: 6}
    outlierDetection: {consecutiveErrors: 7, interval: 8s, baseEjectionTime: 9s, maxEjectionPercent: 10}
  rateLimit:
    local:
      tcp: {connections: 11, unit: second, burst: 12}
      http: {requests: 13, unit: hour, burst: 14, responseStatusCode: 503, responseHeadersToAdd: [{name: X-A, value: 100%}]}
    global:
      tcp: {rateLimitService: {host: rls.x, port: 8081}, domain: d, descriptors: [{entries: [{key: k, value: v}]}]}
      http:
        rateLimitService: {host: 127.0.0.1, port: 8081}
        domain: d
        timeout: 1s
        failOpen: false
        enableXRateLimitHeaders: true
        descriptors:
        - entries:
          - genericKey: {value: v}
          - remoteAddress: {}
          - requestHeader: {name: X-User, key: user}
          - headerValueMatch: {value: m, expectMatch: false, headers: [{name: A, exact: b}, {name: c, present: true}]}
  httpRoutes:
  - path: /a.*
    rateLimit: {local: {requests: 1, unit: minute}, global: {descriptors: [{entries: [{genericKey: {key: k, value: v}}]}]}}",
    );
    assert_eq!(setting.connection.max_retries, Some(6));
    assert_eq!(setting.connection.connect_timeout, Some(Duration::from_secs(2)));
    assert_eq!(setting.outlier.unwrap().max_ejection_percent, Some(10));
    assert_eq!(setting.rate_limit.local_tcp.unwrap().burst, 12);
    let http = setting.rate_limit.local_http.unwrap();
    assert_eq!((http.status, &*http.response_headers[0].0, &*http.response_headers[0].1), (503, "x-a", "100%"));
    assert_eq!(http.bucket.unit, Duration::from_secs(3600));
    assert_eq!(setting.rate_limit.global_tcp.unwrap().service.timeout, Duration::from_millis(20));
    let global = setting.rate_limit.global_http.unwrap();
    assert_eq!((global.status, global.service.fail_open, global.x_rate_limit_headers), (429, false, true));
    let expected = DescriptorEntry::HeaderValueMatch {
        key: "header_match".into(),
        value: "m".into(),
        expect_match: false,
        headers: vec![("a".into(), HeaderCondition::Exact("b".into())), ("c".into(), HeaderCondition::Present(true))],
    };
    assert_eq!(global.descriptors[0][3], expected);
    assert_eq!(setting.routes[0].descriptors.len(), 1);
}

#[test]
fn what_envoy_would_refuse_is_refused_here() {
    let local = |http: &str| {
        bad("UpstreamTrafficSetting", &format!("spec: {{host: web, rateLimit: {{local: {{http: {http}}}}}}}"))
    };
    assert_snapshot!(local("{requests: 0, unit: hour}"), @"t.yaml:4:56: UpstreamTrafficSetting shop/n spec.rateLimit.local.http.requests: is 0: write 1 or more, or leave it out");
    assert_snapshot!(local("{requests: 1, unit: day}"), @"t.yaml:4:65: UpstreamTrafficSetting shop/n spec.rateLimit.local.http.unit: `day` is not one of `second`, `minute`, `hour`");
    assert_snapshot!(local("{requests: 1, unit: hour, responseStatusCode: 499}"), @"t.yaml:4:91: UpstreamTrafficSetting shop/n spec.rateLimit.local.http.responseStatusCode: `499` is no status of an error that Envoy knows, such as 429 or 503");
    assert_snapshot!(local("{requests: 1, unit: hour, responseHeadersToAdd: [{name: ':status', value: a}]}"), @"t.yaml:4:101: UpstreamTrafficSetting shop/n spec.rateLimit.local.http.responseHeadersToAdd[0].name: `:status` is no header of a response");
    let spec = |rest: &str| bad("UpstreamTrafficSetting", &format!("spec: {{host: web, {rest}}}"));
    assert_snapshot!(spec("connectionSettings: {tcp: {connectTimeout: 0s}}"), @"t.yaml:4:62: UpstreamTrafficSetting shop/n spec.connectionSettings.tcp.connectTimeout: 0ns is not between 1ms and ten years");
    assert_snapshot!(spec("connectionSettings: {outlierDetection: {maxEjectionPercent: 101}}"), @"t.yaml:4:79: UpstreamTrafficSetting shop/n spec.connectionSettings.outlierDetection.maxEjectionPercent: is more than 100 percent");
    assert_snapshot!(spec("httpRoutes: [{path: /a}]"), @"t.yaml:4:32: UpstreamTrafficSetting shop/n spec.httpRoutes[0].rateLimit: limits nothing: give `local`, or `global` with `descriptors`");
    let entry = |entry: &str| {
        spec(&format!("httpRoutes: [{{path: /a, rateLimit: {{global: {{descriptors: [{{entries: [{entry}]}}]}}}}}}]"))
    };
    assert_snapshot!(entry("{}"), @"t.yaml:4:89: UpstreamTrafficSetting shop/n spec.httpRoutes[0].rateLimit.global.descriptors[0].entries[0]: an entry is exactly one of `genericKey`, `remoteAddress`, `requestHeader`, `headerValueMatch`");
    assert_snapshot!(entry("{headerValueMatch: {value: v, headers: [{name: a}]}}"), @"t.yaml:4:129: UpstreamTrafficSetting shop/n spec.httpRoutes[0].rateLimit.global.descriptors[0].entries[0].headerValueMatch.headers[0]: besides its name a header has exactly one of `exact`, `prefix`, `suffix`, `regex`, `contains`, `present`");
    assert_snapshot!(entry("{genericKey: {value: ''}}"), @"t.yaml:4:110: UpstreamTrafficSetting shop/n spec.httpRoutes[0].rateLimit.global.descriptors[0].entries[0].genericKey.value: is empty");
    let retry = |to: &str, policy: &str| {
        bad(
            "Retry",
            &format!(
                "spec: {{source: {{kind: ServiceAccount, name: a}}, destinations: [{to}], retryPolicy: {policy}}}"
            ),
        )
    };
    assert_snapshot!(retry("{kind: Pod, name: a}", "{retryOn: 5xx}"), @"t.yaml:4:71: Retry shop/n spec.destinations[0].kind: `Pod` cannot be a destination: write `Service`");
    assert_snapshot!(retry("{kind: Service, name: a}", "{retryOn: 5xx, retryBackoffBaseInterval: 0s}"), @"t.yaml:4:145: Retry shop/n spec.retryPolicy.retryBackoffBaseInterval: 0ns is not between 1ms and ten years");
}
