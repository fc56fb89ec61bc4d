//! Kubernetes in and out: watches become [`Change`](crate::world::Change)s, diagnostics become status and Events.
//!
//! ```text
//! API server ──list, watch──► follow (one per kind) ──► convert ──► Intake (which objects count) ──► Batch ──► the writer
//!            ◄── status, Events (leader only) ── Reporter ◄── policy::diagnose ◄── World ◄────────────────────┘
//! ```
//!
//! [`watch`] starts it. The first [`Batch`] comes when every kind has been listed: a world that is complete.
//!
//! # Choices
//!
//! | question | answer |
//! |---|---|
//! | an object that cannot be read | counts as gone, with a diagnostic: what is in force is always what the API has now, also after a restart; a grant in a version that nobody understands grants nothing |
//! | a MeshConfig that cannot be read | the last good one stays; without one there is no first batch: defaults might switch external authorization off |
//! | a kind that the cluster does not define | counts as having no objects, and is asked for again every 2 s |
//! | a kind that may not be listed (403), or an API server that does not answer | what is known stays in force; asked again with growing pauses, up to 5 s |
//! | a watch that breaks | resumes where it was; a revision that is forgotten (410) leads to a new list, whose difference is told |
//! | pods that have ended, have no address yet, or share the node's network | are not in the world: they have no sidecar of their own |
//! | a pod that is being deleted | stays until it is gone, so that its sidecar can drain, but takes no traffic unless a slice says so |
//! | ExternalName services | are not in the world |

mod batch;
pub mod convert;
pub mod defaults;
pub mod directory;
pub mod event;
pub mod follow;
mod intake;
pub mod lease;
pub mod namespace;
pub mod report;
pub mod source;
pub mod status;
pub mod told;
mod watch;

pub use batch::{Batch, Unreadable};
pub use directory::{Directory, Entry};
pub use intake::Intake;
pub use namespace::{Namespace, Namespaces};
pub use watch::{Options, watch};

/// The name under which this control plane owns fields and reports Events.
pub const FIELD_MANAGER: &str = "osm-controller";

/// The label by which a mesh claims a namespace; its value is the mesh's name.
pub const MONITORED_BY: &str = "openservicemesh.io/monitored-by";

/// The label that keeps a namespace out, whatever its value.
pub const IGNORE: &str = "openservicemesh.io/ignore";

/// The one MeshConfig that counts, in the control plane's namespace.
pub const MESH_CONFIG: &str = "osm-mesh-config";
