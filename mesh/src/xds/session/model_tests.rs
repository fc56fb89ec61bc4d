//! Random interleavings against a model of the proxy: whatever happens on the way, it ends with its snapshot.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use envoy_types::pb::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::rpc,
};
use proptest::{collection::vec, prelude::*};

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// The content that the proxy refuses.
const BAD: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A new snapshot: contents by kind and name.
    Publish(Vec<(usize, usize, u8)>),
    /// The proxy takes in the oldest response that is under way, and answers.
    Deliver,
    /// The server takes in the oldest request that is under way.
    Read,
    Subscribe(usize, Vec<usize>),
    Unsubscribe(usize, Vec<usize>),
    Wildcard(usize, bool),
    Reconnect,
}

fn step() -> impl Strategy<Value = Step> {
    let names = || vec(0..NAMES.len(), 1..3);
    prop_oneof![
        3 => vec((0..5usize, 0..NAMES.len(), 0..=BAD), 0..14).prop_map(Step::Publish),
        8 => Just(Step::Deliver),
        8 => Just(Step::Read),
        2 => (0..5usize, names()).prop_map(|(k, n)| Step::Subscribe(k, n)),
        1 => (0..5usize, names()).prop_map(|(k, n)| Step::Unsubscribe(k, n)),
        1 => (0..5usize, any::<bool>()).prop_map(|(k, on)| Step::Wildcard(k, on)),
        1 => Just(Step::Reconnect),
    ]
}

/// Names and versions.
type Versions = Vec<(Arc<str>, Arc<str>)>;

#[derive(Clone, Debug)]
enum Request {
    Delta(DeltaDiscoveryRequest),
    Sotw(DiscoveryRequest),
}

/// What the proxy has of one kind.
#[derive(Debug, Default)]
struct Held {
    subscription: Option<Subscribed>,
    resources: BTreeMap<String, String>,
    version_info: String,
    nonce: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Subscribed {
    wildcard: bool,
    names: BTreeSet<String>,
}

impl Held {
    fn wants(&self, name: &str) -> bool {
        self.subscription.as_ref().is_some_and(|s| s.wildcard || s.names.contains(name))
    }

    fn forget_unwanted(&mut self) {
        let subscription = self.subscription.clone().unwrap_or_default();
        let before = self.resources.len();
        self.resources.retain(|n, _| subscription.wildcard || subscription.names.contains(n));
        if self.resources.len() < before {
            // It has not what that version stands for any more.
            self.version_info.clear();
        }
    }
}

/// Server, proxy, and what is under way between them.
struct Wire {
    session: Session,
    snapshot: Arc<Snapshot>,
    to_proxy: VecDeque<Dispatch>,
    to_server: VecDeque<Request>,
    held: [Held; 5],
    /// As the server knows it: what was sent last, unless it was asked for anew.
    sent: BTreeMap<(ResourceType, Arc<str>), Arc<str>>,
    /// The set that was sent last (state-of-the-world).
    sets: BTreeMap<ResourceType, Versions>,
    asked: BTreeSet<(ResourceType, String)>,
    /// Kinds with a response under way to which something was added.
    open: BTreeMap<ResourceType, (u64, bool)>,
    /// Names that were told to be absent beside resources: if those are refused, it has to be told again.
    beside: BTreeMap<ResourceType, Vec<String>>,
    refused: BTreeSet<(ResourceType, String, String)>,
    /// Names that were unsubscribed while a response was under way.
    crossing: BTreeSet<(ResourceType, String)>,
}

impl Wire {
    fn new(variant: Variant) -> Self {
        Self {
            session: Session::new(variant),
            snapshot: Arc::default(),
            to_proxy: VecDeque::new(),
            to_server: VecDeque::new(),
            held: Default::default(),
            sent: BTreeMap::new(),
            sets: BTreeMap::new(),
            asked: BTreeSet::new(),
            open: BTreeMap::new(),
            beside: BTreeMap::new(),
            refused: BTreeSet::new(),
            crossing: BTreeSet::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Publish(contents) => {
                let mut snapshot = Snapshot::default();
                for (kind, name, content) in contents {
                    let kind = ResourceType::ALL[*kind];
                    snapshot.insert(kind, NAMES[*name], Resource::new(kind, vec![*content]));
                }
                self.snapshot = Arc::new(snapshot);
                let due = self.session.on_snapshot(self.snapshot.clone());
                self.under_way(due);
            }
            Step::Deliver => drop(self.deliver()),
            Step::Read => drop(self.read()),
            // Envoy never narrows a subscription to CDS or LDS in state-of-the-world. A client that does so right after a
            // refusal may keep what it should drop until the next set that it accepts.
            Step::Wildcard(kind, false) | Step::Unsubscribe(kind, _)
                if self.session.variant() == Variant::Sotw && ResourceType::ALL[*kind].is_wildcard() => {}
            Step::Subscribe(kind, names) => self.ask(*kind, &pick(names), &[], None),
            Step::Unsubscribe(kind, names) => self.ask(*kind, &[], &pick(names), None),
            Step::Wildcard(kind, true) => self.ask(*kind, &["*".into()], &[], None),
            Step::Wildcard(kind, false) => self.ask(*kind, &[], &["*".into()], None),
            Step::Reconnect => self.reconnect(),
        }
    }

