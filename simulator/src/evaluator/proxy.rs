//! The configuration of one proxy, read once. Resources with equal bytes are read once for all proxies.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use envoy_types::pb::{
    envoy::config::core::v3::Metadata,
    google::protobuf::{Struct, Value, value::Kind},
};
use mesh::snapshot::{ResourceType, Snapshot, name::LABELS_KEY};

use super::{
    cluster::{Cluster, Endpoints},
    listener::Listener,
    route::Routes,
    tls::KnownSecret,
    unmodelled::{Modelled, Unmodelled, decode},
};

/// A resource as read, or why it is not modelled.
type Read<T> = Arc<Modelled<T>>;

/// A proxy's configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxyConfig {
    listeners: BTreeMap<Arc<str>, Read<Listener>>,
    clusters: BTreeMap<Arc<str>, Read<Cluster>>,
    endpoints: BTreeMap<Arc<str>, Read<Endpoints>>,
    routes: BTreeMap<Arc<str>, Read<Routes>>,
    secrets: BTreeMap<Arc<str>, Read<KnownSecret>>,
}

/// All resources read so far, by their versions: a version is a hash of the content.
#[derive(Debug, Default)]
pub(super) struct Library {
    listeners: HashMap<Arc<str>, Read<Listener>>,
    clusters: HashMap<Arc<str>, Read<Cluster>>,
    endpoints: HashMap<Arc<str>, Read<Endpoints>>,
    routes: HashMap<Arc<str>, Read<Routes>>,
    secrets: HashMap<Arc<str>, Read<KnownSecret>>,
}

impl Library {
    /// Reads a snapshot.
    pub(super) fn read(&mut self, snapshot: &Snapshot) -> ProxyConfig {
        let mut config = ProxyConfig::default();
        for (kind, name, resource) in snapshot.iter() {
            let (name, version, bytes) = (name.clone(), &resource.version, &resource.body.value);
            match kind {
                ResourceType::Listener => {
                    let read = || decode(bytes).and_then(Listener::new);
                    config.listeners.insert(name, known(&mut self.listeners, version, read));
                }
                ResourceType::Cluster => {
                    let read = || decode(bytes).and_then(Cluster::new);
                    config.clusters.insert(name, known(&mut self.clusters, version, read));
                }
                ResourceType::Endpoint => {
                    let read = || decode(bytes).and_then(Endpoints::new);
                    config.endpoints.insert(name, known(&mut self.endpoints, version, read));
                }
                ResourceType::Route => {
                    let read = || decode(bytes).and_then(Routes::new);
                    config.routes.insert(name, known(&mut self.routes, version, read));
                }
                ResourceType::Secret => {
                    let read = || decode(bytes).and_then(KnownSecret::new);
                    config.secrets.insert(name, known(&mut self.secrets, version, read));
                }
            }
        }
        config
    }

    /// Forgets what no proxy uses any more.
    pub(super) fn prune(&mut self) {
        fn used<T>(map: &mut HashMap<Arc<str>, Read<T>>) {
            map.retain(|_, read| Arc::strong_count(read) > 1);
        }
        used(&mut self.listeners);
        used(&mut self.clusters);
        used(&mut self.endpoints);
        used(&mut self.routes);
        used(&mut self.secrets);
    }
}

fn known<T>(map: &mut HashMap<Arc<str>, Read<T>>, version: &Arc<str>, read: impl FnOnce() -> Modelled<T>) -> Read<T> {
    map.entry(version.clone()).or_insert_with(|| Arc::new(read())).clone()
}

impl ProxyConfig {
    /// The listener on `port`. One that is not modelled could be on any port.
    pub(super) fn listener(&self, port: u16) -> Modelled<Option<&Listener>> {
        let mut found = None;
        for (name, listener) in &self.listeners {
            let listener = (**listener).as_ref().map_err(|error| error.clone().inside(name))?;
            if listener.port == port {
                found = Some(listener);
            }
        }
        Ok(found)
    }

    /// The cluster called `name`.
    pub(super) fn cluster(&self, name: &str) -> Modelled<Option<&Cluster>> {
        get(&self.clusters, name, "cluster")
    }

    /// The endpoints of an EDS cluster. Until they come, Envoy does not use the cluster at all.
    pub(super) fn endpoints(&self, name: &str) -> Modelled<&Endpoints> {
        get(&self.endpoints, name, "endpoints")?.ok_or_else(|| missing("endpoints", name))
    }

    /// The route configuration called `name`. Until it comes, Envoy does not use the listener.
    pub(super) fn routes(&self, name: &str) -> Modelled<&Routes> {
        get(&self.routes, name, "routes")?.ok_or_else(|| missing("routes", name))
    }

    /// The secret called `name`. Until it comes, Envoy does not use what needs it.
    pub(super) fn secret(&self, name: &str) -> Modelled<&KnownSecret> {
        get(&self.secrets, name, "secret")?.ok_or_else(|| missing("secret", name))
    }
}

fn get<'a, T>(map: &'a BTreeMap<Arc<str>, Read<T>>, name: &str, kind: &str) -> Modelled<Option<&'a T>> {
    let Some(read) = map.get(name) else { return Ok(None) };
    (**read).as_ref().map(Some).map_err(|error| error.clone().inside(format!("{kind} {name}")))
}

fn missing(kind: &str, name: &str) -> Unmodelled {
    Unmodelled::new(format!("{kind} {name}"), "the snapshot has none: Envoy would wait for it")
}

/// The objects that metadata name: every text in it, in the order of the keys, but for labels of statistics.
pub(super) fn objects(metadata: Option<Metadata>) -> Arc<[Arc<str>]> {
    let mut texts = Vec::new();
    let scopes: BTreeMap<_, _> = metadata.unwrap_or_default().filter_metadata.into_iter().collect();
    for (_, scope) in scopes.into_iter().filter(|(key, _)| key != LABELS_KEY) {
        collect(scope, &mut texts);
    }
    texts.into()
}

fn collect(scope: Struct, texts: &mut Vec<Arc<str>>) {
    let fields: BTreeMap<_, _> = scope.fields.into_iter().collect();
    for (_, value) in fields {
        collect_value(value, texts);
    }
}

fn collect_value(value: Value, texts: &mut Vec<Arc<str>>) {
    match value.kind {
        Some(Kind::StringValue(text)) => texts.push(text.into()),
        Some(Kind::ListValue(list)) => list.values.into_iter().for_each(|value| collect_value(value, texts)),
        Some(Kind::StructValue(inner)) => collect(inner, texts),
        _ => {}
    }
}
