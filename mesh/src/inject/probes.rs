//! Kubelet's probes and hooks, led through the sidecar.
//!
//! The kubelet stands outside of the mesh and has no certificate, so its requests need a door of their own. A door is open to
//! everyone who reaches the pod. So none leads to all of an application's port: neither a redirection past Envoy nor a TCP
//! proxy would do. Envoy answers instead, and asks the application no more than the probe would have asked:
//!
//! - HTTP and HTTPS: `GET` of exactly one path. Towards the application Envoy speaks TLS for an HTTPS probe and, as the kubelet
//!   does, does not verify.
//! - TCP: Envoy itself connects to the port, as often as the probe says (an active health check), and answers 200 or 503. An
//!   Envoy that merely passed bytes on would accept connections to an application that is not there.
//! - gRPC: `grpc.health.v1.Health/Check` and no other method. The kubelet cannot be told another path, so there is one port
//!   for each port that is probed.
//!
//! Probes of the kind `exec` need nothing; those that name a `host` leave the pod. A redirection that an application answers
//! counts as success, as the kubelet counts one to another host; it is not followed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{FIRST_GRPC_PROBE_PORT, LAST_GRPC_PROBE_PORT, PROBE_PORT, document, refusal::Refusal};

/// The probes of a pod that Envoy answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// HTTP and HTTPS.
    pub http: Vec<HttpProbe>,
    /// TCP.
    pub tcp: Vec<TcpProbe>,
    /// gRPC, one for each port.
    pub grpc: Vec<GrpcProbe>,
}

/// A rewritten HTTP or HTTPS probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// `<kind>/<container>`, for example `liveness/web`.
    pub name: String,
    /// The path that the application is asked for, percent-encoded, without its query (Envoy passes that on).
    pub path: String,
    /// The application's port.
    pub port: u16,
    /// Whether the application speaks TLS.
    pub tls: bool,
    /// Time for the answer in seconds; none for hooks.
    pub timeout: Option<u64>,
}

/// A rewritten TCP probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpProbe {
    /// `<kind>/<container>`.
    pub name: String,
    /// The application's port.
    pub port: u16,
    /// Time for a connection, in seconds.
    pub timeout: u64,
    /// Time between connections, in seconds.
    pub period: u64,
}

/// The rewritten gRPC probes of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcProbe {
    /// The port on which Envoy answers.
    pub listen: u16,
    /// The application's port.
    pub port: u16,
    /// The longest time for an answer that a probe of this port gives, in seconds.
    pub timeout: u64,
}

/// What a probe or hook was, by its field: only the key that tells what is asked (`httpGet`, `tcpSocket`, `grpc`).
pub(super) type Handlers = BTreeMap<String, Value>;

/// A place in a container where the kubelet is told to ask.
struct Place {
    /// As users know it.
    field: &'static str,
    pointer: &'static str,
    /// As a segment of a path.
    kind: &'static str,
}

const PLACES: [Place; 5] = [
    Place { field: "livenessProbe", pointer: "/livenessProbe", kind: "liveness" },
    Place { field: "readinessProbe", pointer: "/readinessProbe", kind: "readiness" },
    Place { field: "startupProbe", pointer: "/startupProbe", kind: "startup" },
    Place { field: "lifecycle.postStart", pointer: "/lifecycle/postStart", kind: "post-start" },
    Place { field: "lifecycle.preStop", pointer: "/lifecycle/preStop", kind: "pre-stop" },
];

/// The path at which Envoy answers a probe.
pub fn path(name: &str) -> String {
    format!("/osm-probe/{name}")
}

/// Rewrites all probes and hooks of one container. Returns what they were.
pub(super) fn rewrite(container: &mut Value, probes: &mut Probes) -> Result<Handlers, Refusal> {
    let ports = named_ports(container);
    let name = document::name(container).to_owned();
    let mut handlers = Handlers::new();
    for place in &PLACES {
        let Some(asked) = container.pointer_mut(place.pointer).and_then(Value::as_object_mut) else { continue };
        let rewriter = Rewriter { place, container: &name, ports: &ports };
        if let Some(handler) = rewriter.rewrite(asked, probes)? {
            handlers.insert(place.field.to_owned(), handler);
        }
    }
    Ok(handlers)
}

