//! Which sets of MeshRootCertificates make sense.

use std::collections::BTreeMap;

use super::Objects;
use crate::{
    api::mesh_root_certificate::{MeshRootCertificateSpec, Role},
    ca::Roots,
    model::ObjectName,
};

/// What the objects want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Signs, and is trusted.
    pub signing: ObjectName,
    /// Is trusted besides.
    pub passive: Option<ObjectName>,
}

/// Why the objects cannot be followed. The roots in force stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// One cannot be read.
    #[error("{object} cannot be read: {fault}")]
    Unreadable {
        /// Which.
        object: ObjectName,
        /// Why, with the field.
        fault: String,
    },
    /// Nobody would sign.
    #[error("no MeshRootCertificate has the role `active`: nobody would sign; give one that role")]
    NoneActive,
    /// More than two are in use.
    #[error("{0} MeshRootCertificates are active or passive, at most two may be: make the others inactive")]
    TooMany(usize),
    /// Both would have the same root.
    #[error("{0} and {1} name the same root: give one another Secret, role or issuer, or make it inactive")]
    SameRoot(ObjectName, ObjectName),
    /// Both would have other identities.
    #[error(
        "{0} and {1} have different trust domains: peers would refuse each other; use one trust domain, or make one inactive"
    )]
    TrustDomains(ObjectName, ObjectName),
    /// A fixed field has changed.
    #[error("`{field}` of {object} has changed while its root is in use: change it back, and make another object")]
    Changed {
        /// Which object.
        object: ObjectName,
        /// The field.
        field: &'static str,
    },
    /// Everyone would have another identity at once.
    #[error("{object} has another trust domain than the mesh, `{domain}`: use that one; all identities depend on it")]
    OtherTrustDomain {
        /// Which object.
        object: ObjectName,
        /// The domain in force.
        domain: String,
    },
}

impl SetError {
    /// A word for `reason` of a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "Invalid",
            Self::NoneActive => "NoneActive",
            Self::TooMany(_) => "TooManyInUse",
            Self::SameRoot(..) => "SameRoot",
            Self::TrustDomains(..) | Self::OtherTrustDomain { .. } => "TrustDomainDiffers",
            Self::Changed { .. } => "Immutable",
        }
    }
}

/// What is in force, to compare with.
#[derive(Clone, Copy, Debug)]
pub(super) struct InForce<'a> {
    pub(super) roots: Option<&'a Roots<ObjectName>>,
    /// The content of the objects whose roots these are, from when they came into force.
    pub(super) specs: &'a BTreeMap<ObjectName, MeshRootCertificateSpec>,
}

/// What the objects want. Of two active ones the one that signs goes on; if none does, the older one signs.
pub(super) fn goal(objects: &Objects, now: InForce<'_>) -> Result<Goal, SetError> {
    let used = in_use(objects)?;
    for (name, spec) in &used {
        unchanged(name, spec, now.specs)?;
    }
    let signs_now = |name: &ObjectName| now.roots.is_some_and(|roots| roots.signing() == name);
    let age = |name: &ObjectName| objects.get(name).and_then(|mrc| mrc.created).unwrap_or(i64::MAX);
    let active = used.iter().filter(|(_, spec)| spec.role == Role::Active).map(|(name, _)| *name);
    let signing = active.min_by_key(|name| (!signs_now(name), age(name), *name)).ok_or(SetError::NoneActive)?;
    if used.len() > 2 {
        return Err(SetError::TooMany(used.len()));
    }
    let passive = used.keys().copied().find(|name| *name != signing);
    if let Some(passive) = passive {
        compatible((signing, used[signing]), (passive, used[passive]))?;
    }
    same_domain(signing, used[signing], now)?;
    Ok(Goal { signing: signing.clone(), passive: passive.cloned() })
}

fn in_use(objects: &Objects) -> Result<BTreeMap<&ObjectName, &MeshRootCertificateSpec>, SetError> {
    let mut used = BTreeMap::new();
    for (name, mrc) in objects {
        match &mrc.spec {
            Ok(spec) if spec.role == Role::Inactive => {}
            Ok(spec) => drop(used.insert(name, spec)),
            Err(fault) => return Err(SetError::Unreadable { object: name.clone(), fault: fault.to_string() }),
        }
    }
    Ok(used)
}

fn unchanged(
    name: &ObjectName,
    spec: &MeshRootCertificateSpec,
    specs: &BTreeMap<ObjectName, MeshRootCertificateSpec>,
) -> Result<(), SetError> {
    let Some(before) = specs.get(name) else { return Ok(()) };
    let changed = |field| Err(SetError::Changed { object: name.clone(), field });
    if before.provider != spec.provider {
        changed("spec.provider")
    } else if before.trust_domain() != spec.trust_domain() {
        changed("spec.trustDomain")
    } else {
        Ok(())
    }
}

type Named<'a> = (&'a ObjectName, &'a MeshRootCertificateSpec);

fn compatible(a: Named<'_>, b: Named<'_>) -> Result<(), SetError> {
    if a.1.trust_domain() != b.1.trust_domain() {
        Err(SetError::TrustDomains(a.0.clone(), b.0.clone()))
    } else if a.1.provider == b.1.provider {
        Err(SetError::SameRoot(a.0.clone(), b.0.clone()))
    } else {
        Ok(())
    }
}

fn same_domain(name: &ObjectName, spec: &MeshRootCertificateSpec, now: InForce<'_>) -> Result<(), SetError> {
    let signing = now.roots.and_then(|roots| now.specs.get(roots.signing()));
    match signing.map(MeshRootCertificateSpec::trust_domain) {
        Some(domain) if domain != spec.trust_domain() => {
            Err(SetError::OtherTrustDomain { object: name.clone(), domain: domain.to_string() })
        }
        _ => Ok(()),
    }
}
