//! A pod and a peer of it: two network namespaces, joined by two links, with an Envoy for everyone who answers.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    envoy::{Process, binary},
    pods::{bootstrap, script},
};

/// The pod's addresses, as the kubelet would tell them.
pub(crate) const POD_IPS: &str = "10.77.0.1,fd77::1";
/// How long anything may take. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
static LABS: AtomicU32 = AtomicU32::new(0);

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// The application: a process in the pod.
    App,
    /// The sidecar's own user, in the pod.
    Proxy,
    /// Another machine.
    Peer,
}

/// The namespaces and all that runs in them. They go when it goes.
pub(crate) struct Lab {
    pub(crate) pod: String,
    peer: String,
    directory: TempDir,
    envoy: PathBuf,
    processes: Vec<Process>,
}

impl Lab {
    /// Builds the namespaces, or tells what is missing.
    pub(crate) fn new() -> Result<Self, String> {
        let found = binary().ok_or("there is no Envoy")?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("osm-{}-{number}-{end}", std::process::id());
        let directory = TempDir::new().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // The sidecar's user may not be able to reach the binary where it is.
        let envoy = directory.path().join("envoy");
        fs::copy(found, &envoy).unwrap();
        fs::set_permissions(&envoy, fs::Permissions::from_mode(0o755)).unwrap();
        let lab = Self { pod: name("pod"), peer: name("peer"), directory, envoy, processes: Vec::new() };
        lab.build()?;
        Ok(lab)
    }

    fn build(&self) -> Result<(), String> {
        let Self { pod, peer, .. } = self;
        for line in [
            format!("ip netns add {pod}"),
            format!("ip netns add {peer}"),
            format!("ip -n {pod} link add eth0 type veth peer name eth0 netns {peer}"),
            format!("ip -n {pod} link add net1 type veth peer name net1 netns {peer}"),
        ] {
            run(&line)?;
        }
        for (namespace, host) in [(pod, 1), (peer, 2)] {
            for line in [
                format!("addr add 10.77.0.{host}/24 dev eth0"),
                format!("addr add 10.78.0.{host}/24 dev net1"),
                format!("addr add fd77::{host}/64 dev eth0 nodad"),
                "link set lo up".into(),
                "link set eth0 up".into(),
                "link set net1 up".into(),
            ] {
                run(&format!("ip -n {namespace} {line}"))?;
            }
        }
        run(&format!("ip -n {peer} addr add 192.0.2.1/32 dev lo"))?;
        run(&format!("ip -n {pod} route add default via 10.77.0.2"))?;
        run(&format!("ip netns exec {pod} iptables -t nat -S")).map(drop)
    }

