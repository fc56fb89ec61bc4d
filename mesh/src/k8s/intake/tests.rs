//! What enters the world, when, and what leaves it.

use std::sync::Arc;

use super::*;
use crate::{
    testing::{name, pod},
    world::Object,
};

const MONITORED: &str = super::super::MONITORED_BY;

fn namespace(labels: &[(&str, &str)]) -> Namespace {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Namespace { labels, annotations: BTreeMap::new() }
}

fn item(written: &str, account: &str) -> Item {
    let content = Content::Object(Box::new(Object::Workload(pod(written, account, "app=a"))));
    Item { name: name(written), entry: None, content }
}

fn broken(written: &str, why: &str) -> Item {
    Item { name: name(written), entry: None, content: Content::Unreadable(Unreadable::new("spec", why)) }
}

fn settings(content: Content) -> Told {
    let item = Item { name: ObjectName::new("osm-system", MESH_CONFIG), entry: None, content };
    Told::Objects(Kind::MeshConfig, Event::Listed(vec![item]))
}

fn put(item: Item) -> Told {
    Told::Objects(Kind::Pod, Event::Put(item))
}

fn label(namespace: Namespace) -> Told {
    Told::Namespaces(Event::Put(("shop".into(), namespace)))
}

/// An intake in which everything has been listed: `shop` is monitored, `other` is not.
fn listed() -> Intake {
    let mut intake = Intake::new("osm", "osm-system");
    let all = vec![("shop".into(), namespace(&[(MONITORED, "osm")])), ("other".into(), namespace(&[]))];
    for kind in KINDS {
        intake.take(Told::Objects(kind, Event::Listed(Vec::new())));
    }
    intake.take(Told::Objects(Kind::MeshConfig, Event::Listed(Vec::new())));
    assert!(!intake.is_due() && intake.waits_for() == ["Namespace"]);
    intake.take(Told::Namespaces(Event::Listed(all)));
    assert!(intake.is_due() && intake.waits_for().is_empty());
    let first = intake.batch();
    assert_eq!(first.mesh_config, Some(Arc::default()), "without a MeshConfig its default holds");
    assert!(!intake.is_due());
    intake
}

fn told(intake: &mut Intake) -> Vec<String> {
    let show = |change: &Change| match change {
        Change::Put(object) => format!("put {}", object.name()),
        Change::Gone(object) => format!("gone {}", object.name),
        other => format!("{other:?}"),
    };
    intake.batch().changes.iter().map(show).collect()
}

#[test]
fn only_monitored_namespaces_enter() {
    let mut intake = listed();
    intake.take(put(item("shop/a", "x")));
    intake.take(put(item("other/b", "x")));
    intake.take(put(item("unknown/c", "x")));
    assert_eq!(told(&mut intake), ["put shop/a"]);
}

#[test]
fn a_namespace_takes_its_objects_out_and_in() {
    let mut intake = listed();
    intake.take(put(item("shop/a", "x")));
    intake.take(put(item("other/b", "x")));
    intake.batch();
    intake.take(label(namespace(&[(MONITORED, "osm"), ("team", "red")])));
    assert!(intake.is_due(), "labels are of interest to injection");
    assert!(told(&mut intake).is_empty());
    intake.take(label(namespace(&[(MONITORED, "osm"), ("openservicemesh.io/ignore", "")])));
    assert_eq!(told(&mut intake), ["gone shop/a"]);
    intake.take(put(item("shop/a", "y")));
    assert!(!intake.is_due());
    intake.take(label(namespace(&[(MONITORED, "osm")])));
    assert_eq!(told(&mut intake), ["put shop/a"]);
    intake.take(label(namespace(&[(MONITORED, "another-mesh")])));
    assert_eq!(told(&mut intake), ["gone shop/a"]);
    intake.take(label(namespace(&[(MONITORED, "osm")])));
    intake.take(Told::Namespaces(Event::Gone("shop".into())));
    assert_eq!(told(&mut intake), ["gone shop/a"]);
}

#[test]
fn a_new_list_tells_the_difference() {
    let mut intake = listed();
    let list = |items: Vec<Item>| Told::Objects(Kind::Pod, Event::Listed(items));
    intake.take(list(vec![item("shop/a", "x"), item("shop/b", "x"), item("shop/c", "x")]));
    assert_eq!(told(&mut intake).len(), 3);
    intake.take(list(vec![item("shop/a", "x"), item("shop/c", "y"), item("shop/d", "x")]));
    assert_eq!(told(&mut intake), ["gone shop/b", "put shop/c", "put shop/d"]);
    intake.take(list(vec![item("shop/a", "x"), item("shop/c", "y"), item("shop/d", "x")]));
    assert!(!intake.is_due(), "nothing has changed");
    intake.take(Told::Objects(Kind::Pod, Event::Missing));
    assert_eq!(told(&mut intake), ["gone shop/a", "gone shop/c", "gone shop/d"]);
    assert_eq!(intake.batch().missing, BTreeSet::from([Kind::Pod]));
    intake.take(list(Vec::new()));
    assert!(intake.batch().missing.is_empty());
}

#[test]
fn what_cannot_be_read_is_gone_and_told() {
    let mut intake = listed();
    intake.take(put(item("shop/a", "x")));
    intake.batch();
    intake.take(put(broken("shop/a", "bad")));
    let batch = intake.batch();
    assert_eq!(batch.changes, [Change::Gone(ObjectRef::new(Kind::Pod, name("a")))]);
    assert_eq!(batch.unreadable, [(ObjectRef::new(Kind::Pod, name("a")), Some(Unreadable::new("spec", "bad")))]);
    intake.take(put(item("shop/a", "x")));
    let batch = intake.batch();
    assert_eq!((batch.changes.len(), batch.unreadable.len(), &batch.unreadable[0].1), (1, 1, &None));
    intake.take(put(broken("other/b", "bad")));
    assert!(!intake.is_due(), "nobody looks there");
}

#[test]
fn an_unreadable_mesh_config_is_never_the_default() {
    let mut intake = Intake::new("osm", "osm-system");
    let broken = || Content::Unreadable(Unreadable::new("spec", "bad"));
    KINDS.into_iter().for_each(|kind| intake.take(Told::Objects(kind, Event::Listed(Vec::new()))));
    intake.take(Told::Namespaces(Event::Listed(Vec::new())));
    intake.take(settings(broken()));
    assert!(!intake.is_due());
    assert_eq!(intake.waits_for(), ["a readable MeshConfig"]);
    let mut spec = MeshConfigSpec::default();
    spec.traffic.enable_egress = true;
    intake.take(settings(Content::MeshConfig(Arc::new(spec.clone()))));
    assert_eq!(intake.batch().mesh_config.as_deref(), Some(&spec));
    intake.take(settings(broken()));
    let batch = intake.batch();
    assert_eq!((batch.mesh_config, batch.unreadable.len()), (None, 1), "the last good one stays");
    intake.take(Told::Objects(Kind::MeshConfig, Event::Listed(Vec::new())));
    assert_eq!(intake.batch().mesh_config, Some(Arc::default()));
}
