//! Mesh-wide settings.

use super::TrustDomain;

/// What holds for the whole mesh. The default enforces SMI policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Lets every workload of the mesh call every other; TrafficTargets are then not consulted. mTLS and splits still hold.
    pub permissive: bool,
    /// The domain of all identities.
    pub trust_domain: TrustDomain,
}