/// Puts back what [`rewrite`] found, where its work is still there.
pub(super) fn restore(container: &mut Value, handlers: &Handlers) {
    for place in &PLACES {
        let Some(Value::Object(handler)) = handlers.get(place.field) else { continue };
        let Some(asked) = container.pointer_mut(place.pointer).and_then(Value::as_object_mut) else { continue };
        let port = |key: &str| asked.get(key)?.get("port")?.as_u64();
        let grpc = u64::from(FIRST_GRPC_PROBE_PORT)..=u64::from(LAST_GRPC_PROBE_PORT);
        if port("httpGet") == Some(PROBE_PORT.into()) || port("grpc").is_some_and(|port| grpc.contains(&port)) {
            asked.remove("httpGet");
            asked.remove("grpc");
            asked.extend(handler.clone());
        }
    }
}

struct Rewriter<'a> {
    place: &'a Place,
    container: &'a str,
    ports: &'a BTreeMap<String, u16>,
}

impl Rewriter<'_> {
    fn rewrite(&self, asked: &mut Map<String, Value>, probes: &mut Probes) -> Result<Option<Value>, Refusal> {
        let name = format!("{}/{}", self.place.kind, self.container);
        let seconds = |key: &str, default| asked.get(key).and_then(Value::as_u64).filter(|s| *s > 0).unwrap_or(default);
        let (timeout, period) = (seconds("timeoutSeconds", 1), seconds("periodSeconds", 10));
        if let Some(before) = handler(asked, "httpGet") {
            let (path, query) = self.path(&before)?;
            let tls = text(&before, "scheme").eq_ignore_ascii_case("https");
            let timeout = (!self.place.pointer.starts_with("/lifecycle")).then_some(timeout);
            let mut now = before.clone();
            now.insert("path".into(), format!("{}{query}", self::path(&name)).into());
            now.insert("port".into(), PROBE_PORT.into());
            if now.contains_key("scheme") {
                now.insert("scheme".into(), "HTTP".into());
            }
            probes.http.push(HttpProbe { name, path, port: self.port(&before)?, tls, timeout });
            asked.insert("httpGet".into(), now.into());
            return Ok(Some(json!({ "httpGet": before })));
        }
        if let Some(before) = handler(asked, "tcpSocket") {
            let now = json!({ "path": path(&name), "port": PROBE_PORT });
            probes.tcp.push(TcpProbe { name, port: self.port(&before)?, timeout, period });
            asked.remove("tcpSocket");
            asked.insert("httpGet".into(), now);
            return Ok(Some(json!({ "tcpSocket": before })));
        }
        let Some(before) = handler(asked, "grpc") else { return Ok(None) };
        let mut now = before.clone();
        now.insert("port".into(), self.grpc(self.port(&before)?, timeout, probes)?.into());
        asked.insert("grpc".into(), now.into());
        Ok(Some(json!({ "grpc": before })))
    }

    /// The port at which Envoy answers gRPC probes of `port`.
    fn grpc(&self, port: u16, timeout: u64, probes: &mut Probes) -> Result<u16, Refusal> {
        if let Some(known) = probes.grpc.iter_mut().find(|probe| probe.port == port) {
            known.timeout = known.timeout.max(timeout);
            return Ok(known.listen);
        }
        let listen = probes.grpc.last().map_or(FIRST_GRPC_PROBE_PORT, |last| last.listen + 1);
        if listen > LAST_GRPC_PROBE_PORT {
            return Err(self.refusal("is one gRPC probe too many: at most 89 ports of a pod can be probed so".into()));
        }
        probes.grpc.push(GrpcProbe { listen, port, timeout });
        Ok(listen)
    }

    /// As the kubelet resolves it: a number, the name of a port of the same container, or a number in a string.
    fn port(&self, handler: &Map<String, Value>) -> Result<u16, Refusal> {
        let written = handler.get("port").unwrap_or(&Value::Null);
        let number = match written {
            Value::String(name) => self.ports.get(name).copied().or_else(|| name.parse().ok()),
            other => other.as_u64().and_then(|port| u16::try_from(port).ok()),
        };
        number.filter(|port| *port > 0).ok_or_else(|| {
            self.refusal(format!(
                "asks port {written}: name a port of this container, or write a number from 1 to 65535"
            ))
        })
    }

    /// The path to ask, as the kubelet would send it, and the query with its `?`.
    fn path(&self, handler: &Map<String, Value>) -> Result<(String, String), Refusal> {
        let written = text(handler, "path");
        if written.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(self.refusal(format!("asks path {written:?}, which has control characters; remove them")));
        }
        let encoded: String = written.bytes().fold(String::new(), |mut encoded, byte| {
            match byte {
                b'!'..=b'~' => encoded.push(char::from(byte)),
                _ => encoded += &format!("%{byte:02X}"),
            }
            encoded
        });
        let asked = encoded.split('#').next().unwrap_or_default();
        let (path, query) = asked.find('?').map_or((asked, ""), |at| asked.split_at(at));
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok((format!("{slash}{path}"), query.to_owned()))
    }

    fn refusal(&self, why: String) -> Refusal {
        Refusal::Probe { container: self.container.to_owned(), probe: self.place.field, why }
    }
}

