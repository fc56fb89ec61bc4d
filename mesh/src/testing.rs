//! What the tests of the pure half share: worlds from manifests, random worlds, readable snapshots.

pub(crate) mod decoded;
pub(crate) mod dump;
pub(crate) mod strategy;

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use proptest::test_runner::Config;

use crate::{
    api::{Manifest, parse},
    model::{Leaf, ObjectName, PrivateKey, ServiceAccount, TrustBundle, TrustDomain, Workload},
    world::{Change, Object, World},
};

/// This many cases, or what `PROPTEST_CASES` says.
pub(crate) fn cases(number: u32) -> Config {
    if std::env::var_os("PROPTEST_CASES").is_some() { Config::default() } else { Config::with_cases(number) }
}

/// `namespace/name`; the namespace is `shop` if there is none.
pub(crate) fn name(written: &str) -> ObjectName {
    let (namespace, name) = written.split_once('/').unwrap_or(("shop", written));
    ObjectName::new(namespace, name)
}

/// A ready pod. `labels` is `key=value,key=value`.
pub(crate) fn pod(written: &str, account: &str, labels: &str) -> Workload {
    let name = name(written);
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    Workload {
        account: ServiceAccount::new(name.namespace.clone(), account),
        name,
        labels: pairs.map(|(k, v)| (k.into(), v.into())).collect(),
        address: Ipv4Addr::UNSPECIFIED.into(),
        named_ports: BTreeMap::new(),
        ready: true,
        hostname: None,
        subdomain: None,
    }
}

/// A world of manifests (in namespace `shop` if they name none) and pods. Services get the addresses 10.96.0.1 and so on,
/// pods 10.0.0.1 and so on, in the order given, and each account gets a certificate.
pub(crate) fn world(yaml: &str, pods: impl IntoIterator<Item = Workload>) -> World {
    let mut world = World::default();
    world.apply(Change::Trust(TrustBundle { roots_pem: "ROOT".into() }));
    add(&mut world, yaml);
    for (pod, i) in pods.into_iter().zip(1..) {
        let address = if pod.address.is_unspecified() { Ipv4Addr::new(10, 0, 0, i).into() } else { pod.address };
        world.apply(Change::Certificate(leaf(&pod.account)));
        world.apply(Change::Put(Object::Workload(Workload { address, ..pod })));
    }
    world
}

/// Applies more manifests.
pub(crate) fn add(world: &mut World, yaml: &str) {
    put(world, parse(yaml, "test.yaml", "shop").expect("the test's manifests are sound"));
}

/// Applies manifests that are read already.
pub(crate) fn put(world: &mut World, manifests: Vec<Manifest>) {
    let mut addresses = (1..=250).map(|i| Ipv4Addr::new(10, 96, 0, i)).cycle();
    for manifest in manifests {
        world.apply(match manifest {
            Manifest::Object(object) => Change::Put(object),
            Manifest::UnassignedService(service) => {
                Change::Put(Object::Service(service.assign(addresses.next().expect("an address").into())))
            }
            Manifest::MeshConfig { spec, .. } => Change::Settings(spec.settings(TrustDomain::default())),
            // Nothing of it is in the world.
            Manifest::MeshRootCertificate { .. } => continue,
        });
    }
}

/// A certificate that tells whose it is.
pub(crate) fn leaf(account: &ServiceAccount) -> Arc<Leaf> {
    Arc::new(Leaf {
        account: account.clone(),
        chain_pem: format!("CHAIN of {account}").into(),
        key: PrivateKey::new(format!("KEY of {account}")),
        not_before: 0,
        not_after: 1,
    })
}
