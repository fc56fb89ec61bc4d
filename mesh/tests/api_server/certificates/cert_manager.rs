//! cert-manager's API with its real kind at a real API server. The signer is played by the test, which really signs.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use mesh::{
    ca::{
        BuiltinCa, Clock as _, Issuer as _, KeyType, LeafRequest, SystemClock, Validity,
        cert_manager::{CertManagerConfig, CertManagerIssuer},
    },
    model::{Leaf, ServiceAccount, TrustDomain},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    super::harness::{Test, test},
    define,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("certificates::cert_manager::requests_are_signed_and_taken_away", requests_are_signed_and_taken_away),
        test("certificates::cert_manager::nobody_waits_for_ever", nobody_waits_for_ever),
    ]
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest"))
}

/// What the signer does with requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Signs,
    Denies,
    Fails,
    Sleeps,
}

struct Stage {
    api: Api<DynamicObject>,
    client: Client,
    namespace: String,
    ca: BuiltinCa,
    mood: watch::Sender<Mood>,
}

impl Stage {
    async fn new() -> Self {
        let (client, namespace) = super::namespace("cert-manager").await;
        define(&client, "cert-manager.io", "v1", "CertificateRequest").await;
        let api = Api::namespaced_with(client.clone(), &namespace, &resource());
        let ca = BuiltinCa::generate(SystemClock.now()).unwrap();
        let mood = watch::Sender::new(Mood::Signs);
        tokio::spawn(play(api.clone(), ca.clone(), mood.subscribe()));
        Self { api, client, namespace, ca, mood }
    }

    fn config(&self, patience: Duration) -> CertManagerConfig {
        CertManagerConfig {
            namespace: self.namespace.as_str().into(),
            issuer: "mesh".to_owned(),
            kind: "Issuer",
            group: "cert-manager.io".to_owned(),
            patience,
        }
    }

    async fn left(&self) -> usize {
        self.api.list(&ListParams::default()).await.unwrap().items.len()
    }
}

async fn play(api: Api<DynamicObject>, ca: BuiltinCa, mood: watch::Receiver<Mood>) {
    let mut requests = watcher(api.clone(), watcher::Config::default()).applied_objects().boxed();
    while let Ok(Some(request)) = requests.try_next().await {
        if request.data.get("status").is_some() {
            continue;
        }
        let mood = *mood.borrow();
        let condition =
            |kind, status, reason| json!({ "type": kind, "status": status, "reason": reason, "message": "because" });
        let status = match mood {
            Mood::Signs => sign(&ca, &request.data["spec"]),
            Mood::Denies => {
                json!({ "conditions": [condition("Denied", "True", "policy"), condition("Ready", "False", "Denied")] })
            }
            Mood::Fails => json!({ "conditions": [condition("Ready", "False", "Failed")] }),
            Mood::Sleeps => json!({ "conditions": [condition("Ready", "False", "Pending")] }),
        };
        let name = request.metadata.name.unwrap();
        let patch = Patch::Merge(json!({ "status": status }));
        // It may be gone by now.
        let _ = api.patch_status(&name, &PatchParams::default(), &patch).await;
    }
}

fn sign(ca: &BuiltinCa, spec: &Value) -> Value {
    let csr = String::from_utf8(BASE64.decode(spec["request"].as_str().unwrap()).unwrap()).unwrap();
    let mut csr = rcgen::CertificateSigningRequestParams::from_pem(&csr).unwrap();
    let seconds: i64 = spec["duration"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
    let date = |at| time::OffsetDateTime::from_unix_timestamp(at).unwrap();
    csr.params.not_before = date(SystemClock.now());
    csr.params.not_after = date(SystemClock.now() + seconds);
    let key = rcgen::KeyPair::from_pem(&ca.to_pem().expose().replace(&**ca.root_pem(), "")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(ca.root_pem(), key).unwrap();
    let leaf = csr.params.signed_by(&csr.public_key, &issuer).unwrap();
    let ready = json!({ "type": "Ready", "status": "True", "reason": "Issued", "message": "" });
    json!({ "certificate": BASE64.encode(leaf.pem()), "ca": BASE64.encode(&**ca.root_pem()), "conditions": [ready] })
}

async fn issue(issuer: &CertManagerIssuer) -> Result<Leaf, String> {
    let request = LeafRequest {
        account: ServiceAccount::new("shop", "store"),
        trust_domain: TrustDomain::default(),
        key: KeyType::default(),
        validity: Validity::starting(SystemClock.now(), Duration::from_secs(3600)),
    };
    issuer.issue(&request).await.map_err(|error| error.to_string())
}

async fn requests_are_signed_and_taken_away() {
    let stage = Stage::new().await;
    let config = stage.config(Duration::from_secs(30));
    let issuer = CertManagerIssuer::connect(&stage.client, config, SystemClock.now()).await.unwrap();
    assert_eq!(issuer.root_pem(), stage.ca.root_pem());
    let issuer = Arc::new(issuer);
    let leaves = futures::future::join_all((0..5).map(|_| issue(&issuer))).await;
    assert!(
        leaves.iter().all(|leaf| leaf.as_ref().is_ok_and(|l| l.not_after > SystemClock.now() + 3500)),
        "{leaves:?}"
    );
    for (mood, expected) in [(Mood::Denies, "denied by its approver: because"), (Mood::Fails, "failed: because")] {
        stage.mood.send_replace(mood);
        let told = issue(&issuer).await.unwrap_err();
        assert!(told.contains(expected) && told.contains("Issuer mesh"), "{told}");
    }
    assert_eq!(stage.left().await, 0);
}

async fn nobody_waits_for_ever() {
    let stage = Stage::new().await;
    stage.mood.send_replace(Mood::Sleeps);
    let config = stage.config(Duration::from_millis(500));
    let told = CertManagerIssuer::connect(&stage.client, config, SystemClock.now()).await.unwrap_err().to_string();
    assert!(told.contains("nothing has become of it in 500ms"), "{told}");
    assert_eq!(stage.left().await, 0);
}