    /// The proxy changes its subscription, or answers a response (nonce, refused).
    fn ask(&mut self, kind: usize, add: &[String], drop: &[String], answer: Option<(u64, bool)>) {
        let held = &mut self.held[kind];
        let first = held.subscription.is_none();
        if first && add.is_empty() && !ResourceType::ALL[kind].is_wildcard() {
            return;
        }
        let drop = if first { &[] } else { drop };
        let mut next = held.subscription.clone().unwrap_or_default();
        next.wildcard |= first && add.is_empty();
        for name in drop {
            match name.as_str() {
                "*" => next.wildcard = false,
                name => drop_name(&mut next, name),
            }
        }
        for name in add {
            match name.as_str() {
                "*" => next.wildcard = true,
                name => next.names.extend([name.to_owned()]),
            }
        }
        held.subscription = Some(next);
        held.forget_unwanted();
        let type_url = ResourceType::ALL[kind].type_url().to_owned();
        let error_detail =
            answer.filter(|(_, bad)| *bad).map(|_| rpc::Status { message: "bad".into(), ..Default::default() });
        let request = match self.session.variant() {
            Variant::Delta => Request::Delta(DeltaDiscoveryRequest {
                type_url,
                resource_names_subscribe: add.to_vec(),
                resource_names_unsubscribe: drop.to_vec(),
                response_nonce: answer.map(|(nonce, _)| nonce.to_string()).unwrap_or_default(),
                error_detail,
                ..Default::default()
            }),
            Variant::Sotw => {
                if let Some((nonce, _)) = answer {
                    held.nonce = nonce.to_string();
                }
                Request::Sotw(held.sotw_request(type_url, error_detail))
            }
        };
        self.to_server.push_back(request);
    }

    fn reconnect(&mut self) {
        self.to_proxy.clear();
        self.to_server.clear();
        self.sent.clear();
        self.sets.clear();
        self.asked.clear();
        self.open.clear();
        self.refused.clear();
        self.session = Session::new(self.session.variant());
        for (kind, held) in ResourceType::ALL.into_iter().zip(&mut self.held) {
            held.nonce.clear();
            // An empty first list would be a wildcard.
            held.subscription.take_if(|s| s.list().is_empty());
            let Some(subscription) = &held.subscription else { continue };
            let type_url = kind.type_url().to_owned();
            let holds = held.resources.iter().map(|(n, v)| ((kind, n.as_str().into()), v.as_str().into()));
            self.sent.extend(holds);
            let held_set = held.resources.iter().map(|(n, v)| (n.as_str().into(), v.as_str().into()));
            self.sets.insert(kind, held_set.collect());
            self.to_server.push_back(match self.session.variant() {
                Variant::Sotw => Request::Sotw(held.sotw_request(type_url, None)),
                Variant::Delta => {
                    let versions = held.resources.clone();
                    Request::Delta(DeltaDiscoveryRequest {
                        type_url,
                        resource_names_subscribe: subscription.list(),
                        initial_resource_versions: versions.into_iter().collect(),
                        ..Default::default()
                    })
                }
            });
        }
        let due = self.session.on_snapshot(self.snapshot.clone());
        self.under_way(due);
    }