/// What is asked, unless it names a host: then it is no request to this pod.
fn handler(asked: &Map<String, Value>, key: &str) -> Option<Map<String, Value>> {
    let handler = asked.get(key)?.as_object()?;
    text(handler, "host").is_empty().then(|| handler.clone())
}

fn text<'a>(handler: &'a Map<String, Value>, key: &str) -> &'a str {
    handler.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn named_ports(container: &Value) -> BTreeMap<String, u16> {
    let entry = |port: &Value| {
        let number = u16::try_from(port.get("containerPort")?.as_u64()?).ok()?;
        Some((port.get("name")?.as_str()?.to_owned(), number))
    };
    document::items(container, "ports").iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(mut container: Value) -> (Value, Probes) {
        let (before, mut probes) = (container.clone(), Probes::default());
        let handlers = rewrite(&mut container, &mut probes).unwrap();
        let mut back = container.clone();
        restore(&mut back, &handlers);
        assert_eq!(back, before, "what was is found again");
        (container, probes)
    }

    #[test]
    fn each_container_and_kind_has_its_own_path_and_keeps_its_timeout() {
        let (container, probes) = rewritten(json!({
            "name": "web",
            "ports": [{ "name": "http", "containerPort": 8080 }],
            "livenessProbe": { "httpGet": { "path": "live?deep=1#x", "port": "http" }, "timeoutSeconds": 7 },
            "readinessProbe": { "httpGet": { "port": "8081", "scheme": "HTTPS", "httpHeaders": [{ "name": "Host", "value": "a" }] } },
            "lifecycle": { "preStop": { "httpGet": { "path": "/é b", "port": 9 } } },
        }));
        assert_eq!(
            container["livenessProbe"]["httpGet"],
            json!({ "path": "/osm-probe/liveness/web?deep=1", "port": 15901 })
        );
        assert_eq!(container["livenessProbe"]["timeoutSeconds"], 7);
        assert_eq!(container["readinessProbe"]["httpGet"]["scheme"], "HTTP");
        assert_eq!(container["readinessProbe"]["httpGet"]["httpHeaders"][0]["name"], "Host");
        let http = |name: &str, path: &str, port, tls, timeout| HttpProbe {
            name: name.into(),
            path: path.into(),
            port,
            tls,
            timeout,
        };
        assert_eq!(probes.http[0], http("liveness/web", "/live", 8080, false, Some(7)));
        assert_eq!(probes.http[1], http("readiness/web", "/", 8081, true, Some(1)));
        assert_eq!(probes.http[2], http("pre-stop/web", "/%C3%A9%20b", 9, false, None));
    }

    #[test]
    fn tcp_becomes_a_question_to_envoy_and_grpc_gets_a_port() {
        let (container, probes) = rewritten(json!({
            "name": "db",
            "livenessProbe": { "tcpSocket": { "port": 5432 }, "periodSeconds": 3 },
            "readinessProbe": { "grpc": { "port": 9000, "service": "ready" }, "timeoutSeconds": 4 },
            "startupProbe": { "grpc": { "port": 9000 } },
        }));
        assert_eq!(
            container["livenessProbe"],
            json!({ "httpGet": { "path": "/osm-probe/liveness/db", "port": 15901 }, "periodSeconds": 3 })
        );
        assert_eq!(container["readinessProbe"]["grpc"], json!({ "port": 15911, "service": "ready" }));
        assert_eq!(container["startupProbe"]["grpc"], json!({ "port": 15911 }));
        assert_eq!(probes.tcp, [TcpProbe { name: "liveness/db".into(), port: 5432, timeout: 1, period: 3 }]);
        assert_eq!(probes.grpc, [GrpcProbe { listen: 15911, port: 9000, timeout: 4 }]);
    }

    #[test]
    fn what_does_not_ask_the_pod_over_the_network_is_left_alone() {
        let container = json!({
            "name": "web",
            "livenessProbe": { "exec": { "command": ["true"] } },
            "readinessProbe": { "httpGet": { "host": "10.0.0.1", "port": 80 } },
        });
        assert_eq!(rewritten(container.clone()), (container, Probes::default()));
    }

    #[test]
    fn a_port_that_does_not_exist_is_refused() {
        let mut container = json!({ "name": "web", "startupProbe": { "httpGet": { "port": "admin" } } });
        let refusal = rewrite(&mut container, &mut Probes::default()).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "startupProbe of container `web` asks port \"admin\": name a port of this container, or write a number from 1 to 65535"
        );
    }
}
