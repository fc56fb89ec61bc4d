//! What is still to be sent, and the responses that send it.

use std::cmp::Ordering;

use xxhash_rust::xxh3::Xxh3;

use super::{
    Arc, BTreeMap, Channel, Dispatch, Entry, Outstanding, Resource, Snapshot, Standing, Subscription, Variant,
};

impl Channel {
    /// Compares what was sent with what should be there, after a new snapshot or a changed subscription.
    pub(in super::super) fn compare(&mut self, snapshot: &Snapshot) {
        self.upserts.clear();
        self.removals.clear();
        let Some(subscription) = &self.subscription else { return };
        if let Some(claimed) = self.claimed.take()
            && claimed == set_version(wanted(snapshot, self.kind, subscription))
        {
            self.answer = false;
            for (name, resource) in wanted(snapshot, self.kind, subscription) {
                self.entries.insert(name.clone(), Entry::held(resource));
            }
        }
        let mut sent = self.entries.iter().peekable();
        for (name, resource) in wanted(snapshot, self.kind, subscription) {
            let mut current = false;
            while let Some((held, entry)) = sent.peek() {
                match (*held).cmp(name) {
                    Ordering::Less => drop(self.removals.insert((*held).clone())),
                    Ordering::Equal => current = entry.version == resource.version,
                    Ordering::Greater => break,
                }
                sent.next();
            }
            if !current {
                self.upserts.insert(name.clone());
            }
        }
        self.removals.extend(sent.map(|(name, _)| name.clone()));
        if !self.tells_removals() {
            self.removals.clear();
        }
    }

    /// Whether the variant can tell the proxy that a resource of this kind is gone. State-of-the-world cannot for the
    /// kinds that are asked for by name: a response may leave names out that did not change.
    fn tells_removals(&self) -> bool {
        self.variant == Variant::Delta || self.is_whole()
    }

    /// Whether each response lists all resources of the kind (state-of-the-world, CDS and LDS).
    fn is_whole(&self) -> bool {
        self.variant == Variant::Sotw && self.kind.is_wildcard()
    }

    /// The response that carries additions and updates, if one is due and none is outstanding. Unless the way is `free`
    /// only answers to new subscriptions go out: the proxy may be waiting for those.
    pub(in super::super) fn additions(&mut self, snapshot: &Snapshot, free: bool, nonce: u64) -> Option<Dispatch> {
        if self.outstanding.is_some() {
            return None;
        }
        if self.is_whole() {
            let due = self.answer || !self.upserts.is_empty() || !self.owed.is_empty();
            return (free && due).then(|| self.whole(snapshot, nonce, Vec::new()));
        }
        let owed = std::mem::take(&mut self.owed);
        let names: Vec<_> = self.upserts.iter().filter(|n| free || owed.contains(*n)).cloned().collect();
        let mut absent: Vec<_> = owed.into_iter().filter(|n| !self.upserts.contains(n)).collect();
        if self.variant == Variant::Sotw {
            // Absence cannot be told. The name is sent as soon as it exists.
            absent.clear();
            self.answer = false;
        }
        if names.is_empty() && absent.is_empty() && !(self.answer && free) {
            return None;
        }
        let resources = names.into_iter().filter_map(|n| snapshot.get(self.kind, &n).cloned().map(|r| (n, r)));
        let resources = resources.collect();
        Some(self.send(nonce, resources, absent, Vec::new()))
    }

    /// The response that takes away what is gone, if something is and no response is outstanding.
    pub(in super::super) fn take_away(&mut self, snapshot: &Snapshot, nonce: u64) -> Option<Dispatch> {
        if self.outstanding.is_some() || self.removals.is_empty() {
            return None;
        }
        let going: Vec<_> = std::mem::take(&mut self.removals).into_iter().collect();
        for name in &going {
            self.entries.remove(name);
        }
        Some(match self.is_whole() {
            true => self.whole(snapshot, nonce, going),
            false => self.send(nonce, Vec::new(), going.clone(), going),
        })
    }

    /// All resources of the kind, and those that are to go later.
    fn whole(&mut self, snapshot: &Snapshot, nonce: u64, going: Vec<Arc<str>>) -> Dispatch {
        let subscription = self.subscription.clone().unwrap_or_default();
        let mut all: BTreeMap<Arc<str>, Resource> =
            wanted(snapshot, self.kind, &subscription).map(|(n, r)| (n.clone(), r.clone())).collect();
        // Only what the proxy accepted is kept for its users. The rest goes now.
        self.removals.retain(|name| match self.entries.get(name) {
            Some(Entry { standing: Standing::Acked, resource: Some(resource), .. }) => {
                all.insert(name.clone(), resource.clone());
                true
            }
            _ => {
                self.entries.remove(name);
                false
            }
        });
        self.owed.clear();
        self.send(nonce, all.into_iter().collect(), Vec::new(), going)
    }

    fn send(
        &mut self,
        nonce: u64,
        list: Vec<(Arc<str>, Resource)>,
        removed: Vec<Arc<str>>,
        going: Vec<Arc<str>>,
    ) -> Dispatch {
        // Any response ends the proxy's wait for the first one.
        self.answer = false;
        let mut changed = Vec::new();
        for (name, resource) in &list {
            self.upserts.remove(name);
            let before = self.entries.get(name);
            if before.is_some_and(|e| e.version == resource.version && e.standing == Standing::Acked) {
                continue;
            }
            changed.push((name.clone(), resource.version.clone()));
            let acked = before.and_then(|e| e.acked.clone());
            self.entries.insert(name.clone(), Entry::sent(resource, nonce, acked));
        }
        let mut touched = changed.clone();
        let gone = if going.is_empty() { &removed } else { &going };
        touched.extend(gone.iter().map(|n| (n.clone(), Arc::from(""))));
        let absent = if list.is_empty() { Vec::new() } else { removed.clone() };
        self.outstanding = Some(Outstanding { nonce, going, absent, resources: touched });
        self.last_nonce = Some(nonce);
        let version = set_version(list.iter().map(|(n, r)| (n, r)));
        let changed = changed.into_iter().map(|(n, _)| n).collect();
        Dispatch { kind: self.kind, nonce, version, resources: list, removed, changed }
    }
}

impl Entry {
    fn sent(resource: &Resource, nonce: u64, acked: Option<Arc<str>>) -> Self {
        let version = resource.version.clone();
        Self { version, resource: Some(resource.clone()), nonce, standing: Standing::Sent, acked }
    }

    fn held(resource: &Resource) -> Self {
        let acked = Some(resource.version.clone());
        Self { standing: Standing::Acked, ..Self::sent(resource, 0, acked) }
    }
}

/// The resources of the snapshot that the proxy asked for. Nothing else is ever sent.
fn wanted<'a>(
    snapshot: &'a Snapshot,
    kind: crate::snapshot::ResourceType,
    subscription: &'a Subscription,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Resource)> {
    snapshot.of(kind).filter(|(name, _)| subscription.wants(name))
}

/// `version_info` of a set: a hash of names and versions, so that it is the same in every replica and after a restart.
fn set_version<'a>(set: impl Iterator<Item = (&'a Arc<str>, &'a Resource)>) -> String {
    let mut hash = Xxh3::new();
    for (name, resource) in set {
        for part in [name, &resource.version] {
            hash.update(&part.len().to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    format!("{:016x}", hash.digest())
}
