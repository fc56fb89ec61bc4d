//! The node: a network of its own, in which a bridge joins the pods.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::{Command, ExitCode},
    sync::OnceLock,
};

/// Set inside of the namespaces.
const INSIDE: &str = "SMI_NODE";

/// Pods have addresses out of `10.244.0.0/16`; the bridge is the first. The range exists in the node's namespace only.
const BRIDGE: &str = "10.244.0.1/16";

/// The tools that the tests call.
const TOOLS: [&str; 5] = ["unshare", "ip", "iptables-restore", "setpriv", "nsenter"];

/// What keeps the tests from running here.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("these tests make network namespaces: run them as root".into());
    }
    if let Some(tool) = TOOLS.iter().find(|tool| find(tool).is_none()) {
        return Some(format!("`{tool}` is not installed (packages util-linux, iproute2, iptables)"));
    }
    crate::mesh::missing()
}

fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let sbin = ["/usr/sbin".into(), "/sbin".into()];
    std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(tool)).find(|file| file.is_file())
}

/// Whether this process is inside of the namespaces.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program again, inside of namespaces that end with it.
pub(crate) fn enter() -> ExitCode {
    let program = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot make namespaces: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Sets the node's network up, once.
pub(crate) fn set_up() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        assert!(is_inside(), "only inside of the test's own namespaces");
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", "mesh", "type", "bridge"]);
        ip(&["address", "add", BRIDGE, "dev", "mesh"]);
        ip(&["link", "set", "mesh", "up"]);
        // kube-apiserver looks for one; it leads nowhere.
        ip(&["route", "add", "default", "dev", "mesh"]);
        // Secrets of pods are mounted here; the real folder stays untouched.
        std::fs::create_dir_all("/run/secrets").unwrap();
        run("mount", &["-t", "tmpfs", "secrets", "/run/secrets"]);
    });
}

/// The address of the node as pods see it.
pub(crate) fn address() -> IpAddr {
    Ipv4Addr::new(10, 244, 0, 1).into()
}

/// Runs `ip`.
pub(crate) fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

/// Runs a command that has to succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {error}", arguments.join(" "));
}

/// Makes a program visible to every account: homes are closed to them.
pub(crate) fn visible(program: &std::path::Path) -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let bound = || {
        let to = PathBuf::from("/run/secrets/envoy");
        std::fs::write(&to, "").unwrap();
        run("mount", &["--bind", program.to_str().unwrap(), to.to_str().unwrap()]);
        to
    };
    PATH.get_or_init(bound).clone()
}

/// The address of a replica of the control plane.
pub(crate) fn replica(number: usize) -> IpAddr {
    let address = Ipv4Addr::new(10, 244, 255, u8::try_from(number + 1).unwrap());
    // It may be there already: a replica that comes back has its old address.
    let _ = Command::new("ip").args(["address", "add", &format!("{address}/32"), "dev", "mesh"]).output();
    address.into()
}

/// The host by which sidecars find both replicas.
pub(crate) fn control_plane() -> &'static str {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let hosts = format!("127.0.0.1 localhost\n{} {CONTROL_PLANE}\n{} {CONTROL_PLANE}\n", replica(0), replica(1));
        std::fs::write("/run/secrets/hosts", hosts).unwrap();
        run("mount", &["--bind", "/run/secrets/hosts", "/etc/hosts"]);
        // Nobody answers there, and says so at once; what stands in the machine's own file may take seconds to give up on.
        std::fs::write("/run/secrets/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
        run("mount", &["--bind", "/run/secrets/resolv.conf", "/etc/resolv.conf"]);
    });
    CONTROL_PLANE
}

const CONTROL_PLANE: &str = "osm-controller.test";
