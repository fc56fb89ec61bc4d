//! A real API server for tests, and the few verbs that tests need.

mod hook;
mod mirror;
mod objects;
mod process;
mod proxy;
mod raw;
mod validator;

use std::{
    env,
    future::Future,
    path::PathBuf,
    pin::Pin,
    process::{Command, ExitCode},
    sync::{Arc, OnceLock},
    time::Duration,
};

pub(crate) use hook::{Hook, conversion};
use kube::Client;
use libtest_mimic::{Arguments, Failed, Trial};
pub(crate) use mirror::Mirror;
pub(crate) use objects::{
    Phase, PodState, apply, crds, delete, monitored, namespace, pod, service_account, slice, smuggle, state, token,
};
pub(crate) use process::{ApiServer, free_ports};
pub(crate) use proxy::Proxy;
pub(crate) use raw::{Answer, call, collection, create, replace};
use tokio::{runtime::Runtime, sync::OnceCell};
pub(crate) use validator::Validator;

/// Longest time that anything in these tests may take. Only a failing test waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

type Body = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// One test.
pub(crate) struct Test {
    name: &'static str,
    body: Body,
}

/// A test called `name`. It fails by panicking.
pub(crate) fn test<F: Future<Output = ()> + Send + 'static>(name: &'static str, body: fn() -> F) -> Test {
    Test { name, body: Box::new(move || Box::pin(body())) }
}

/// A client of the API server that tests share: of `KUBECONFIG` if it is set, else of one that is started for this run.
pub(crate) async fn client() -> Client {
    // A process has one provider of cryptography, and kube takes that.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if env::var_os("KUBECONFIG").is_some() {
        return Client::try_default().await.expect("KUBECONFIG names a cluster");
    }
    shared().await.client()
}

/// The API server that tests share.
///
/// # Panics
/// If it does not start.
async fn shared() -> &'static ApiServer {
    static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
    SERVER.get_or_init(ApiServer::start).await
}

/// Waits until `condition` gives a value.
///
/// # Panics
/// After [`PATIENCE`], with `what`.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        loop {
            looks.tick().await;
            if let Some(value) = condition().await {
                return value;
            }
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(value) => value,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"))
}

/// Runs the tests as `cargo test` wants it.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    let arguments = Arguments::from_args();
    let missing = missing();
    if let Some(reason) = &missing {
        eprintln!("ignored: {reason}");
    }
    let trial = |test: Test| {
        let run = move || {
            let task = runtime().spawn(async move { (test.body)().await });
            runtime().block_on(task).map_err(|e| Failed::from(panic_message(e)))
        };
        Trial::test(test.name, run).with_ignored_flag(missing.is_some())
    };
    let conclusion = libtest_mimic::run(&arguments, tests.into_iter().map(trial).collect());
    process::kill_all();
    conclusion.exit_code()
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "cancelled".to_owned() };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
}

/// What is missing here, and how to get it; nothing if it can be made.
///
/// # Panics
/// Under `REQUIRE_REAL=1` if it cannot be made.
pub(crate) fn missing() -> Option<String> {
    if env::var_os("KUBECONFIG").is_some() {
        return None;
    }
    let required = env::var("REQUIRE_REAL").is_ok_and(|v| v == "1");
    let etcd = Command::new("etcd").arg("--version").output().is_ok_and(|o| o.status.success());
    let reason = if !etcd {
        Some("there is no etcd: apt-get install etcd-server".to_owned())
    } else if !apiserver_binary().is_file() {
        let built = required && Command::new(build_script()).status().is_ok_and(|status| status.success());
        (!built).then(|| "there is no kube-apiserver: run deploy/local-api/build".to_owned())
    } else {
        None
    };
    if let Some(reason) = &reason {
        assert!(!required, "REQUIRE_REAL is set, and {reason}");
    }
    reason
}

fn build_script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/local-api/build")
}

/// `KUBE_APISERVER`, or where `deploy/local-api/build` puts it.
fn apiserver_binary() -> PathBuf {
    if let Some(path) = env::var_os("KUBE_APISERVER") {
        return path.into();
    }
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    cache.join("smi/local-api/v1.34.4/kube-apiserver")
}

/// A directory of certificates, tokens and state that belongs to this run.
fn scratch() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::Builder::new().prefix("api-server.").tempdir().expect("a temporary folder"))
}
