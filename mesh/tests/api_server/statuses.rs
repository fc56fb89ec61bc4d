//! What users see of their mistakes: conditions and Events.

use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use mesh::{
    k8s::{
        report::{State, report},
        source, status,
    },
    model::{Kind, ObjectName, ObjectRef},
};
use tokio::sync::watch;

use super::{
    harness::{ApiServer, Mirror, Test, apply, crds, eventually, monitored, smuggle, test},
    watches::{GROUP, TARGET},
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("statuses::conditions_and_events_are_written_once_and_by_the_leader", written_once),
        test("statuses::what_cannot_be_read_says_so_in_its_status", unreadable),
    ]
}

async fn get(client: &Client, ns: &str, kind: Kind, name: &str) -> DynamicObject {
    let resource = source::resource(kind, source::served(kind).versions[0]);
    Api::namespaced_with(client.clone(), ns, &resource).get(name).await.unwrap()
}

/// `type=status/reason`, by type.
fn said(object: &DynamicObject) -> Vec<String> {
    let conditions = status::conditions(&object.data);
    conditions.iter().map(|c| format!("{}={}/{}", c.kind, c.status, c.reason)).collect()
}

async fn written_once() {
    let server = ApiServer::start().await;
    let client = server.client();
    crds(&client).await;
    let ns = monitored(&client, "status").await;
    apply(&client, &ns, TARGET).await;
    let mut mirror = Mirror::start(&client, "osm-system").await;
    mirror.sees(&ns, Kind::TrafficTarget, "t", true).await;
    let object = ObjectRef::new(Kind::TrafficTarget, ObjectName::new(ns.as_str(), "t"));
    let state = |mirror: &Mirror| State { world: mirror.world.clone(), directory: mirror.directory.clone() };
    let (tell, states) = watch::channel(state(&mirror));
    let (lead, leads) = watch::channel(false);
    let reporter = tokio::spawn(report(client.clone(), "replica-0".into(), states, leads));
    let before = get(&client, &ns, Kind::TrafficTarget, "t").await;
    lead.send_replace(true);
    let conditions = |mirror: &Mirror| mirror.directory.get(&object).map_or(0, |entry| entry.conditions.len());
    mirror.until("conditions", |m| conditions(m) == 3).await;
    let written = get(&client, &ns, Kind::TrafficTarget, "t").await;
    assert_eq!(said(&before), [""; 0], "only a leader writes");
    assert_eq!(said(&written), ["Accepted=True/Accepted", "ResolvedRefs=False/NotFound", "Programmed=True/Programmed"]);
    assert_eq!(written.metadata.generation, before.metadata.generation, "status is no new content");
    let events: Api<Event> = Api::namespaced(client.clone(), &ns);
    let reported = || async { events.list(&ListParams::default()).await.unwrap().items.pop() };
    let event = eventually("an Event", reported).await;
    assert_eq!((event.reason.as_deref(), event.regarding.unwrap().name.as_deref()), (Some("NotFound"), Some("t")));

    // Reported again, and mended: only the second is written.
    tell.send_replace(state(&mirror));
    apply(&client, &ns, GROUP).await;
    mirror.sees(&ns, Kind::HttpRouteGroup, "g", true).await;
    tell.send_replace(state(&mirror));
    let mended = || async {
        let now = get(&client, &ns, Kind::TrafficTarget, "t").await;
        said(&now).contains(&"ResolvedRefs=True/ResolvedRefs".to_owned()).then_some(now)
    };
    let mended = eventually("it is mended", mended).await;
    let times = |object: &DynamicObject| -> Vec<_> {
        status::conditions(&object.data).into_iter().map(|c| (c.kind, c.last_transition_time)).collect()
    };
    assert_eq!(times(&mended)[0], times(&written)[0], "what did not change keeps its time");
    mirror
        .until("it comes back", |m| {
            m.directory.get(&object).is_some_and(|e| e.conditions == status::conditions(&mended.data))
        })
        .await;
    tell.send_replace(state(&mirror));
    // The group's status is written in the same round, after the target's.
    let group = || async {
        let object = get(&client, &ns, Kind::HttpRouteGroup, "g").await;
        (!said(&object).is_empty()).then_some(())
    };
    eventually("the group's status", group).await;
    drop(tell);
    reporter.await.unwrap();
    let last = get(&client, &ns, Kind::TrafficTarget, "t").await;
    assert_eq!(last.metadata.resource_version, mended.metadata.resource_version, "not written again");
    assert_eq!(events.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

async fn unreadable() {
    let server = ApiServer::start().await;
    let client = server.client();
    crds(&client).await;
    let ns = monitored(&client, "status").await;
    let broken =
        "{apiVersion: access.smi-spec.io/v1alpha3, kind: TrafficTarget, metadata: {name: t}, spec: {sources: 5}}";
    smuggle(&client, "traffictargets.access.smi-spec.io", &ns, broken).await;
    let mut mirror = Mirror::start(&client, "osm-system").await;
    let object = ObjectRef::new(Kind::TrafficTarget, ObjectName::new(ns.as_str(), "t"));
    mirror.until("the diagnostic", |m| m.unreadable.contains_key(&object)).await;
    let state = State { world: mirror.world.clone(), directory: mirror.directory.clone() };
    let (tell, states) = watch::channel(state);
    let (_lead, leads) = watch::channel(true);
    let reporter = tokio::spawn(report(client.clone(), "replica-0".into(), states, leads));
    let written = || async {
        let said = said(&get(&client, &ns, Kind::TrafficTarget, "t").await);
        said.contains(&"Accepted=False/Unreadable".to_owned()).then_some(said)
    };
    let said = eventually("the conditions", written).await;
    assert!(said.contains(&"Programmed=False/Invalid".to_owned()), "{said:?}");
    drop(tell);
    reporter.await.unwrap();
}