    fn read(&mut self) -> bool {
        let Some(request) = self.to_server.pop_front() else { return false };
        self.remember_what_is_asked(&request);
        let (Request::Delta(DeltaDiscoveryRequest { type_url, .. }) | Request::Sotw(DiscoveryRequest { type_url, .. })) =
            &request;
        let kind = ResourceType::from_type_url(type_url).unwrap();
        let due = match request {
            Request::Delta(request) => Delta::on_request(&mut self.session, request),
            Request::Sotw(request) => Sotw::on_request(&mut self.session, request),
        };
        self.under_way(due);
        let variant = self.session.variant();
        let channel = self.session.channel(kind);
        let subscription = channel.subscription.clone().unwrap();
        // What is asked for no longer is no reason any more, nor what was answered by silence: the proxy has it already.
        let silent = channel.is_settled();
        // (State-of-the-world may still answer a wildcard that was taken back, by the list that is left.)
        let taken_back = |n: &str| n == "*" && !subscription.wildcard && variant == Variant::Delta;
        self.asked.retain(|(k, n)| *k != kind || !silent && !taken_back(n) && (n == "*" || subscription.wants(n)));
        true
    }

    fn remember_what_is_asked(&mut self, request: &Request) {
        let (url, nonce, mut names) = match request {
            Request::Delta(r) => (
                &r.type_url,
                &r.response_nonce,
                [&r.resource_names_subscribe[..], &r.resource_names_unsubscribe].concat(),
            ),
            Request::Sotw(r) => (&r.type_url, &r.response_nonce, r.resource_names.clone()),
        };
        let kind = ResourceType::from_type_url(url).unwrap();
        if self.open.get(&kind).is_some_and(|(n, _)| n.to_string() == *nonce) {
            self.open.remove(&kind);
            if matches!(request, Request::Delta(DeltaDiscoveryRequest { error_detail: Some(_), .. })) {
                names.extend(self.beside.remove(&kind).unwrap_or_default());
            }
        }
        let first = self.session.channel(kind).subscription.is_none();
        let before = self.session.channel(kind).subscription.clone().unwrap_or_default();
        let known: BTreeSet<&str> = match request {
            Request::Delta(r) => r.initial_resource_versions.keys().map(String::as_str).collect(),
            Request::Sotw(_) => before.names.iter().map(|n| &**n).collect(),
        };
        if let Request::Delta(r) = request {
            for name in &r.resource_names_unsubscribe {
                self.sent.retain(|(k, n), _| {
                    *k != kind
                        || !(&**n == name && before.names.contains(n) || name == "*" && !before.names.contains(n))
                });
                if self.open.contains_key(&kind) {
                    // It may be under way, and be kept if it is asked for again before it arrives.
                    self.crossing.insert((kind, name.clone()));
                }
            }
        } else {
            self.sent.retain(|(k, n), _| *k != kind || names.iter().any(|x| **x == **n || x == "*"));
        }
        if first && matches!(request, Request::Sotw(_)) && !kind.is_wildcard() {
            // Nobody knows what a reconnecting proxy has of these.
            self.sent.retain(|(k, _), _| *k != kind);
        }
        let asks = |n: &str| match request {
            Request::Delta(r) => !r.resource_names_unsubscribe.iter().any(|u| u == n) || before.names.contains(n),
            Request::Sotw(_) => true,
        };
        let fresh = names.iter().filter(|n| *n != "*" && !known.contains(n.as_str()) && asks(n));
        let fresh: Vec<_> = fresh.map(|n| (kind, n.clone())).collect();
        if matches!(request, Request::Sotw(_)) && !(first && kind.is_wildcard()) {
            // A new name is sent whenever it exists, whatever was sent under a wildcard.
            self.sent.retain(|(k, n), _| !fresh.contains(&(*k, n.to_string())));
        }
        self.asked.extend(fresh);
        if first || names.iter().any(|n| n == "*") && !before.wildcard {
            self.asked.insert((kind, "*".into()));
        }
    }

    /// Checks every response that the server sends.
    fn under_way(&mut self, due: Vec<Dispatch>) {
        for dispatch in due {
            let kind = dispatch.kind;
            let whole = self.session.variant() == Variant::Sotw && kind.is_wildcard();
            assert!(!self.open.contains_key(&kind), "two responses of {kind:?} at a time");
            let removal = self.check_reason(&dispatch, whole);
            self.check_content(&dispatch, whole);
            self.check_order(&dispatch, removal);
            self.asked.retain(|(k, n)| {
                *k != kind
                    || !(whole
                        || n == "*"
                        || dispatch.resources.iter().any(|(r, _)| **r == **n)
                        || dispatch.removed.iter().any(|r| **r == **n))
            });
            for (name, resource) in &dispatch.resources {
                self.sent.insert((kind, name.clone()), resource.version.clone());
            }
            for name in &dispatch.removed {
                self.sent.remove(&(kind, name.clone()));
            }
            let beside = if dispatch.resources.is_empty() { &[] } else { &dispatch.removed[..] };
            self.beside.insert(kind, beside.iter().map(ToString::to_string).collect());
            self.sets.insert(kind, set(&dispatch));
            self.open.insert(kind, (dispatch.nonce, removal));
            self.to_proxy.push_back(dispatch);
        }
    }

