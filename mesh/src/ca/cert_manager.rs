//! cert-manager: a `CertificateRequest` for every certificate.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::future::BoxFuture;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};

use super::{
    csr::{Csr, root_of},
    issuer::{CertificateRequest, Credential, IssueError, Issuer, KeyType, Validity},
};
use crate::model::PrivateKey;

/// An issuer of cert-manager. ACME issuers will not do: they certify public names only.
pub struct CertManagerIssuer {
    config: CertManagerConfig,
    requests: Api<DynamicObject>,
    root_pem: Arc<str>,
}

/// Which issuer of cert-manager is asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertManagerConfig {
    /// Where requests are made: the control plane's namespace.
    pub namespace: Arc<str>,
    /// Name of the issuer.
    pub issuer: String,
    /// `Issuer` or `ClusterIssuer`.
    pub kind: &'static str,
    /// API group of the issuer.
    pub group: String,
    /// How long a request may take.
    pub patience: Duration,
}

/// As long as OSM waits.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What cert-manager has answered.
struct Answer {
    chain: String,
    ca: String,
}

impl CertManagerIssuer {
    /// Has a first certificate made, to learn the root: cert-manager tells it with a certificate only.
    ///
    /// # Errors
    /// [`IssueError`] if the issuer does not sign, or does not tell its root.
    pub async fn connect(client: &Client, config: CertManagerConfig, now: i64) -> Result<Self, IssueError> {
        let requests = Api::namespaced_with(client.clone(), &config.namespace, &resource());
        let mut issuer = Self { config, requests, root_pem: "".into() };
        let name = "probe.osm-controller";
        let probe = CertificateRequest {
            common_name: name.to_owned(),
            dns_names: vec![name.to_owned()],
            uris: Vec::new(),
            key: KeyType::default(),
            validity: Validity::starting(now, Duration::from_secs(3600)),
        };
        let csr = Csr::new(&probe)?;
        let answer = issuer.ask(&csr.pem, &probe).await?;
        let whole = if answer.ca.trim().is_empty() { &answer.chain } else { &answer.ca };
        let root = root_of(whole)?.ok_or_else(|| IssueError::Unusable("cert-manager's answer is empty".to_owned()))?;
        csr.accept(&answer.chain, &root)?;
        issuer.root_pem = root;
        Ok(issuer)
    }

    async fn sign(&self, request: &CertificateRequest) -> Result<Credential, IssueError> {
        let csr = Csr::new(request)?;
        let answer = self.ask(&csr.pem, request).await?;
        csr.accept(&answer.chain, &self.root_pem)
    }

    /// Makes the object, waits for what becomes of it, and takes it away again.
    async fn ask(&self, csr: &str, request: &CertificateRequest) -> Result<Answer, IssueError> {
        let object = self.object(csr, request);
        let made =
            self.requests.create(&PostParams::default(), &object).await.map_err(|e| self.refused("create", &e))?;
        let name = made.metadata.name.unwrap_or_default();
        let done = |object: Option<&DynamicObject>| object.is_none_or(|object| verdict(object).is_some());
        let waiting = tokio::time::timeout(self.config.patience, await_condition(self.requests.clone(), &name, done));
        let outcome = waiting.await;
        if let Err(error) = self.requests.delete(&name, &DeleteParams::default()).await {
            tracing::warn!(name, %error, "a CertificateRequest could not be deleted");
        }
        let Self { config: CertManagerConfig { issuer, kind, patience, .. }, .. } = self;
        match outcome {
            Ok(Ok(Some(object))) => verdict(&object).unwrap_or_else(|| Err("nothing has become of it".to_owned())),
            Ok(Ok(None)) => Err("it was deleted before it was signed".to_owned()),
            Ok(Err(error)) => Err(format!("watching it failed: {error}")),
            Err(_) => Err(format!(
                "nothing has become of it in {patience:?}: check cert-manager, its approver and the issuer"
            )),
        }
        .map_err(|why| {
            IssueError::Failed(format!("CertificateRequest {name} to {kind} {issuer} of cert-manager: {why}"))
        })
    }

    fn object(&self, csr: &str, request: &CertificateRequest) -> DynamicObject {
        let CertManagerConfig { issuer, kind, group, .. } = &self.config;
        let Validity { not_before, not_after } = request.validity;
        // cert-manager dates nothing back, so what was dated back is added to the end: never shorter than asked for.
        let spec = json!({
            "request": BASE64.encode(csr),
            "isCA": false,
            "duration": format!("{}s", not_after - not_before),
            "usages": ["digital signature", "key encipherment", "server auth", "client auth"],
            "issuerRef": { "name": issuer, "kind": kind, "group": group },
        });
        let mut object = DynamicObject::new("", &resource()).data(json!({ "spec": spec }));
        object.metadata.name = None;
        object.metadata.generate_name = Some("osm-".to_owned());
        let label = ("app.kubernetes.io/managed-by".to_owned(), "osm-controller".to_owned());
        object.metadata.labels = Some(BTreeMap::from([label]));
        object
    }

    fn refused(&self, verb: &str, error: &kube::Error) -> IssueError {
        let namespace = &self.config.namespace;
        let hint = match error {
            kube::Error::Api(status) if status.code == 404 => "; install cert-manager",
            kube::Error::Api(status) if status.code == 403 => {
                "; allow the control plane's account to create, watch and delete CertificateRequests"
            }
            _ => "",
        };
        IssueError::Failed(format!("{verb} a CertificateRequest in {namespace}: {error}{hint}"))
    }
}

/// What has become of a request, if anything has.
fn verdict(object: &DynamicObject) -> Option<Result<Answer, String>> {
    let status = object.data.get("status")?;
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let conditions = status.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let condition = |kind: &str| conditions.iter().find(|condition| text(condition, "type") == kind);
    let is_true = |condition: &&Value| text(condition, "status") == "True";
    let told = |what: &str, condition: &Value| Some(Err(format!("{what}: {}", text(condition, "message"))));
    if let Some(denied) = condition("Denied").filter(is_true) {
        return told("denied by its approver", denied);
    }
    if let Some(invalid) = condition("InvalidRequest").filter(is_true) {
        return told("invalid", invalid);
    }
    let ready = condition("Ready")?;
    match (&*text(ready, "status"), &*text(ready, "reason")) {
        ("True", _) => Some(pem(status, "certificate").and_then(|chain| Ok(Answer { chain, ca: pem(status, "ca")? }))),
        (_, "Failed") => told("failed", ready),
        (_, "Denied") => told("denied by its approver", ready),
        _ => None,
    }
}

fn pem(status: &Value, field: &str) -> Result<String, String> {
    let written = status.get(field).and_then(Value::as_str).unwrap_or_default();
    let bytes = BASE64.decode(written).map_err(|error| format!("status.{field} is not base64: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("status.{field} is not PEM"))
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest"))
}

impl Issuer for CertManagerIssuer {
    fn certify<'a>(&'a self, request: &'a CertificateRequest) -> BoxFuture<'a, Result<Credential, IssueError>> {
        Box::pin(self.sign(request))
    }

    fn root_pem(&self) -> &Arc<str> {
        &self.root_pem
    }

    fn stored_pem(&self) -> Option<PrivateKey> {
        None
    }
}

impl fmt::Debug for CertManagerIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
