//! What the CRDs themselves refuse, without any webhook: one row for each rule in CEL, with its good twin.

use super::super::harness::{Test, client, crds, create, namespace, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![test("validation::schemas::what_an_object_alone_can_tell_is_refused_by_its_crd", refused)]
}

/// `apiVersion Kind`, what is wrong, what is told, the good twin.
#[rustfmt::skip]
const CASES: &[(&str, &str, &str, &str)] = &[
    ("specs.smi-spec.io/v1alpha4 HTTPRouteGroup", "{matches: [{name: a}, {name: a}]}", "two matches have one name", "{matches: [{name: a}, {name: b}]}"),
    ("specs.smi-spec.io/v1alpha3 HTTPRouteGroup", "{matches: [{name: a}, {name: a}]}", "two matches have one name", "{matches: [{name: a}, {name: b}]}"),
    ("specs.smi-spec.io/v1alpha4 TCPRoute", "", "for every port of the service write `ports: []`", "{matches: {ports: []}}"),
    ("specs.smi-spec.io/v1alpha4 UDPRoute", "", "for every port of the service write `ports: []`", "{matches: {ports: [53]}}"),
    ("split.smi-spec.io/v1alpha4 TrafficSplit", "{service: web, backends: [{service: web, weight: 1}]}", "the root is among its own backends", "{service: web, backends: [{service: v1, weight: 1}]}"),
    ("split.smi-spec.io/v1alpha1 TrafficSplit", "{service: web, backends: [{service: web, weight: 500m}]}", "the root is among its own backends", "{service: web, backends: [{service: v1, weight: 500m}]}"),
    ("split.smi-spec.io/v1alpha4 TrafficSplit", "{service: web, backends: [{service: v1, weight: 1}, {service: v1, weight: 2}]}", "a backend is named more than once", "{service: web, backends: [{service: v1, weight: 1}, {service: v2, weight: 2}]}"),
    ("split.smi-spec.io/v1alpha2 TrafficSplit", "{service: web, backends: [{service: v1, weight: 0}]}", "no backend has a weight above zero", "{service: web, backends: [{service: v1, weight: 0}, {service: v2, weight: 2}]}"),
    ("config.openservicemesh.io/v1alpha2 MeshConfig", "{sidecar: {tlsMinProtocolVersion: TLSv1_3, tlsMaxProtocolVersion: TLSv1_2}}", "tlsMinProtocolVersion is newer than tlsMaxProtocolVersion", "{sidecar: {tlsMinProtocolVersion: TLSv1_2, tlsMaxProtocolVersion: TLSv1_3}}"),
    ("config.openservicemesh.io/v1alpha2 MeshConfig", "{observability: {tracing: {enable: true, samplingPercent: 101.5}}}", "write a number from 0 to 100", "{observability: {tracing: {enable: true, samplingPercent: 99.5}}}"),
    ("config.openservicemesh.io/v1alpha2 MeshConfig", "{certificate: {ingressGateway: {subjectAltNames: [], validityDuration: 24h, secret: {name: a, namespace: b}}}}", "subjectAltNames names nobody", "{certificate: {ingressGateway: {subjectAltNames: [a.b], validityDuration: 24h, secret: {name: a, namespace: b}}}}"),
    ("policy.openservicemesh.io/v1alpha1 Egress", "{sources: [], ports: [], matches: [{apiGroup: policy.openservicemesh.io, kind: UpstreamTrafficSetting, name: a}, {apiGroup: policy.openservicemesh.io, kind: UpstreamTrafficSetting, name: b}]}", "a second UpstreamTrafficSetting", "{sources: [], ports: [], matches: [{apiGroup: policy.openservicemesh.io, kind: UpstreamTrafficSetting, name: a}]}"),
    ("policy.openservicemesh.io/v1alpha1 IngressBackend", "{backends: [{name: a, port: {number: 80, protocol: http}}, {name: a, port: {number: 80, protocol: https}}]}", "a port of a service is named more than once", "{backends: [{name: a, port: {number: 80, protocol: http}}, {name: a, port: {number: 81, protocol: https}}]}"),
    ("policy.openservicemesh.io/v1alpha1 Retry", "{source: {kind: Group, name: x}, destinations: [], retryPolicy: {retryOn: 5xx}}", "only a ServiceAccount can be the source", "{source: {kind: ServiceAccount, name: x}, destinations: [], retryPolicy: {retryOn: 5xx}}"),
    ("policy.openservicemesh.io/v1alpha1 Retry", "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Pod, name: a}], retryPolicy: {retryOn: 5xx}}", "only Services can be destinations", "{source: {kind: ServiceAccount, name: x}, destinations: [{kind: Service, name: a}], retryPolicy: {retryOn: 5xx}}"),
    ("policy.openservicemesh.io/v1alpha1 UpstreamTrafficSetting", "{host: a, httpRoutes: [{path: /}, {path: /}]}", "a path has two entries", "{host: a, httpRoutes: [{path: /}, {path: /a}]}"),
    ("policy.openservicemesh.io/v1alpha1 UpstreamTrafficSetting", "{host: a, httpRoutes: [{path: /, rateLimit: {global: {descriptors: [{entries: [{genericKey: {value: a}, remoteAddress: {}}]}]}}}]}", "an entry is exactly one of", "{host: a, httpRoutes: [{path: /, rateLimit: {global: {descriptors: [{entries: [{genericKey: {value: a}}, {remoteAddress: {}}]}]}}}]}"),
    // Types and words, besides.
    ("split.smi-spec.io/v1alpha4 TrafficSplit", "{service: web, backends: [{service: v1, weight: -1}]}", "spec.backends[0].weight", "{service: web, backends: [{service: v1, weight: 1}]}"),
    ("policy.openservicemesh.io/v1alpha1 Egress", "{sources: [], ports: [{number: 80, protocol: gopher}]}", "spec.ports[0].protocol: Unsupported value", "{sources: [], ports: [{number: 80, protocol: tcp}]}"),
    ("policy.openservicemesh.io/v1alpha1 UpstreamTrafficSetting", "{host: a, rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 200}}}}", "responseStatusCode", "{host: a, rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 429}}}}"),
];

async fn refused() {
    let client = client().await;
    crds(&client).await;
    let ns = namespace(&client, "schemas").await;
    for (kind, bad, told, good) in CASES {
        let (version, kind) = kind.split_once(' ').unwrap();
        let object = |spec: &str| {
            let spec = if spec.is_empty() { String::new() } else { format!(", spec: {spec}") };
            format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: o}}{spec}}}")
        };
        let answer = create(&client, &ns, "dryRun=All", &object(bad)).await;
        assert!(answer.status == 422 && answer.refusal().contains(told), "{kind} {bad}: {answer:?}");
        let answer = create(&client, &ns, "dryRun=All", &object(good)).await;
        assert_eq!(answer.refusal(), "", "{kind} {good}");
    }
}