    /// Nothing but what the proxy's own snapshot has and the proxy asked for.
    fn check_content(&mut self, dispatch: &Dispatch, whole: bool) {
        let subscription = self.session.channel(dispatch.kind).subscription.clone().unwrap();
        for (name, resource) in &dispatch.resources {
            assert!(subscription.wants(name), "{name} was not asked for");
            let current = self.snapshot.get(dispatch.kind, name) == Some(resource);
            let kept = whole && self.sent.get(&(dispatch.kind, name.clone())) == Some(&resource.version);
            assert!(current || kept, "{name} is not in the snapshot");
        }
        for name in &dispatch.removed {
            assert!(self.snapshot.get(dispatch.kind, name).is_none(), "{name} is not gone");
        }
    }

    /// Every send has a reason. Returns whether the response only takes something away.
    fn check_reason(&self, dispatch: &Dispatch, whole: bool) -> bool {
        let kind = dispatch.kind;
        let asked = |name: &str| self.asked.contains(&(kind, name.to_owned()));
        if whole {
            let before = self.sets.get(&kind);
            let any_asked = self.asked.iter().any(|(k, _)| *k == kind);
            assert!(any_asked || before != Some(&set(dispatch)), "sent the same set again");
            return !any_asked && before.is_some_and(|b| set(dispatch).iter().all(|r| b.contains(r)));
        }
        for (name, resource) in &dispatch.resources {
            let differs = self.sent.get(&(kind, name.clone())) != Some(&resource.version);
            assert!(differs || asked(name), "{name} was sent without a reason");
        }
        for name in &dispatch.removed {
            let crossed = |n: &str| self.crossing.contains(&(kind, n.to_owned()));
            let known = self.sent.contains_key(&(kind, name.clone())) || crossed(name) || crossed("*");
            assert!(known || asked(name), "{name} was not there");
        }
        assert!(!dispatch.resources.is_empty() || !dispatch.removed.is_empty() || asked("*"), "an empty response");
        dispatch.resources.is_empty() && !dispatch.removed.is_empty() && !dispatch.removed.iter().any(|n| asked(n))
    }

    /// Make before break.
    fn check_order(&self, dispatch: &Dispatch, removal: bool) {
        let of = |set: &BTreeSet<_>, name: &str| set.contains(&(dispatch.kind, name.to_owned()));
        let crossed = |name: &str| of(&self.crossing, name) || of(&self.crossing, "*");
        let asked = |name: &str| of(&self.asked, name) || crossed(name);
        let by_name = !dispatch.kind.is_wildcard() || self.session.variant() == Variant::Delta;
        let answers = dispatch.resources.iter().all(|(n, _)| asked(n)) && dispatch.removed.iter().all(|n| asked(n));
        if by_name && answers && !(dispatch.resources.is_empty() && dispatch.removed.is_empty()) {
            return;
        }
        let before: &[_] = if removal { &ResourceType::ALL } else { users_wait_for(dispatch.kind) };
        for kind in before {
            let adding = self.open.get(kind).is_some_and(|(_, removal)| !removal);
            assert!(!adding, "{:?} did not wait for {kind:?}", dispatch.kind);
        }
    }

    /// The proxy takes in a response: all of it, or nothing if a part is bad.
    fn deliver(&mut self) -> bool {
        let Some(dispatch) = self.to_proxy.pop_front() else { return false };
        let kind = dispatch.kind as usize;
        let bad = dispatch.resources.iter().any(|(_, r)| r.body.value == [BAD]);
        let held = &mut self.held[kind];
        if bad {
            self.refused
                .extend(dispatch.resources.iter().map(|(n, r)| (dispatch.kind, n.to_string(), r.version.to_string())));
        } else {
            if self.session.variant() == Variant::Sotw && dispatch.kind.is_wildcard() {
                held.resources.clear();
            }
            for (name, resource) in &dispatch.resources {
                if held.wants(name) {
                    held.resources.insert(name.to_string(), resource.version.to_string());
                }
            }
            for name in &dispatch.removed {
                held.resources.remove(&**name);
            }
            // A part of it may have come too late to be wanted.
            let all = dispatch.resources.iter().all(|(n, _)| held.wants(n)) && held.subscription.is_some();
            held.version_info = if all { dispatch.version.clone() } else { String::new() };
        }
        self.ask(kind, &[], &[], Some((dispatch.nonce, bad)));
        true
    }

