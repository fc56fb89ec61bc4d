use mesh::model::{RoutePorts, TcpRoute};

use super::*;

/// Never hears that something is gone, and takes every port for 1.
#[derive(Debug)]
struct Wrong;

impl Mutation for Wrong {
    fn believe(&self, mut truth: Known, past: &Past) -> Known {
        for object in truth.objects.values_mut() {
            if let Object::TcpRoute(route) = object {
                route.ports = RoutePorts::Only(BTreeSet::from([1]));
            }
        }
        for (name, object) in past.believed.iter().chain(&past.missed) {
            truth.objects.entry(name.clone()).or_insert_with(|| object.clone());
        }
        truth
    }
}

/// Right in everything.
#[derive(Debug)]
struct Right;

impl Mutation for Right {}

fn route(name: &str, port: u16) -> Object {
    Object::TcpRoute(TcpRoute { name: ObjectName::new("default", name), ports: RoutePorts::Only([port].into()) })
}

fn put(name: &str, port: u16) -> Change {
    Change::Put(route(name, port))
}

fn gone(name: &str) -> Change {
    Change::Gone(route(name, 1).reference())
}

#[test]
fn who_believes_the_truth_hears_what_is_said() {
    let mut mind = Mind::new(Arc::new(Right));
    let settings = Change::Settings(Settings::default());
    assert_eq!(
        mind.hear(vec![settings.clone(), put("a", 7), put("b", 8)]),
        [settings.clone(), put("a", 7), put("b", 8)]
    );
    assert_eq!(mind.hear(vec![put("a", 7)]), [], "nothing new");
    let trust = Change::Trust(mesh::model::TrustBundle::default());
    assert_eq!(mind.hear(vec![gone("b"), put("a", 9), trust.clone()]), [put("a", 9), gone("b"), trust]);
    assert_eq!(mind.restart(vec![settings.clone(), put("c", 1)]), [settings, put("c", 1)], "all anew");
}

#[test]
fn what_is_believed_is_told_in_place_of_the_truth_and_only_once() {
    let mut mind = Mind::new(Arc::new(Wrong));
    assert_eq!(mind.hear(vec![put("a", 7)])[1..], [put("a", 1)]);
    assert_eq!(mind.hear(vec![put("a", 8)]), [], "it still believes the same");
    assert_eq!(mind.hear(vec![gone("a")]), [], "and does not hear of it");
    // A new one knows nothing of what went before; what went while nobody listened is told apart.
    assert_eq!(mind.hear(vec![put("b", 2)]), [put("b", 1)]);
    let told = mind.restart(vec![put("c", 3)]);
    assert_eq!(told[1..], [put("a", 1), put("b", 1), put("c", 1)]);
    assert_eq!(mind.past.missed.len(), 2);
}

#[test]
fn what_is_written_later_has_a_higher_number() {
    let mut mind = Mind::new(Arc::new(Right));
    mind.hear(vec![put("b", 1), put("a", 1)]);
    mind.hear(vec![put("b", 1), put("c", 1)]);
    let written = |mind: &Mind, name: &str| mind.truth.written[&route(name, 1).reference()];
    assert!(
        written(&mind, "b") < written(&mind, "a") && written(&mind, "a") < written(&mind, "c"),
        "unchanged is not written"
    );
    mind.hear(vec![put("b", 2)]);
    assert!(written(&mind, "b") > written(&mind, "c"));
    mind.restart(vec![put("a", 1), put("b", 2), put("d", 1)]);
    assert_eq!(mind.past.restarted, Some(written(&mind, "d")));
}
