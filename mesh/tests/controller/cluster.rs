//! With a real API server.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Ads,
    },
};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, Pod, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use mesh::{
    controller::{KubeTokens, Register, Serving, register},
    snapshot::ResourceType,
    world::Change,
    xds::Identity,
};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use crate::{
    api,
    bench::{Bench, Options, pod, serving, until},
};

/// A namespace of its own with a pod, and the token that the kubelet would give it.
struct Tenant {
    client: Client,
    namespace: String,
}

impl Tenant {
    async fn new(client: &Client, name: &str) -> Self {
        let nonce = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let namespace = format!("{name}-{nonce}");
        let api = Api::<Namespace>::all(client.clone());
        let object = serde_json::from_value(json!({ "metadata": { "name": namespace } })).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        let tenant = Self { client: client.clone(), namespace };
        let account = serde_json::from_value(json!({ "metadata": { "name": "books" } })).unwrap();
        tenant.api::<ServiceAccount>().create(&PostParams::default(), &account).await.unwrap();
        let spec = json!({ "serviceAccountName": "books", "containers": [{ "name": "app", "image": "app" }] });
        let object = serde_json::from_value(json!({ "metadata": { "name": "books-1" }, "spec": spec })).unwrap();
        tenant.api::<Pod>().create(&PostParams::default(), &object).await.unwrap();
        tenant
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A token for this audience, bound to the pod if asked.
    async fn token(&self, audience: &str, bound: bool) -> String {
        let pod = self.api::<Pod>().get("books-1").await.unwrap();
        let reference = BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: Some("books-1".into()),
            uid: pod.metadata.uid,
        };
        let bound_object_ref = bound.then_some(reference);
        let spec =
            TokenRequestSpec { audiences: vec![audience.into()], bound_object_ref, expiration_seconds: Some(600) };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = self.api::<ServiceAccount>().create_token_request("books", &PostParams::default(), &request).await;
        answer.unwrap().status.unwrap().token
    }

    async fn delete_pod(&self) {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api::<Pod>().delete("books-1", &now).await.unwrap();
        while self.api::<Pod>().get_opt("books-1").await.unwrap().is_some() {}
    }

    /// The pod as the watches would tell it.
    fn put(&self) -> Change {
        let Change::Put(mesh::world::Object::Workload(mut workload)) = pod("books-1", "books") else { unreachable!() };
        workload.name.namespace = self.namespace.as_str().into();
        workload.account.namespace = self.namespace.as_str().into();
        Change::Put(mesh::world::Object::Workload(workload))
    }
}

async fn open(bench: &Bench, serving: &Serving, token: &str, node: &str) -> Result<Stream, Status> {
    let tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&*serving.roots_pem)).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://{}", bench.controller.ads())).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
    let (requests, outgoing) = mpsc::channel(4);
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut responses = Ads::new(channel).delta_aggregated_resources(request).await?.into_inner();
    let node = Some(Node { id: node.into(), ..Default::default() });
    let type_url = ResourceType::Cluster.type_url().to_owned();
    // A stream that was ended at once says so when it is read.
    let _ = requests.send(DeltaDiscoveryRequest { type_url, node, ..Default::default() }).await;
    // The first answer proves that the stream is served.
    responses.message().await?;
    Ok(Stream { _requests: requests, responses })
}

struct Stream {
    _requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_tells_whose_token_it_is() {
    let Some(api) = api::Api::connect().await else { return };
    let tenant = Tenant::new(&api.client, "tokens").await;
    let own = serving();
    let identity = Identity::Token(Arc::new(KubeTokens::new(api.client.clone())));
    let bench = Bench::start(Options { identity, serving: own.clone(), ..Options::default() }).await;
    bench.tell(vec![tenant.put()], json!({}));
    let node = format!("{}/books-1", tenant.namespace);
    let token = tenant.token("osm", true).await;

    for (token, code) in [
        (tenant.token("vault", true).await, Code::Unauthenticated),
        (tenant.token("osm", false).await, Code::PermissionDenied),
        (format!("{token}x"), Code::Unauthenticated),
    ] {
        let status = open(&bench, &own, &token, &node).await.err().unwrap();
        assert_eq!(status.code(), code, "{status}");
    }
    let mut stream = open(&bench, &own, &token, &node).await.unwrap();

    tenant.delete_pod().await;
    let name = mesh::model::ObjectName::new(tenant.namespace.as_str(), "books-1");
    bench.tell(vec![Change::Gone(mesh::model::ObjectRef::new(mesh::model::Kind::Pod, name))], json!({}));
    let status = loop {
        match stream.responses.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without a status"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::NotFound, "{status}");
    // Even where the watch lags behind: the token dies with its pod, as soon as the API server has forgotten its own answer.
    bench.tell(vec![tenant.put()], json!({}));
    let refused = until(async || open(&bench, &own, &token, &node).await.err(), Option::is_some).await;
    assert_eq!(refused.unwrap().code(), Code::Unauthenticated);
    bench.controller.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registrations_follow_the_certificate_and_come_back() {
    let Some(api) = api::Api::connect().await else { return };
    let name = format!("controller-test-{}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos());
    let named = name.clone();
    let objects = Arc::new(move |serving: &Serving| {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        vec![json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": named },
            "webhooks": [{
                "name": "validate.test.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "failurePolicy": "Ignore",
                "clientConfig": { "url": "https://127.0.0.1:1/validate", "caBundle": BASE64_STANDARD.encode(&*serving.roots_pem) },
            }],
        })]
    });
    let register = Some(Register { client: api.client.clone(), objects });
    let bench = Bench::start(Options { register, ..Options::default() }).await;
    bench.tell(Vec::new(), json!({}));
    until(|| bench.get("/readyz"), |(status, _)| *status == 200).await;
    let configurations = Api::<ValidatingWebhookConfiguration>::all(api.client.clone());
    let bundle = async || {
        let found = configurations.get_opt(&name).await.unwrap()?;
        Some(String::from_utf8(found.webhooks?.remove(0).client_config.ca_bundle?.0).unwrap())
    };
    let first = bench.serving.borrow().roots_pem.to_string();
    until(&bundle, |found| found.as_ref() == Some(&first)).await;
    configurations.delete(&name, &DeleteParams::default()).await.unwrap();
    let second = serving();
    bench.serving.send_replace(second.clone());
    until(&bundle, |found| found.as_deref() == Some(&*second.roots_pem)).await;
    configurations.delete(&name, &DeleteParams::default()).await.unwrap();
    bench.controller.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crds_are_served_when_they_are_installed() {
    let Some(api) = api::Api::connect().await else { return };
    let schema = json!({ "openAPIV3Schema": { "type": "object" } });
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.controller-test.io" },
        "spec": {
            "group": "controller-test.io", "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }],
        },
    });
    for _ in 0..2 {
        let crds = [crd.clone()];
        let installed = register::install_crds(&api.client, &crds);
        tokio::time::timeout(Duration::from_secs(60), installed).await.unwrap().unwrap();
    }
    let thing = json!({ "apiVersion": "controller-test.io/v1", "kind": "Thing", "metadata": { "name": "a", "namespace": "default" } });
    until(async || register::apply(&api.client, &thing).await, Result::is_ok).await.unwrap();
}
