//! Writes status and Events: only what differs, and only as leader.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::{api::events::v1::Event, jiff::Timestamp};
use kube::{
    Api, Client, Error,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::Value;
use tokio::sync::watch;

use super::{Directory, Entry, FIELD_MANAGER, source, status};
use crate::{
    model::{Diagnostic, Kind, ObjectRef},
    policy::diagnose,
    world::World,
};

/// Least time between two rounds. Status is for people; it must not take what sidecars wait for.
const PAUSE: Duration = Duration::from_millis(200);
/// Time until a round that failed in part is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// What is to be reported about.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Everything known.
    pub world: World,
    /// What there is to write to.
    pub directory: Directory,
}

/// Reports for as long as `state` has a sender: whenever the state changes, and while `leads` is true.
/// `instance` is this replica's name.
pub async fn report(
    client: Client,
    instance: String,
    mut state: watch::Receiver<State>,
    mut leads: watch::Receiver<bool>,
) {
    let mut reporter = Reporter { client, instance, sent: BTreeMap::new(), reported: BTreeSet::new() };
    state.mark_changed();
    loop {
        let mut again = false;
        if *leads.borrow_and_update() {
            let now = state.borrow_and_update().clone();
            again = !reporter.round(&now).await;
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if again => {}
        }
    }
}

struct Reporter {
    client: Client,
    instance: String,
    /// What was written and may not have come back yet.
    sent: BTreeMap<ObjectRef, Vec<status::Condition>>,
    /// Names of Events.
    reported: BTreeSet<String>,
}

impl Reporter {
    /// Writes what differs; tells whether all of it was written.
    async fn round(&mut self, state: &State) -> bool {
        let diagnostics = diagnose(&state.world);
        let mut by_object: BTreeMap<&ObjectRef, Vec<&Diagnostic>> = BTreeMap::new();
        for diagnostic in &diagnostics {
            by_object.entry(&diagnostic.object).or_default().push(diagnostic);
        }
        self.sent.retain(|object, _| state.directory.get(object).is_some());
        let now = Timestamp::now();
        let mut complete = true;
        let mut current = BTreeSet::new();
        for (object, entry) in state.directory.iter() {
            let about = by_object.get(object).map(Vec::as_slice).unwrap_or_default();
            if status::has_conditions(object.kind) {
                complete &= self.write_status(object, entry, about, &now).await;
            }
            for (reason, note) in notes(entry, about) {
                let event = status::event(object, entry, &reason, &note, &self.instance, &format!("{now:.6}"));
                complete &= self.write_event(&object.name.namespace, event, &mut current).await;
            }
        }
        // What is mended and goes wrong again is told again.
        self.reported = current;
        complete
    }

    async fn write_status(
        &mut self,
        object: &ObjectRef,
        entry: &Entry,
        about: &[&Diagnostic],
        now: &Timestamp,
    ) -> bool {
        let wanted = status::wanted(entry, about, &format!("{now:.0}"));
        let same = |sent: &Vec<status::Condition>| {
            sent.len() == wanted.len() && sent.iter().zip(&wanted).all(|(a, b)| a.says_the_same(b))
        };
        if !status::differs(entry, &wanted) {
            self.sent.remove(object);
            return true;
        }
        if self.sent.get(object).is_some_and(same) {
            return true;
        }
        match self.patch_status(object, entry, &wanted).await {
            Ok(_) => drop(self.sent.insert(object.clone(), wanted)),
            // Deleted meanwhile, or a kind without status: there is nothing to write to.
            Err(Error::Api(answer)) if answer.code == 404 => drop(self.sent.insert(object.clone(), wanted)),
            Err(error) => {
                tracing::warn!(%object, %error, "cannot write status; trying again");
                return false;
            }
        }
        true
    }

    async fn patch_status(
        &self,
        object: &ObjectRef,
        entry: &Entry,
        wanted: &[status::Condition],
    ) -> Result<DynamicObject, Error> {
        let api = custom(&self.client, object, &entry.api_version);
        if entry.unreadable.is_some() {
            // What the schema does not allow (any more) cannot be applied to: the API server answers 500.
            let patch = Patch::Merge(status::merge_patch(entry, wanted));
            return api.patch_status(&object.name.name, &PatchParams::default(), &patch).await;
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        api.patch_status(&object.name.name, &parameters, &Patch::Apply(status::patch(object, entry, wanted))).await
    }

    async fn write_event(&self, namespace: &str, event: Value, current: &mut BTreeSet<String>) -> bool {
        let name = format!("{namespace}/{}", event["metadata"]["name"].as_str().unwrap_or_default());
        if self.reported.contains(&name) {
            current.insert(name);
            return true;
        }
        let Ok(event) = serde_json::from_value::<Event>(event) else { return true };
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            Err(Error::Api(answer)) if matches!(answer.code, 404 | 409) => {}
            Err(error) => {
                tracing::warn!(%name, %error, "cannot report an Event; trying again");
                return false;
            }
        }
        current.insert(name);
        true
    }
}

/// Reasons and texts of the Events about an object.
fn notes(entry: &Entry, about: &[&Diagnostic]) -> Vec<(String, String)> {
    let unreadable = entry.unreadable.as_ref().map(|why| ("Unreadable".to_owned(), why.to_string()));
    let told = about.iter().map(|d| (d.code.as_str().to_owned(), format!("{}: {}", d.field, d.message)));
    unreadable.into_iter().chain(told).collect()
}

fn custom(client: &Client, object: &ObjectRef, api_version: &str) -> Api<DynamicObject> {
    let version = api_version.rsplit('/').next().unwrap_or(api_version);
    let kind: Kind = object.kind;
    Api::namespaced_with(client.clone(), &object.name.namespace, &source::resource(kind, version))
}
