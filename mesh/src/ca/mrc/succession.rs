//! From the roots in force to those that are wanted, one step at a time. No IO, no clock.

use std::collections::BTreeMap;

use super::{
    Goal, Objects, SetError, State,
    set::{self, InForce},
};
use crate::{
    api::mesh_root_certificate::MeshRootCertificateSpec,
    ca::{Roots, RotationError},
    model::ObjectName,
};

/// The roots in force, by the objects that name them, and what the objects want.
#[derive(Debug, Default)]
pub struct Succession {
    pub(super) objects: Objects,
    /// What the objects want, or why they cannot be followed. `None` before the first were seen.
    pub(super) goal: Option<Result<Goal, SetError>>,
    pub(super) roots: Option<Roots<ObjectName>>,
    /// The content of those in force, from when they came into force.
    specs: BTreeMap<ObjectName, MeshRootCertificateSpec>,
    /// Why the last attempt at a step failed.
    pub(super) failure: Option<(Step, String)>,
}

/// A step towards what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin with these: the first roots of this process.
    Start(Roots<ObjectName>),
    /// Trust the root of this object too.
    Introduce(ObjectName),
    /// Sign with the root that was introduced.
    SignWithNext,
    /// Sign with the previous root again.
    SignWithPrevious,
    /// Trust the root that was introduced no more.
    Withdraw,
    /// Trust the previous root no more.
    DropPrevious,
}

impl Succession {
    /// The objects are now these. Contradictory ones freeze the roots in force.
    pub fn set(&mut self, objects: Objects) {
        self.objects = objects;
        let now = InForce { roots: self.roots.as_ref(), specs: &self.specs };
        self.goal = Some(set::goal(&self.objects, now));
        self.failure = None;
    }

    /// The roots in force; `None` if nobody signs yet.
    pub fn roots(&self) -> Option<&Roots<ObjectName>> {
        self.roots.as_ref()
    }

    /// Why the objects are not followed.
    pub fn refused(&self) -> Option<&SetError> {
        self.goal.as_ref()?.as_ref().err()
    }

    /// The content of an object whose root is in force, or is about to be.
    pub fn spec(&self, name: &ObjectName) -> Option<&MeshRootCertificateSpec> {
        self.specs.get(name).or_else(|| self.objects.get(name)?.spec.as_ref().ok())
    }

    /// The next step; `None` if all is as wanted, or what is wanted makes no sense.
    pub fn next(&self) -> Option<Step> {
        let Some(roots) = &self.roots else { return self.start().map(Step::Start) };
        let Some(Ok(Goal { signing, passive })) = &self.goal else { return None };
        match roots {
            Roots::Stable(current) if current != signing => Some(Step::Introduce(signing.clone())),
            Roots::Stable(_) => passive.clone().map(Step::Introduce),
            Roots::Introduced { next, .. } if next == signing => Some(Step::SignWithNext),
            Roots::Introduced { current, next } => {
                (current != signing || passive.as_ref() != Some(next)).then_some(Step::Withdraw)
            }
            Roots::Replacing { previous, .. } if previous == signing => Some(Step::SignWithPrevious),
            Roots::Replacing { previous, current } => {
                (current != signing || passive.as_ref() != Some(previous)).then_some(Step::DropPrevious)
            }
        }
    }

    /// The step was taken.
    ///
    /// # Errors
    /// [`RotationError`] if it was not its turn. Nothing has changed.
    pub fn taken(&mut self, step: &Step) -> Result<(), RotationError> {
        let stable = RotationError::Phase(crate::ca::Phase::Stable);
        let roots = match (step, &self.roots) {
            (Step::Start(roots), None) => roots.clone(),
            (Step::Introduce(next), Some(roots)) => roots.introduce(next.clone())?,
            (Step::SignWithNext, Some(roots)) => roots.sign_with_next()?,
            (Step::SignWithPrevious, Some(roots)) => roots.sign_with_previous()?,
            (Step::Withdraw, Some(roots)) => roots.withdraw_next()?,
            (Step::DropPrevious, Some(roots)) => roots.drop_previous()?,
            (Step::Start(_), Some(_)) | (_, None) => return Err(stable),
        };
        let known = |name: &ObjectName| self.spec(name).map(|spec| (name.clone(), spec.clone()));
        self.specs = roots.trusted().filter_map(known).collect();
        self.roots = Some(roots);
        // What is fixed depends on what is in force.
        let objects = std::mem::take(&mut self.objects);
        self.set(objects);
        Ok(())
    }

    /// The step could not be taken; it will be tried again.
    pub fn failed(&mut self, step: Step, why: impl Into<String>) {
        self.failure = Some((step, why.into()));
    }

    /// Where a control plane before this one stood, as far as it has written it down; else what is wanted.
    fn start(&self) -> Option<Roots<ObjectName>> {
        let readable = |states: &[State]| {
            let mut found = self.objects.iter().filter(|(_, mrc)| mrc.written.is_some_and(|w| states.contains(&w)));
            found.find(|(_, mrc)| mrc.spec.is_ok()).map(|(name, _)| name.clone())
        };
        if let Some(current) = readable(&[State::Active, State::IssuingRollout]) {
            let next = readable(&[State::ValidatingRollout]);
            let previous = readable(&[State::IssuingRollback, State::ValidatingRollback]);
            return Some(match (previous, next) {
                (Some(previous), _) => Roots::Replacing { previous, current },
                (None, Some(next)) => Roots::Introduced { current, next },
                (None, None) => Roots::Stable(current),
            });
        }
        match &self.goal {
            Some(Ok(goal)) => Some(Roots::Stable(goal.signing.clone())),
            _ => None,
        }
    }
}
