//! Certificates: issuing them, and keeping them fresh on an injected clock.
//!
//! ```text
//! Issuer      who signs workload leaves: BuiltinCa, vault, cert_manager; provider opens the one that an object names
//! Rotation    the sans-IO state machine: which accounts need a leaf, which root signs, which roots are trusted
//! Authority   the thin driver around it: sleeps on the Clock, runs the Issuer, sends world::Change
//! mrc         MeshRootCertificates: which roots are wanted, the steps there, their status
//! secret      roots and keys in Secrets
//! gateway     the certificate of an ingress gateway, in a Secret
//! ControlCa   a second, separate authority for the channel between proxy and control plane
//! serving     its certificates for ADS and webhooks, swapped without a restart; ca_bundle tells the API server their root
//! ```
//!
//! # Why the control channel has an authority of its own
//!
//! Proxies prove who they are to the control plane with a certificate that [`ControlCa`] signs, never with a workload
//! leaf. Two things follow. Rotating the workload root never cuts the channel over which the new root is delivered.
//! And a workload certificate, which every process in a pod can get at, is never accepted on the channel: it has
//! another root, no `/sidecar/` in its URI and names no pod. The other way round, a proxy certificate has no DNS SAN
//! and an untrusted root, so it can never pass as a workload.
//!
//! # Rotating the root
//!
//! 1. [`RootStep::Introduce`]: old and new are trusted, the old one signs.
//! 2. [`RootStep::SignWithNext`]: both are trusted, the new one signs; every leaf is issued again.
//! 3. [`RootStep::DropPrevious`]: only the new one is trusted. Refused while a leaf of the old one is left.
//!
//! The caller takes each step only after every proxy has acknowledged the one before: this module knows what was
//! issued, not what has arrived. In a cluster [`mrc::drive`] is the caller, and asks [`mrc::drive::Mesh`].

mod authority;
mod builtin;
pub mod ca_bundle;
pub mod cert_manager;
mod clock;
mod control;
mod csr;
pub mod gateway;
mod issuer;
pub mod mrc;
mod name;
mod pem;
pub mod provider;
mod roots;
mod rotation;
pub mod secret;
pub mod serving;
#[cfg(test)]
mod testing;
pub mod vault;

pub use authority::{Authority, AuthorityGone, RootError, Status};
pub use builtin::BuiltinCa;
pub use clock::{Clock, ManualClock, SystemClock};
pub use control::{ControlCa, NotAProxy, ProxyIdentity};
pub use issuer::{CertificateRequest, Credential, IssueError, Issuer, KeyType, LeafRequest, Validity};
pub use roots::{Phase, Roots, StoreError};
pub use rotation::{Event, Failure, LeafPolicy, Order, RootStep, Rotation, RotationError, SHORTEST_VALIDITY, Work};
