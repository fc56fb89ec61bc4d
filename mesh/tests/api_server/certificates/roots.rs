//! Roots in Secrets, and the status of MeshRootCertificates.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{DynamicObject, ListParams, PostParams},
};
use mesh::{
    ca::{
        BuiltinCa, Clock as _, KeyType, ManualClock, SystemClock, Validity,
        mrc::{Mrc, Spread, State, Step, Succession, write},
        secret::{self, SecretError},
    },
    model::ObjectName,
};

use super::super::harness::{Test, crds, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test(
            "certificates::roots::replicas_that_start_together_share_one_root",
            replicas_that_start_together_share_one_root,
        ),
        test(
            "certificates::roots::what_osm_left_is_used_and_what_is_broken_is_kept",
            what_osm_left_is_used_and_what_is_broken_is_kept,
        ),
        test(
            "certificates::roots::status_is_written_once_and_read_after_a_restart",
            status_is_written_once_and_read_after_a_restart,
        ),
    ]
}

async fn replicas_that_start_together_share_one_root() {
    let (client, namespace) = super::namespace("roots").await;
    let name = ObjectName::new(namespace.as_str(), secret::CA_BUNDLE);
    let now = SystemClock.now();
    let replicas = futures::future::join_all((0..8).map(|_| secret::root(&client, &name, now))).await;
    let roots: Vec<_> = replicas.into_iter().map(|root| root.unwrap().to_pem()).collect();
    assert!(roots.iter().all(|root| root == &roots[0]));
    // Found again after a restart, long after.
    assert_eq!(secret::root(&client, &name, now + 1_000_000).await.unwrap().to_pem(), roots[0]);
    let control = secret::control_ca(&client, &namespace, now).await.unwrap();
    assert_eq!(secret::control_ca(&client, &namespace, now).await.unwrap().root_pem(), control.root_pem());
    assert_ne!(control.root_pem(), BuiltinCa::from_pem(roots[0].expose()).unwrap().root_pem());
}

fn secret_with(name: &str, fields: &[(&str, &str)]) -> Secret {
    let data: BTreeMap<_, _> =
        fields.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.as_bytes().to_vec()))).collect();
    let mut secret = Secret { data: Some(data), ..Secret::default() };
    secret.metadata.name = Some(name.to_owned());
    secret
}

async fn what_osm_left_is_used_and_what_is_broken_is_kept() {
    let (client, namespace) = super::namespace("roots").await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    // As OSM makes them: RSA, PKCS #8.
    let validity = Validity::starting(SystemClock.now(), std::time::Duration::from_secs(1_000_000));
    let old = BuiltinCa::generate_with(KeyType::Rsa { bits: 2048 }, validity).unwrap();
    let key = old.to_pem().expose().replace(&**old.root_pem(), "");
    let put = async |name: &str, fields: &[(&str, &str)]| {
        secrets.create(&PostParams::default(), &secret_with(name, fields)).await.unwrap();
    };
    put("osm-ca-bundle", &[("ca.crt", old.root_pem()), ("private.key", &key)]).await;
    let found = secret::root(&client, &ObjectName::new(namespace.as_str(), "osm-ca-bundle"), 0).await.unwrap();
    assert_eq!(found.root_pem(), old.root_pem());

    put("half", &[("ca.crt", old.root_pem())]).await;
    put("broken", &[("ca.crt", old.root_pem()), ("private.key", "nonsense")]).await;
    let refused =
        async |name: &str| secret::root(&client, &ObjectName::new(namespace.as_str(), name), 0).await.unwrap_err();
    assert!(matches!(refused("half").await, SecretError::Missing { key, .. } if key == "private.key"));
    assert!(matches!(refused("broken").await, SecretError::Content { .. }));
    assert_eq!(secrets.get("half").await.unwrap().data.unwrap().len(), 1, "nothing was overwritten");
    let nowhere =
        secret::root(&client, &ObjectName::new("no-such-namespace", "x"), SystemClock.now()).await.unwrap_err();
    assert!(nowhere.to_string().contains("create the namespace first"), "{nowhere}");
}

async fn status_is_written_once_and_read_after_a_restart() {
    let (client, namespace) = super::namespace("roots").await;
    crds(&client).await;
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &write::resource());
    for _ in 0..2 {
        write::ensure_one(&client, &namespace, "cluster.local").await.unwrap();
    }
    let objects = api.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(objects.len(), 1);
    let read = |object: &DynamicObject| Mrc {
        spec: Ok(serde_json::from_value(object.data["spec"].clone()).unwrap()),
        created: None,
        generation: object.metadata.generation.unwrap(),
        written: State::written(&object.data),
    };
    let name = ObjectName::new(namespace.as_str(), write::PRESET);
    assert_eq!(read(&objects[0]).written, None);
    let mut succession = Succession::default();
    succession.set([(name.clone(), read(&objects[0]))].into());
    let step = succession.next().unwrap();
    assert!(matches!(step, Step::Start(_)));
    succession.taken(&step).unwrap();

    let clock = ManualClock::new(1_790_000_000);
    let report = succession.report(&Spread::default());
    write::status(&client, &name, &report[&name], &clock).await.unwrap();
    let first = api.get(&name.name).await.unwrap();
    assert_eq!(read(&first).written, Some(State::Active));
    assert_eq!(first.data["status"]["componentStatuses"]["sidecar"], "issuing");
    let since = first.data["status"]["conditions"][0]["lastTransitionTime"].clone();
    assert_eq!(since, "2026-09-21T14:13:20Z");
    clock.advance(std::time::Duration::from_secs(100));
    write::status(&client, &name, &report[&name], &clock).await.unwrap();
    assert_eq!(api.get(&name.name).await.unwrap().metadata.resource_version, first.metadata.resource_version);
    // Another condition changes; those that do not keep their time.
    let mut other = report[&name].clone();
    other.conditions[1].status = "False";
    write::status(&client, &name, &other, &clock).await.unwrap();
    let conditions = api.get(&name.name).await.unwrap().data["status"]["conditions"].clone();
    assert_eq!(conditions[0]["lastTransitionTime"], since);
    assert_eq!(conditions[1]["lastTransitionTime"], "2026-09-21T14:15:00Z");
    write::status(&client, &ObjectName::new(namespace.as_str(), "gone"), &other, &clock).await.unwrap();
}
