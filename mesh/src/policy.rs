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
//! | Egress while global egress is on | additive: what an Egress names goes as the Egress says, all else passes unchanged (OSM's main branch ignores Egress then) |
//! | where an egress connection goes | by name (Host, SNI) to where that name leads, looked up by the sidecar: a workload that dials another address cannot smuggle data out under an allowed name; without `hosts`, and for TCP, where the client dialled |
//! | Egress `ipAddresses` | the address dialled must lie in one of them, for every protocol; several objects add up, narrower ranges take no right from wider ones |
//! | Egress http or https with neither `hosts` nor `ipAddresses` | a diagnostic; opens nothing |
//! | several protocols on one Egress port and range | tcp lets pass what http and https could; https and http stand side by side; https and tcp-server-first cannot: the latter stays closed, with a diagnostic |
//! | Egress and a mesh service on one port | the service's address belongs to the service |
//! | UpstreamTrafficSetting that is missing | a diagnostic; the Egress opens nothing until it exists |
//! | IngressBackend without sources | a diagnostic; nobody (OSM opens an http backend to everybody) |
//! | sources that name addresses, and principals | a connection must come from one of the former, if any, and prove one of the latter, if any |
//! | principals where no certificate is asked for | a diagnostic; nobody |
//! | https without principals | a certificate of the mesh, from one of the addresses |
//! | IngressBackends on one port | additive, by server name and source range; a certificate is demanded unless one of them skips it |
//! | two Retries for one source and service | the first by name holds; a diagnostic |
//! | Retry for the root of a split | holds for all of its backends; one for a backend holds only where that is called by name |
//! | two UpstreamTrafficSettings for one service | the older holds (then the first by name); a diagnostic |
//! | a limit for a path in permissive mode | the path becomes a route of its own |
//! | IngressBackend and UpstreamTrafficSetting | rate limits count what sidecars send; what gateways send is theirs to limit, and takes nothing away from the mesh |
//! | IngressBackend and external authorization | gateways are asked about as callers inside of the mesh are |
//! | several Telemetry objects for one pod | one that selects its labels goes before one for its namespace, that before the mesh-wide one; of equal rank the older (then the first by name) holds, the other gets a diagnostic; one without `accessLog` says nothing |
//! | form of `spec.service` | bare, `name.ns` and FQDN; another namespace is refused with a diagnostic |

pub mod access;
mod diagnose;
pub mod egress;
pub mod inbound;
pub mod ingress;
pub mod outbound;
mod reference;
pub mod regex;
pub mod retry;
pub mod service;
pub mod split;
pub mod telemetry;
pub mod upstream;

pub use diagnose::{diagnose, diagnose_policy};

#[cfg(test)]
mod tests;
