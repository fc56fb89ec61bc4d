//! What a proxy asked for, of one kind of resource.

use std::{collections::BTreeSet, sync::Arc};

/// The name that stands for all resources of a kind (xDS transport protocol, "how the client specifies what resources to return").
pub(super) const WILDCARD: &str = "*";

/// The names a proxy subscribes to. Absent before its first request for the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// All resources of the kind in the proxy's own snapshot.
    pub(super) wildcard: bool,
    /// The wildcard was meant by an empty list. In state-of-the-world it holds until names are sent.
    pub(super) legacy: bool,
    /// Names asked for one by one.
    pub(super) names: BTreeSet<Arc<str>>,
}

impl Subscription {
    /// The subscription that a complete list of names expresses. `legacy` tells that an empty list means all.
    pub(super) fn from_list(names: &[String], legacy: bool) -> Self {
        if names.is_empty() && legacy {
            return Self { wildcard: true, legacy: true, names: BTreeSet::new() };
        }
        Self {
            wildcard: names.iter().any(|n| n == WILDCARD),
            legacy: false,
            names: names.iter().filter(|n| *n != WILDCARD).map(|n| n.as_str().into()).collect(),
        }
    }

    /// Whether the proxy is to get the resource called `name`, should it exist.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }
}
