//! What the suite asks: a mesh, wherever it runs.
//!
//! ```text
//! adapter    a vendor's executable that speaks a small protocol on standard input and output
//!   protocol   what is said there
//!   check      whether an adapter keeps it
//!   serve      our own simulator on the other side of it
//! ask        asking anybody who speaks the protocol
//! external   the steps of a scenario on a mesh that can only be asked
//! ```

pub mod adapter;
pub mod ask;
pub mod cluster;
pub mod external;
pub mod simulator;

use ::simulator::{report::ScenarioReport, run::Task};
use futures::future::BoxFuture;

use crate::report::{Environment, Implementation};

/// A mesh that can be asked.
pub trait Target: Send + Sync {
    /// What it says of itself.
    fn implementation(&self) -> &Implementation;

    /// Where it runs.
    fn environment(&self) -> Environment;

    /// How many tests it can take at a time.
    fn parallel(&self) -> usize {
        1
    }

    /// Sets one scenario up, carries its steps out, and takes everything away again. What goes wrong around the mesh is a step of
    /// verdict `infrastructure`, never an error.
    fn carry_out<'a>(&'a self, task: &'a Task, seed: u64) -> BoxFuture<'a, ScenarioReport>;
}
