//! A real API server: that of `KUBECONFIG`, or one that `deploy/local-api/start` starts for this process.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use kube::Client;
use mesh::controller::assemble;

/// A connection, and the servers that were started for it.
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) kubeconfig: PathBuf,
    process: Option<Child>,
}

impl Api {
    /// `None`, with the reason told, if there is neither; a failure under `REQUIRE_REAL`.
    pub(crate) async fn connect() -> Option<Self> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        if let Some(path) = std::env::var_os("KUBECONFIG") {
            let client = assemble::client(Some(Path::new(&path))).await.unwrap();
            return Some(Self { client, kubeconfig: path.into(), process: None });
        }
        let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/local-api/start");
        let built = || dirs_cache().join("smi/local-api").is_dir();
        if !start.is_file() || !built() {
            assert!(std::env::var_os("REQUIRE_REAL").is_none(), "no API server: set KUBECONFIG, or run {start:?} once");
            eprintln!("skipped: no KUBECONFIG, and no API server built by deploy/local-api");
            return None;
        }
        let mut process = Command::new(start).stdout(Stdio::piped()).spawn().unwrap();
        let mut path = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut path).unwrap();
        let kubeconfig = PathBuf::from(path.trim());
        let client = assemble::client(Some(&kubeconfig)).await.unwrap();
        Some(Self { client, kubeconfig, process: Some(process) })
    }
}

impl Api {
    /// Makes a namespace, if there is none.
    pub(crate) async fn namespace(&self, name: &str) {
        let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(self.client.clone());
        let object = serde_json::json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let how = kube::api::PatchParams::apply("test");
        api.patch(name, &how, &kube::api::Patch::Apply(object)).await.unwrap();
    }
}

fn dirs_cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, Into::into)
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // The script cleans up on SIGTERM; `kill` of the standard library is SIGKILL.
            let _ = Command::new("kill").arg(process.id().to_string()).status();
            let _ = process.wait();
        }
    }
}
