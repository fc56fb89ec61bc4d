//! Fake clients: send requests the way an application in a pod would, and say exactly how each one ended.
//!
//! A [`Session`] sends single requests over one [`Route`]; [`load`] sends many. What counts as an answer and what as which
//! shape of denial is decided in one place, and always to the safe side: any byte of an application's makes it no denial.

mod connect;
mod failure;
mod grpc;
mod http;
pub mod load;
mod pool;
mod proxy_protocol;
mod request_ids;
mod session;
mod tap;
mod tcp;
pub mod tls;
mod websocket;

#[cfg(test)]
mod tests;

pub use connect::Route;
pub use proxy_protocol::proxy_header;
pub use request_ids::RequestIds;
pub use session::{DEFAULT_TIMEOUT, Session};
