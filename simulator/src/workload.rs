//! Fake applications: in-process servers that answer like an application in a pod, and record what they saw.
//!
//! An [`Application`] plays one container port of one pod. All applications of a run share one [`Witness`], so that a
//! verdict can rest on what the receiving end saw, not on the sender's word.
//!
//! The declared [`Kind`] decides who speaks first, no more: a port whose client speaks first recognises HTTP/1.1, HTTP/2,
//! gRPC, websockets and the TCP echo by the first bytes. So a request that slips through to a port of another protocol
//! is recorded with its id, rather than lost as garbage.

mod application;
mod behaviour;
mod grpc;
mod http;
mod tasks;
mod tcp;
mod websocket;
mod witness;
mod xfcc;

#[cfg(test)]
mod tests;

pub use application::{Application, ApplicationPort, Kind, StartError};
pub use behaviour::RespondError;
pub use grpc::{EchoMessage, FRAME_LIMIT, FrameError, MESSAGES_HEADER, decode_frames, encode_frame};
pub(crate) use http::flatten;
pub use witness::{Arrivals, Witness};
pub use xfcc::peer_uri;
