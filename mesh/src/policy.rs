//! World → decisions: who may call what, and how traffic splits. Pure; each decision names the object that caused it.
//!
//! # Where the SMI specifications are silent
//!
//! | question | decision here |
//! |---|---|
//! | HTTPRouteGroup and TCPRoute in one TrafficTarget | on an HTTP port both must hold; on a TCP port the TCPRoute decides |
//! | TCPRoute alone | opens its ports to any protocol; `ports: []` opens every port of the service |
//! | HTTPRouteGroup alone | opens no port that is not HTTP |
//! | whose ports a TCPRoute lists | service ports; they are translated to each pod's target ports |
//! | two service ports that share one target port | the pod cannot tell them apart: what one opens is open on both; if their protocols differ, the lower port holds and the other is not carried |
//! | end of a path regex | the whole path must match, without its query, after Envoy's path normalisation (dot segments, `//`, `%2F` and `%5C`) |
//! | header values | the whole value must match; repeated headers are joined by a comma; a missing header never matches; `host` means `:authority` |
//! | encoding of `headers` | both a list of one-key maps and a map are read |
//! | a rule that names a missing route, or a match that the group lacks | grants nothing; nothing else of the target is affected, but that both must hold: groups beside nothing but missing TCPRoutes open nothing |
//! | an unparsable regex | that match grants nothing; other matches of the group hold |
//! | subjects that are not ServiceAccounts | a source is ignored, a destination disables the target; a diagnostic each |
//! | omitted namespace of a source or destination | the TrafficTarget's own |
//! | TrafficTarget outside its destination's namespace | a diagnostic; grants nothing |
//! | TrafficTarget without sources or rules | a diagnostic; grants nothing |
//! | overlapping targets | always additive: a request is allowed if any target allows it |
//! | UDPRoute | sidecars do not carry UDP: a diagnostic; opens nothing |
//! | root among its own backends | the split is refused; the root stays reachable |
//! | two splits on one root | the older holds (then the first by name); the other is refused |
//! | a backend that is itself a root | is not resolved again |
//! | missing backend, or a backend without the root's port | left out, port by port; the others share |
//! | backend without ready endpoints, or that the caller may not reach | keeps its share, which fails visibly |
//! | no backend left with a weight | requests fail visibly (HTTP 503, closed TCP connection) |
//! | backend named twice | its weights add up, with a diagnostic |
//! | `matches` of a split | path, method and header of the named groups select requests; the rest goes to the root's own pods; on TCP ports a split with `matches` does not apply |
//! | split and access | a split grants nothing: every leaf needs a TrafficTarget |
//! | form of `spec.service` | bare, `name.ns` and FQDN; another namespace is refused with a diagnostic |

pub mod access;
mod diagnose;
pub mod inbound;
pub mod outbound;
pub mod regex;
pub mod service;
pub mod split;

pub use diagnose::diagnose;

#[cfg(test)]
mod tests;
