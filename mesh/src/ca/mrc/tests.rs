use proptest::prelude::*;

use super::*;
use crate::{
    api::mesh_root_certificate::{MeshRootCertificateSpec, ProviderSpec, Role, TresorCaSpec, TresorSpec},
    ca::Roots,
};

mod driven;

pub(super) fn name(name: &str) -> ObjectName {
    ObjectName::new("osm-system", name)
}

/// A built-in root in Secret `secret`.
pub(super) fn mrc(secret: &str, role: Role) -> Mrc {
    let secret_ref =
        crate::api::mesh_config::SecretReference { name: secret.to_owned(), namespace: "osm-system".into() };
    let provider =
        ProviderSpec { tresor: Some(TresorSpec { ca: TresorCaSpec { secret_ref } }), ..ProviderSpec::default() };
    let spec = MeshRootCertificateSpec { provider, trust_domain: None, role, spiffe_enabled: false };
    Mrc { spec: Ok(spec), created: None, generation: 1, written: None }
}

/// Objects named as their Secrets.
pub(super) fn objects(roles: &[(&str, Role)]) -> Objects {
    roles.iter().map(|(secret, role)| (name(secret), mrc(secret, *role))).collect()
}

/// Takes every step that is due, and returns them.
fn settle(succession: &mut Succession) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = succession.next() {
        succession.taken(&step).unwrap();
        steps.push(step);
        assert!(steps.len() < 20, "it never ends: {steps:?}");
    }
    steps
}

fn at(roles: &[(&str, Role)]) -> Succession {
    let mut succession = Succession::default();
    succession.set(objects(roles));
    settle(&mut succession);
    succession
}

fn then(succession: &mut Succession, roles: &[(&str, Role)]) -> Vec<Step> {
    succession.set(objects(roles));
    settle(succession)
}

fn reason(succession: &Succession, object: &str) -> (State, &'static str) {
    let status = &succession.report(&Spread::default())[&name(object)];
    (status.state, status.conditions[0].reason)
}

use Role::{Active, Inactive, Passive};

#[test]
fn a_rotation_goes_through_passive_and_active_to_gone() {
    let mut succession = at(&[("a", Active)]);
    assert_eq!(then(&mut succession, &[("a", Active), ("b", Inactive)]), []);
    assert_eq!(then(&mut succession, &[("a", Active), ("b", Passive)]), [Step::Introduce(name("b"))]);
    assert_eq!(reason(&succession, "b"), (State::ValidatingRollout, "Accepted"));
    assert_eq!(then(&mut succession, &[("a", Active), ("b", Active)]), [], "the one that signs goes on");
    assert_eq!(then(&mut succession, &[("a", Passive), ("b", Active)]), [Step::SignWithNext]);
    assert_eq!(reason(&succession, "a").0, State::ValidatingRollback);
    assert_eq!(reason(&succession, "b").0, State::Active);
    assert_eq!(then(&mut succession, &[("b", Active)]), [Step::DropPrevious]);
    assert_eq!(succession.roots(), Some(&Roots::Stable(name("b"))));
}

#[test]
fn whatever_was_edited_at_once_is_reached_in_safe_steps() {
    let (introduce_b, introduce_c) = (Step::Introduce(name("b")), Step::Introduce(name("c")));
    let swap = [introduce_b.clone(), Step::SignWithNext, Step::DropPrevious];
    assert_eq!(then(&mut at(&[("a", Active)]), &[("b", Active)]), swap);
    // Changed one's mind before it signed; and after.
    assert_eq!(then(&mut at(&[("a", Active), ("b", Passive)]), &[("a", Active)]), [Step::Withdraw]);
    let mut replacing = at(&[("a", Active)]);
    then(&mut replacing, &[("a", Passive), ("b", Active)]);
    assert_eq!(then(&mut replacing, &[("a", Active), ("b", Passive)]), [Step::SignWithPrevious]);
    assert_eq!(replacing.roots().unwrap().signing(), &name("a"));
    // A third one comes only when there is room.
    let third = [Step::Withdraw, introduce_c.clone(), Step::SignWithNext];
    assert_eq!(then(&mut at(&[("a", Active), ("b", Passive)]), &[("c", Active), ("a", Passive)]), third);
    let third = [Step::DropPrevious, introduce_c];
    assert_eq!(then(&mut replacing, &[("a", Active), ("c", Passive)]), third);
}

#[test]
fn what_makes_no_sense_changes_nothing_and_is_told() {
    let before = Roots::Introduced { current: name("a"), next: name("b") };
    let mut domain = objects(&[("a", Active), ("b", Passive)]);
    domain.get_mut(&name("b")).unwrap().spec.as_mut().unwrap().trust_domain = Some("other".to_owned());
    let mut unreadable = objects(&[("a", Active), ("b", Passive)]);
    unreadable.get_mut(&name("b")).unwrap().spec = Err(ProviderSpec::default().chosen().unwrap_err());
    let mut same = objects(&[("a", Active), ("b", Inactive)]);
    same.insert(name("c"), mrc("a", Passive));
    let mut changed = objects(&[("a", Active), ("b", Passive)]);
    changed.insert(name("b"), mrc("elsewhere", Passive));
    for (set, object, expected) in [
        (Objects::new(), "a", None),
        (objects(&[("a", Passive), ("b", Passive)]), "b", Some((State::ValidatingRollout, "NoneActive"))),
        (objects(&[("a", Active), ("b", Passive), ("c", Passive)]), "c", Some((State::Error, "TooManyInUse"))),
        (domain, "b", Some((State::ValidatingRollout, "Immutable"))),
        (unreadable, "b", Some((State::ValidatingRollout, "Invalid"))),
        (same, "c", Some((State::Error, "SameRoot"))),
        (changed, "b", Some((State::ValidatingRollout, "Immutable"))),
    ] {
        let mut succession = at(&[("a", Active), ("b", Passive)]);
        succession.set(set);
        assert_eq!(settle(&mut succession), [], "{expected:?}");
        assert_eq!(succession.roots(), Some(&before));
        assert!(succession.refused().is_some(), "{expected:?}");
        if let Some(expected) = expected {
            assert_eq!(reason(&succession, object), expected);
        }
    }
}

