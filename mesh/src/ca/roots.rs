//! The roots in force, and how far their rotation has come.

use std::sync::Arc;

use super::{builtin::BuiltinCa, issuer::Issuer, pem, rotation::RotationError};
use crate::model::{PrivateKey, TrustBundle};

/// One root, or two while the first is being replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots<R> {
    /// One root signs and is trusted.
    Stable(R),
    /// Both are trusted, `current` signs.
    Introduced {
        /// Signs.
        current: R,
        /// Will sign.
        next: R,
    },
    /// Both are trusted, `current` signs.
    Replacing {
        /// Signed until now.
        previous: R,
        /// Signs.
        current: R,
    },
}

/// How far the rotation of the root has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is one root.
    Stable,
    /// Old and new are trusted, the old one signs.
    Introduced,
    /// Old and new are trusted, the new one signs.
    Replacing,
}

/// Why stored roots could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The text is not PEM.
    #[error("not PEM: expected CERTIFICATE and PRIVATE KEY blocks")]
    Pem,
    /// Not exactly one certificate and one key for it.
    #[error("expected one CERTIFICATE and one PRIVATE KEY for each root")]
    Blocks,
    /// The first line names no phase, or the number of roots does not fit it.
    #[error("the first line must be `root-rotation: stable|introduced|replacing`, followed by one or two roots")]
    Phase,
    /// The certificate cannot be parsed.
    #[error("the root certificate cannot be parsed: {0}")]
    Certificate(String),
    /// The certificate may not sign others.
    #[error("the certificate is not an authority: it needs CA:TRUE and keyCertSign")]
    NotAnAuthority,
    /// rcgen would write this subject in another form, and the chain would break.
    #[error("the subject of the root certificate has a form that is not supported: make a new root")]
    Subject,
    /// The key cannot be parsed, or is of a kind that is not supported.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the root certificate")]
    OtherKey,
    /// The issuer keeps its key to itself.
    #[error("the issuer keeps its key elsewhere: nothing to store")]
    KeptElsewhere,
}

const HEADER: &str = "root-rotation: ";

impl<R: Clone> Roots<R> {
    /// The one that signs.
    pub fn signing(&self) -> &R {
        match self {
            Self::Stable(current) | Self::Introduced { current, .. } | Self::Replacing { current, .. } => current,
        }
    }

    /// All that are trusted, the oldest first.
    pub fn trusted(&self) -> impl Iterator<Item = &R> {
        let (first, second) = match self {
            Self::Stable(only) => (only, None),
            Self::Introduced { current: old, next: new } | Self::Replacing { previous: old, current: new } => {
                (old, Some(new))
            }
        };
        std::iter::once(first).chain(second)
    }

    /// How far the rotation has come.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Stable(_) => Phase::Stable,
            Self::Introduced { .. } => Phase::Introduced,
            Self::Replacing { .. } => Phase::Replacing,
        }
    }

    /// Trusts `next` too.
    ///
    /// # Errors
    /// [`RotationError::Phase`] unless stable.
    pub fn introduce(&self, next: R) -> Result<Self, RotationError> {
        match self {
            Self::Stable(current) => Ok(Self::Introduced { current: current.clone(), next }),
            Self::Introduced { .. } | Self::Replacing { .. } => Err(RotationError::Phase(self.phase())),
        }
    }

    /// Lets the next root sign.
    ///
    /// # Errors
    /// [`RotationError::Phase`] unless a next root was introduced.
    pub fn sign_with_next(&self) -> Result<Self, RotationError> {
        match self {
            Self::Introduced { current, next } => {
                Ok(Self::Replacing { previous: current.clone(), current: next.clone() })
            }
            Self::Stable(_) | Self::Replacing { .. } => Err(RotationError::Phase(self.phase())),
        }
    }

    /// Forgets the next root, which has signed nothing.
    ///
    /// # Errors
    /// [`RotationError::Phase`] unless a next root was introduced.
    pub fn withdraw_next(&self) -> Result<Self, RotationError> {
        match self {
            Self::Introduced { current, .. } => Ok(Self::Stable(current.clone())),
            Self::Stable(_) | Self::Replacing { .. } => Err(RotationError::Phase(self.phase())),
        }
    }

    /// Lets the previous root sign again: the two change places.
    ///
    /// # Errors
    /// [`RotationError::Phase`] unless the previous root is still trusted.
    pub fn sign_with_previous(&self) -> Result<Self, RotationError> {
        match self {
            Self::Replacing { previous, current } => {
                Ok(Self::Replacing { previous: current.clone(), current: previous.clone() })
            }
            Self::Stable(_) | Self::Introduced { .. } => Err(RotationError::Phase(self.phase())),
        }
    }

    /// Forgets the previous root.
    ///
    /// # Errors
    /// [`RotationError::Phase`] unless the new root signs.
    pub fn drop_previous(&self) -> Result<Self, RotationError> {
        match self {
            Self::Replacing { current, .. } => Ok(Self::Stable(current.clone())),
            Self::Stable(_) | Self::Introduced { .. } => Err(RotationError::Phase(self.phase())),
        }
    }
}

impl Roots<Arc<dyn Issuer>> {
    /// What workloads trust now. Introducing and dropping a root change it, signing with another does not.
    pub fn bundle(&self) -> TrustBundle {
        TrustBundle { roots_pem: self.trusted().map(|root| root.root_pem().as_ref()).collect::<String>().into() }
    }

    /// Phase, certificates and private keys as text. Store it after every [`super::RootStep`], before the next one:
    /// a restart that goes back by one step is safe, one that goes back by two is not.
    ///
    /// # Errors
    /// [`StoreError::KeptElsewhere`] if an issuer does not give its key out.
    pub fn to_pem(&self) -> Result<PrivateKey, StoreError> {
        let phase = match self.phase() {
            Phase::Stable => "stable",
            Phase::Introduced => "introduced",
            Phase::Replacing => "replacing",
        };
        let mut text = format!("{HEADER}{phase}\n");
        for root in self.trusted() {
            text.push_str(root.stored_pem().ok_or(StoreError::KeptElsewhere)?.expose());
        }
        Ok(PrivateKey::new(text))
    }

    /// Reads what [`Roots::to_pem`] wrote. The certificates keep their bytes.
    ///
    /// # Errors
    /// [`StoreError`] if the text is anything else.
    pub fn from_pem(text: &str) -> Result<Self, StoreError> {
        let phase = text.lines().next().and_then(|line| line.strip_prefix(HEADER)).ok_or(StoreError::Phase)?;
        let blocks = pem::blocks(text)?;
        let mut roots = Vec::<Arc<dyn Issuer>>::new();
        for pair in blocks.chunks(2) {
            roots.push(Arc::new(BuiltinCa::from_blocks(pair)?));
        }
        match (phase.trim_end(), roots.as_slice()) {
            ("stable", [current]) => Ok(Self::Stable(current.clone())),
            ("introduced", [current, next]) => Ok(Self::Introduced { current: current.clone(), next: next.clone() }),
            ("replacing", [previous, current]) => {
                Ok(Self::Replacing { previous: previous.clone(), current: current.clone() })
            }
            _ => Err(StoreError::Phase),
        }
    }
}