    /// Runs the init container's script in the pod.
    pub(crate) fn init(&self, pod: &Value) {
        let out = self.inside(&self.pod).env("POD_IPS", POD_IPS).args(["/bin/sh", "-c", script(pod)]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// The rules in force, without counters.
    pub(crate) fn rules(&self, command: &str) -> String {
        run(&format!("ip netns exec {} {command} -t nat -S", self.pod)).unwrap()
    }

    /// Starts an Envoy with listeners of one's own: who answers in the pod, or as the peer.
    pub(crate) fn answers(&mut self, at: From, name: &str, listeners: &[Value]) {
        let config = json!({ "static_resources": { "listeners": listeners } });
        let namespace = if matches!(at, From::Peer) { self.peer.clone() } else { self.pod.clone() };
        self.start(&namespace, 1000, name, &config);
    }

    /// Starts the sidecar with the pod's bootstrap; listeners that lead connections on take the control plane's place.
    pub(crate) fn sidecar(&mut self, pod: &Value) {
        let mut config: Value = serde_json::from_str(bootstrap(pod)).unwrap();
        config.as_object_mut().unwrap().remove("dynamic_resources");
        let list = |config: &mut Value, key: &str, items: Vec<Value>| {
            config["static_resources"][key].as_array_mut().unwrap().extend(items);
        };
        let through = json!({ "name": "through", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED" });
        let local = |port: u16| {
            json!({
                "name": format!("local-{port}"),
                "load_assignment": { "cluster_name": "local", "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                    "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
                } }] }] },
            })
        };
        list(&mut config, "clusters", vec![through, local(8080), local(8085)]);
        let to =
            |prefix: &str, cluster: &str| json!({ "match": { "prefix": prefix }, "route": { "cluster": cluster } });
        let mut outbound = intercepting("outbound", 15001, &json!([to("/", "through")]));
        outbound["filter_chains"][0]["filters"][0]["typed_config"]["access_log"] = json!([counter()]);
        let inbound = intercepting("inbound", 15003, &json!([to("/own-address", "local-8085"), to("/", "local-8080")]));
        list(&mut config, "listeners", vec![outbound, inbound]);
        let namespace = self.pod.clone();
        self.start(&namespace, 1500, "sidecar", &config);
        self.until(From::Peer, "http://10.77.0.1:15901/ready", "200 LIVE");
    }

    fn start(&mut self, namespace: &str, user: u32, name: &str, config: &Value) {
        let user = user.to_string();
        let mut command = self.inside(namespace);
        command.args(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"]).arg(&self.envoy);
        command.args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--service-node",
            name,
            "--service-cluster",
            "lab",
        ]);
        command.args(["-l", "warning", "--config-yaml", &config.to_string()]);
        self.processes.push(Process::start(&mut command, &self.directory.path().join(name)));
    }

    /// Ends the process that was started last.
    pub(crate) fn end_last(&mut self) {
        self.processes.pop();
    }

    /// What `GET` of a URL gives: the status, the listeners that it went through, and the body; or curl's exit code.
    pub(crate) fn ask(&self, from: From, url: &str) -> String {
        self.ask_with(from, &[url])
    }

    /// As [`Self::ask`], with arguments of curl.
    pub(crate) fn ask_with(&self, from: From, arguments: &[&str]) -> String {
        let (namespace, user) = match from {
            From::App => (&self.pod, "1000"),
            From::Proxy => (&self.pod, "1500"),
            From::Peer => (&self.peer, "1000"),
        };
        let mut command = self.inside(namespace);
        command.args(["setpriv", "--reuid", user, "--clear-groups", "curl", "-s", "-m", "5", "-g"]);
        command.args(["-w", "\n%{http_code} %header{x-via}%header{grpc-status}"]);
        let Output { status, stdout, .. } = command.args(arguments).output().unwrap();
        let out = String::from_utf8_lossy(&stdout);
        let (body, head) = out.trim_end().rsplit_once('\n').unwrap_or(("", out.trim()));
        match status.code() {
            Some(0) => format!("{} {}", head.trim(), body.trim()).trim().to_owned(),
            other => format!("no answer ({})", other.unwrap_or(-1)),
        }
    }

    /// Asks until the answer is right.
    pub(crate) fn until(&self, from: From, url: &str, expected: &str) {
        let start = Instant::now();
        loop {
            let answer = self.ask(from, url);
            if answer == expected {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{from:?} {url}: {answer:?} instead of {expected:?}");
        }
    }

    /// Asks once; the answer must be right.
    pub(crate) fn expect(&self, from: From, url: &str, expected: &str) {
        let answer = self.ask(from, url);
        assert_eq!(answer, expected, "{from:?} {url}\n{}\n{}", self.rules("iptables"), self.rules("ip6tables"));
    }

    fn inside(&self, namespace: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.processes.clear();
        for namespace in [&self.pod, &self.peer] {
            let _ = run(&format!("ip netns del {namespace}"));
        }
    }
}

fn run(line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let out =
        Command::new(words.next().unwrap_or_default()).args(words).output().map_err(|e| format!("{line}: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{line}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}

/// A listener that is given connections by the rules, and tells that they came through it.
fn intercepting(name: &str, port: u16, routes: &Value) -> Value {
    let mut listener = http(name, "::", port, routes);
    listener["listener_filters"] = json!([{
        "name": "envoy.filters.listener.original_dst",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst" },
    }]);
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["response_headers_to_add"] = json!([{ "header": { "key": "x-via", "value": name } }]);
    listener
}

/// A listener with these routes.
pub(crate) fn http(name: &str, address: &str, port: u16, routes: &Value) -> Value {
    json!({
        "name": format!("{name}-{port}"),
        "address": { "socket_address": { "address": address, "port_value": port, "ipv4_compat": address == "::" } },
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "route_config": { "virtual_hosts": [{ "name": name, "domains": ["*"], "routes": routes }] },
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
                }],
            },
        }] }],
    })
}

/// A listener that answers everything with its name.
pub(crate) fn named(name: &str, address: &str, port: u16) -> Value {
    let answer = json!({ "status": 200, "body": { "inline_string": name } });
    http(name, address, port, &json!([{ "match": { "prefix": "/" }, "direct_response": answer }]))
}

/// Counts requests under the name that the control plane gives them.
fn counter() -> Value {
    json!({ "name": "envoy.access_loggers.stats", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config",
        "stat_prefix": "osm",
        "counters": [{ "stat": { "name": "request_total" }, "value_fixed": 1 }],
    } })
}
