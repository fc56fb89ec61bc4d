//! One encoded resource, and all resources of one proxy.

use std::{collections::BTreeMap, fmt, sync::Arc};

use envoy_types::pb::google::protobuf::Any;
use xxhash_rust::xxh3::xxh3_64;

/// The kinds of xDS resource that the mesh serves, in make-before-break order: what a later kind refers to comes earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// SDS. First, so that a new endpoint's identity is trusted before traffic is sent to it.
    Secret,
    /// CDS.
    Cluster,
    /// EDS.
    Endpoint,
    /// LDS.
    Listener,
    /// RDS.
    Route,
}

impl ResourceType {
    /// All kinds, in the order in which additions are sent.
    pub const ALL: [Self; 5] = [Self::Secret, Self::Cluster, Self::Endpoint, Self::Listener, Self::Route];

    /// The `type_url` of the xDS transport protocol.
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The kind with this `type_url`.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.type_url() == url)
    }

    /// Whether proxies subscribe to all resources of the kind without naming them (xDS "wildcard").
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

/// One resource, encoded once and shared by all proxies that get the same one.
#[derive(Clone, PartialEq)]
pub struct Resource {
    /// A hash of the content: equal content has an equal version in every replica and after every restart.
    pub version: Arc<str>,
    /// The message, ready to be sent.
    pub body: Arc<Any>,
}

impl Resource {
    /// Wraps an encoded message. The bytes must be a function of the content alone: no protobuf map with more than
    /// one entry may have been encoded from a `HashMap`.
    pub fn new(kind: ResourceType, encoded: Vec<u8>) -> Self {
        let version = format!("{:016x}", xxh3_64(&encoded)).into();
        Self { version, body: Arc::new(Any { type_url: kind.type_url().into(), value: encoded }) }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.version, self.body.value.len())
    }
}

/// The whole configuration of one proxy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    resources: BTreeMap<(ResourceType, Arc<str>), Resource>,
}

impl Snapshot {
    /// Adds or replaces a resource.
    pub fn insert(&mut self, kind: ResourceType, name: impl Into<Arc<str>>, resource: Resource) {
        self.resources.insert((kind, name.into()), resource);
    }

    /// The resource of `kind` called `name`.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Resource> {
        self.resources.get(&(kind, Arc::from(name)))
    }

    /// All resources of `kind`, by name.
    pub fn of(&self, kind: ResourceType) -> impl Iterator<Item = (&Arc<str>, &Resource)> {
        self.resources
            .range((kind, Arc::from(""))..)
            .take_while(move |((k, _), _)| *k == kind)
            .map(|((_, name), resource)| (name, resource))
    }

    /// All resources, in make-before-break order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (ResourceType, &Arc<str>, &Resource)> {
        self.resources.iter().map(|((kind, name), resource)| (*kind, name, resource))
    }
}