    fn settle(&mut self) {
        let mut rounds = 0;
        while self.deliver() | self.read() {
            rounds += 1;
            assert!(rounds < 500, "it never ends");
        }
    }

    /// The proxy holds what it asked for and its snapshot has, but for what it refused.
    fn check_end(&self) {
        let mut complete = true;
        for (kind, held) in ResourceType::ALL.into_iter().zip(&self.held) {
            let status = &self.session.status().kinds[&kind];
            assert!(!status.outstanding);
            let wanted: BTreeMap<String, String> = self
                .snapshot
                .of(kind)
                .filter(|(n, _)| held.wants(n))
                .map(|(n, r)| (n.to_string(), r.version.to_string()))
                .collect();
            let rejected = |(n, r): (&Arc<str>, &status::Refusal)| wanted.get(&**n).is_some_and(|v| **v == *r.version);
            complete &= wanted.len() == self.snapshot.of(kind).count() && !status.refused.iter().any(rejected);
            for (name, refusal) in &status.refused {
                let refused = (kind, name.to_string(), refusal.version.to_string());
                assert!(self.refused.contains(&refused), "{name} was not refused");
            }
            let whole = self.session.variant() == Variant::Sotw && kind.is_wildcard();
            if whole && !status.refused.is_empty() {
                continue;
            }
            for (name, version) in &wanted {
                let refused = status.refused.get(name.as_str()).is_some_and(|r| *r.version == **version);
                assert!(refused || held.resources.get(name) == Some(version), "{kind:?} {name} is missing: {held:?}");
            }
            if whole || self.session.variant() == Variant::Delta {
                let extra = held.resources.keys().find(|n| !wanted.contains_key(*n));
                assert_eq!(extra, None, "{kind:?}: should be gone");
            }
        }
        assert_eq!(self.session.is_synced(&self.snapshot), complete, "{:#?}", self.session);
    }
}

impl Held {
    fn sotw_request(&self, type_url: String, error_detail: Option<rpc::Status>) -> DiscoveryRequest {
        DiscoveryRequest {
            type_url,
            version_info: self.version_info.clone(),
            response_nonce: self.nonce.clone(),
            resource_names: self.subscription.as_ref().map(Subscribed::list).unwrap_or_default(),
            error_detail,
            ..Default::default()
        }
    }
}

impl Subscribed {
    fn list(&self) -> Vec<String> {
        self.wildcard.then(|| "*".to_owned()).into_iter().chain(self.names.iter().cloned()).collect()
    }
}

/// The table in the module's documentation.
fn users_wait_for(kind: ResourceType) -> &'static [ResourceType] {
    match kind {
        ResourceType::Secret => &[],
        ResourceType::Cluster | ResourceType::Endpoint => &[ResourceType::Secret],
        ResourceType::Listener => &[ResourceType::Secret, ResourceType::Cluster, ResourceType::Endpoint],
        ResourceType::Route => &ResourceType::ALL[..4],
    }
}

fn drop_name(subscription: &mut Subscribed, name: &str) {
    subscription.names.remove(name);
}

fn pick(names: &[usize]) -> Vec<String> {
    names.iter().map(|n| NAMES[*n].to_owned()).collect()
}

fn set(dispatch: &Dispatch) -> Versions {
    dispatch.resources.iter().map(|(n, r)| (n.clone(), r.version.clone())).collect()
}

fn run(variant: Variant, steps: &[Step]) {
    let mut wire = Wire::new(variant);
    for step in steps {
        wire.step(step);
    }
    wire.settle();
    let last = wire.snapshot.clone();
    let due = wire.session.on_snapshot(last);
    wire.under_way(due);
    wire.settle();
    wire.check_end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn delta_ends_with_the_snapshot(steps in vec(step(), 1..60)) {
        run(Variant::Delta, &steps);
    }

    #[test]
    fn sotw_ends_with_the_snapshot(steps in vec(step(), 1..60)) {
        run(Variant::Sotw, &steps);
    }
}