#[test]
fn another_trust_domain_is_refused_with_the_one_in_force() {
    let mut succession = at(&[("a", Active)]);
    let mut set = objects(&[("b", Active)]);
    set.get_mut(&name("b")).unwrap().spec.as_mut().unwrap().trust_domain = Some("other".to_owned());
    succession.set(set);
    assert_eq!(settle(&mut succession), []);
    assert!(succession.refused().unwrap().to_string().contains("`cluster.local`"));
    assert_eq!(reason(&succession, "b"), (State::Error, "TrustDomainDiffers"));
}

#[test]
fn of_two_active_ones_at_the_start_the_older_signs() {
    let mut set = objects(&[("a", Active), ("b", Active)]);
    set.get_mut(&name("a")).unwrap().created = Some(20);
    set.get_mut(&name("b")).unwrap().created = Some(10);
    let mut succession = Succession::default();
    succession.set(set);
    settle(&mut succession);
    assert_eq!(succession.roots(), Some(&Roots::Introduced { current: name("b"), next: name("a") }));
}

#[test]
fn a_restart_goes_on_from_what_was_written() {
    let edits = [vec![("a", Active), ("b", Passive)], vec![("a", Passive), ("b", Active)], vec![("b", Active)]];
    let mut before = at(&[("a", Active)]);
    for roles in edits {
        then(&mut before, &roles);
        let written = before.report(&Spread::default());
        let mut set = objects(&roles);
        for (name, mrc) in &mut set {
            mrc.written = Some(written[name].state);
        }
        // Even while the objects contradict each other.
        for broken in [false, true] {
            let mut set = set.clone();
            if broken {
                set.insert(name("c"), mrc("c", Active));
                set.insert(name("d"), mrc("d", Active));
            }
            let mut after = Succession::default();
            after.set(set);
            let Some(Step::Start(roots)) = after.next() else { panic!("it starts") };
            assert_eq!(Some(&roots), before.roots());
            after.taken(&Step::Start(roots)).unwrap();
            assert_eq!(after.next(), None);
        }
    }
}

#[test]
fn status_is_what_the_crd_of_osm_has() {
    let succession = at(&[("a", Active)]);
    let status = serde_json::to_value(&succession.report(&Spread { gateway: true, ..Spread::default() })[&name("a")]);
    let unused = "unused";
    assert_eq!(
        status.unwrap(),
        serde_json::json!({
            "state": "active",
            "componentStatuses": {
                "validatingWebhook": unused, "mutatingWebhook": unused, "xdsControlPlane": unused,
                "sidecar": "issuing", "bootstrap": unused, "gateway": "issuing",
            },
            "conditions": [
                { "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1 },
                { "type": "Issuing", "status": "True", "reason": "Signs", "message": "", "observedGeneration": 1 },
                { "type": "Validating", "status": "True", "reason": "Trusted", "message": "", "observedGeneration": 1 },
            ],
        })
    );
}

/// Any role, or gone, for each of four objects.
fn any_set() -> impl Strategy<Value = Objects> {
    let role = prop_oneof![Just(None), Just(Some(Active)), Just(Some(Passive)), Just(Some(Inactive))];
    proptest::collection::vec(role, 4).prop_map(|roles| {
        let named = ["a", "b", "c", "d"].into_iter().zip(roles);
        named.filter_map(|(secret, role)| Some((name(secret), mrc(secret, role?)))).collect()
    })
}

proptest! {
    /// Edits come at any moment, also between steps.
    #[test]
    fn no_sequence_of_edits_leaves_the_mesh_without_a_signer(edits in proptest::collection::vec((any_set(), 0..4usize), 1..20)) {
        let mut succession = Succession::default();
        let mut accepted = Vec::<ObjectName>::new();
        for (set, steps) in edits {
            let had = succession.roots().cloned();
            succession.set(set.clone());
            if succession.refused().is_none() {
                let used = set.iter().filter(|(_, mrc)| mrc.spec.as_ref().is_ok_and(|s| s.role != Inactive));
                accepted = used.map(|(name, _)| name.clone()).collect();
            }
            prop_assert_eq!(succession.roots(), had.as_ref(), "an edit alone changes nothing");
            for _ in 0..steps {
                let before = succession.roots().cloned();
                let Some(step) = succession.next() else { break };
                succession.taken(&step).unwrap();
                let roots = succession.roots().unwrap();
                // What is trusted was trusted before, or an object in use names it now.
                for root in roots.trusted() {
                    let known = before.as_ref().is_some_and(|before| before.trusted().any(|old| old == root));
                    prop_assert!(known || accepted.contains(root));
                }
                // Nobody signs who was not trusted a step ago.
                if let Some(before) = &before {
                    prop_assert!(before.trusted().any(|old| old == roots.signing()));
                    prop_assert!(roots.trusted().any(|new| new == before.signing()) || step == Step::DropPrevious);
                }
            }
        }
        let refused = succession.refused().is_some();
        settle(&mut succession);
        if !refused {
            let mut trusted: Vec<_> = succession.roots().unwrap().trusted().cloned().collect();
            trusted.sort();
            prop_assert_eq!(trusted, accepted, "in the end exactly the roots in use are trusted");
        }
    }
}
