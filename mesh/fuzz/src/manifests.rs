//! Text to objects, to the world, to configurations. A mistake gets an answer, never a panic.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use mesh::{
    api::{Manifest, parse, read},
    model::{Leaf, ObjectName, PrivateKey, ServiceAccount, TrustBundle, TrustDomain, Workload},
    policy::diagnose,
    snapshot,
    validate::{Surroundings, judge},
    world::{Change, Object, World},
};
use serde_json::Value;

/// The pods of every world, by account and value of the label `app`.
const PODS: [&str; 3] = ["a", "b", "c"];

/// As the files of a user, and, where it is JSON, as an object of an API server.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match parse(text, "fuzz.yaml", "default") {
            Ok(manifests) => configure(manifests),
            Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
        }
    }
    let Ok(object) = serde_json::from_slice::<Value>(data) else { return };
    let found = judge(&object, None, &Surroundings { world: pods(), root_certificates: Vec::new() });
    match read(&object) {
        Ok(manifest) => configure(vec![manifest]),
        Err(_) => assert!(!found.is_empty(), "what cannot be read is let in: {object}"),
    }
}

/// Builds all that follows from these objects, twice: the same world has the same configurations.
fn configure(manifests: Vec<Manifest>) {
    let mut world = pods();
    for (manifest, last) in manifests.into_iter().zip((1..=250).cycle()) {
        world.apply(match manifest {
            Manifest::Object(object) => Change::Put(object),
            Manifest::UnassignedService(service) => {
                Change::Put(Object::Service(service.assign(Ipv4Addr::new(10, 96, 0, last).into())))
            }
            Manifest::MeshConfig { spec, .. } => Change::Settings(spec.settings(TrustDomain::default())),
            Manifest::MeshRootCertificate { .. } => continue,
        });
    }
    diagnose(&world);
    for pod in PODS {
        let name = ObjectName::new("default", pod);
        assert!(snapshot::build(&world, &name) == snapshot::build(&world, &name), "{pod}");
    }
}

/// A world of a few pods with certificates.
fn pods() -> World {
    let mut world = World::default();
    world.apply(Change::Trust(TrustBundle { roots_pem: "ROOT".into() }));
    for (pod, last) in PODS.into_iter().zip(1..) {
        let (account, address) = (ServiceAccount::new("default", pod), Ipv4Addr::new(10, 0, 0, last));
        world.apply(Change::Certificate(Arc::new(leaf(&account))));
        world.apply(Change::Put(Object::Workload(workload(account, pod, address.into()))));
    }
    world
}

fn workload(account: ServiceAccount, pod: &str, address: IpAddr) -> Workload {
    Workload {
        name: ObjectName::new("default", pod),
        account,
        labels: [("app".into(), pod.into())].into(),
        address,
        named_ports: [("http".into(), 8080)].into(),
        ready: true,
        hostname: None,
        subdomain: None,
    }
}

fn leaf(account: &ServiceAccount) -> Leaf {
    Leaf {
        account: account.clone(),
        chain_pem: "CHAIN".into(),
        key: PrivateKey::new("KEY"),
        not_before: 0,
        not_after: 1,
    }
}
