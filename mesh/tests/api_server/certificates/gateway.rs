//! The ingress gateway's Secret.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use mesh::{
    ca::{
        BuiltinCa, Clock as _, Issuer, ManualClock, Roots,
        gateway::{Gateway, GatewayConfig, RootsInForce},
    },
    model::ObjectName,
};
use serde_json::json;
use tokio::sync::watch;
use x509_parser::extensions::GeneralName;

use super::super::harness::{Test, eventually, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test(
            "certificates::gateway::the_secret_follows_roots_time_and_settings",
            the_secret_follows_roots_time_and_settings,
        ),
        test("certificates::gateway::what_stands_in_the_way_is_told", what_stands_in_the_way_is_told),
    ]
}

const NAMES: [&str; 3] =
    ["gateway.ingress.cluster.local", "other.example.org", "spiffe://cluster.local/gateway/ingress"];

struct Stage {
    secrets: Api<Secret>,
    client: Client,
    clock: ManualClock,
    config: watch::Sender<Option<GatewayConfig>>,
    roots: watch::Sender<Option<Roots<Arc<dyn Issuer>>>>,
}

impl Stage {
    async fn new() -> Self {
        let (client, namespace) = super::namespace("gateway").await;
        let secret = ObjectName::new(namespace.as_str(), "gateway-cert");
        let names = NAMES.map(str::to_owned).to_vec();
        let config = GatewayConfig { secret, names, validity: Duration::from_secs(86_400) };
        let clock = ManualClock::at_system_time();
        let roots = Roots::Stable(root(&clock));
        let secrets = Api::namespaced(client.clone(), &namespace);
        Self {
            secrets,
            client,
            clock,
            config: watch::Sender::new(Some(config)),
            roots: watch::Sender::new(Some(roots)),
        }
    }

    fn start(&self) -> Gateway {
        let roots: RootsInForce = self.roots.subscribe();
        Gateway::start(self.client.clone(), self.config.subscribe(), roots, Arc::new(self.clock.clone()))
    }

    /// `ca.crt`, `tls.crt`, `tls.key`.
    async fn held(&self) -> [String; 3] {
        let secret = self.secrets.get("gateway-cert").await.unwrap();
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
        let data = secret.data.unwrap();
        ["ca.crt", "tls.crt", "tls.key"].map(|key| String::from_utf8(data[key].0.clone()).unwrap())
    }

    async fn followed(&self, gateway: &Gateway) -> [String; 3] {
        let roots = self.roots.borrow().clone().unwrap();
        tokio::time::timeout(Duration::from_secs(30), gateway.followed(&roots)).await.unwrap();
        self.held().await
    }

    fn step(&self, to: impl FnOnce(&Roots<Arc<dyn Issuer>>) -> Roots<Arc<dyn Issuer>>) {
        self.roots.send_modify(|roots| *roots = Some(to(roots.as_ref().unwrap())));
    }
}

fn root(clock: &ManualClock) -> Arc<dyn Issuer> {
    Arc::new(BuiltinCa::generate(clock.now()).unwrap())
}

fn names(pem: &str) -> Vec<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => (*name).to_owned(),
        other => panic!("{other}"),
    };
    names.iter().map(text).collect()
}

async fn the_secret_follows_roots_time_and_settings() {
    let stage = Stage::new().await;
    let gateway = stage.start();
    let [roots, first, _] = stage.followed(&gateway).await;
    assert_eq!(names(&first), NAMES);
    assert_eq!(roots, *stage.roots.borrow().as_ref().unwrap().bundle().roots_pem);

    // Rotation: first the root, then the certificate, then the old root goes.
    let next = root(&stage.clock);
    stage.step(|roots| roots.introduce(next.clone()).unwrap());
    let [both, same, _] = stage.followed(&gateway).await;
    assert_eq!((both.matches("BEGIN").count(), &same), (2, &first));
    stage.step(|roots| roots.sign_with_next().unwrap());
    let [_, second, _] = stage.followed(&gateway).await;
    assert_ne!(second, first);
    stage.step(|roots| roots.drop_previous().unwrap());
    let [only, same, _] = stage.followed(&gateway).await;
    assert_eq!((&*only, &same), (&**next.root_pem(), &second));

    // A restart keeps what will do.
    drop(gateway);
    let gateway = stage.start();
    assert_eq!(stage.followed(&gateway).await[1], second);

    // Time, and other names.
    stage.clock.advance(Duration::from_secs(17 * 3600));
    let third = eventually("a renewal", async || {
        let [_, now, _] = stage.held().await;
        (now != second).then_some(now)
    });
    let third = third.await;
    stage.config.send_modify(|config| config.as_mut().unwrap().names.truncate(1));
    let renamed = async || {
        let [_, now, _] = stage.held().await;
        (now != third).then(|| names(&now))
    };
    assert_eq!(eventually("other names", renamed).await, NAMES[..1]);
}

async fn what_stands_in_the_way_is_told() {
    let stage = Stage::new().await;
    let other = json!({ "metadata": { "name": "gateway-cert" }, "type": "Opaque", "stringData": { "x": "y" } });
    let other: Secret = serde_json::from_value(other).unwrap();
    stage.secrets.create(&PostParams::default(), &other).await.unwrap();
    let gateway = stage.start();
    let mut state = gateway.state();
    let told = state.wait_for(|state| state.error.is_some()).await.unwrap().error.clone().unwrap();
    assert!(told.contains("delete it if it has another type"), "{told}");
    stage.secrets.delete("gateway-cert", &Default::default()).await.unwrap();
    stage.clock.advance(Duration::from_secs(60));
    stage.followed(&gateway).await;
    // Somebody empties it: the next look mends it.
    let empty = Patch::Merge(json!({ "data": { "tls.crt": "" } }));
    stage.secrets.patch("gateway-cert", &PatchParams::default(), &empty).await.unwrap();
    stage.config.send_modify(|_| {});
    eventually("mended", async || (!stage.held().await[1].is_empty()).then_some(())).await;
    stage.config.send_replace(None);
    state.wait_for(|state| !state.wanted).await.unwrap();
}
