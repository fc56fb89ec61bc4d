//! The kubelet: starts what a pod says, in the pod's network, and tells the API server how it is.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Container, Pod, Probe, ServiceAccount, VolumeMount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::pod::Network;

/// A pod that runs.
pub(crate) struct Running {
    /// As the API server has it, patched by the webhook.
    pub(crate) pod: Pod,
    /// Its network.
    pub(crate) network: Arc<Network>,
    client: Client,
    containers: Vec<Child>,
    _files: tempfile::TempDir,
}

/// What a container needs besides its own specification.
struct Context<'a> {
    pod: &'a Pod,
    network: &'a Network,
    files: PathBuf,
    envoy: PathBuf,
}

/// Creates the pod at the API server and starts its containers, except the application: the test plays that.
pub(crate) async fn start(client: &Client, pod: Pod, envoy: PathBuf) -> Running {
    let namespace = pod.metadata.namespace.clone().unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let created = create(&pods, &pod).await;
    let network = Network::new();
    let files = tempfile::tempdir().unwrap();
    write_tokens(client, &created, files.path()).await;
    let context = Context { pod: &created, network: &network, files: files.path().to_owned(), envoy };
    // The address first: the downward API hands it out, and the control plane waits for it.
    set_status(&pods, &created, &network, false).await;
    let spec = created.spec.clone().unwrap();
    let mut containers = Vec::new();
    for container in spec.init_containers.unwrap_or_default() {
        let mut child = context.command(&container).spawn().unwrap();
        if container.restart_policy.as_deref() == Some("Always") {
            containers.push(child);
            if let Some(probe) = &container.startup_probe {
                passes(&network, probe, &container).await;
            }
        } else {
            let status = child.wait().await.unwrap();
            assert!(status.success(), "init container {} ended with {status}", container.name);
        }
    }
    for container in spec.containers.iter().filter(|c| c.name == "envoy") {
        containers.push(context.command(container).spawn().unwrap());
    }
    set_status(&pods, &created, &network, true).await;
    crate::endpoints::reconcile(client, &namespace).await;
    Running { pod: created, network, client: client.clone(), containers, _files: files }
}

/// As a controller would: an injector that does not know the namespace yet says "try again" (503).
async fn create(pods: &Api<Pod>, pod: &Pod) -> Pod {
    let created = async {
        loop {
            match pods.create(&PostParams::default(), pod).await {
                Err(kube::Error::Api(status)) if status.code == 503 => tokio::time::sleep(AGAIN).await,
                created => return created.unwrap(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, created).await.unwrap()
}

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(20);
/// Longest time for anything.
const PATIENCE: Duration = Duration::from_secs(60);

impl Running {
    /// The pod's name.
    pub(crate) fn name(&self) -> String {
        self.pod.metadata.name.clone().unwrap()
    }

    /// Takes the pod away: from the API server, then for real.
    pub(crate) async fn stop(mut self) {
        let namespace = self.pod.metadata.namespace.clone().unwrap();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        pods.delete(&self.name(), &at_once).await.unwrap();
        crate::endpoints::reconcile(&self.client, &namespace).await;
        for container in &mut self.containers {
            container.kill().await.unwrap();
        }
    }
}

impl Context<'_> {
    /// The command of a container, in the pod's network, with its environment, user and mounts.
    fn command(&self, container: &Container) -> Command {
        let environment = self.environment(container);
        let words = [container.command.clone(), container.args.clone()].into_iter().flatten().flatten();
        let mut words: Vec<_> = words.map(|word| expand(&word, &environment)).collect();
        if container.name == "envoy" && words.first().is_none_or(|word| word.starts_with('-')) {
            words.insert(0, "envoy".into());
        }
        if words[0] == "envoy" || words[0].ends_with("/envoy") {
            words[0] = self.envoy.to_str().unwrap().into();
        }
        let user = container.security_context.as_ref().and_then(|s| s.run_as_user).unwrap_or(0);
        let mut mounts = String::new();
        for mount in container.volume_mounts.iter().flatten() {
            let source = self.files.join(&mount.name);
            if source.is_dir() {
                let VolumeMount { mount_path, .. } = mount;
                mounts += &format!("mkdir -p {mount_path} && mount --bind {} {mount_path} && ", source.display());
            }
        }
        let script = format!("{mounts} exec setpriv --reuid {user} --regid {user} --clear-groups \"$@\"");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.network.namespace, "unshare", "--mount", "sh", "-c", &script, "sh"]);
        command.args(words).envs(environment).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    fn environment(&self, container: &Container) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        for variable in container.env.iter().flatten() {
            let field = variable.value_from.as_ref().and_then(|v| v.field_ref.as_ref());
            let value = match (field, &variable.value) {
                (Some(field), _) => self.field(&field.field_path),
                (None, Some(value)) => expand(value, &environment),
                (None, None) => String::new(),
            };
            environment.insert(variable.name.clone(), value);
        }
        environment
    }

    /// The downward API.
    fn field(&self, path: &str) -> String {
        let metadata = &self.pod.metadata;
        match path {
            "metadata.name" => metadata.name.clone().unwrap(),
            "metadata.namespace" => metadata.namespace.clone().unwrap(),
            "metadata.uid" => metadata.uid.clone().unwrap(),
            "status.podIP" | "status.podIPs" => self.network.address.to_string(),
            "spec.serviceAccountName" => account(self.pod),
            other => panic!("the downward API has no {other}"),
        }
    }
}

fn account(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|s| s.service_account_name.clone()).unwrap_or_else(|| "default".into())
}

/// `$(NAME)` in commands, as the kubelet does it.
fn expand(word: &str, environment: &BTreeMap<String, String>) -> String {
    environment.iter().fold(word.to_owned(), |word, (name, value)| word.replace(&format!("$({name})"), value))
}

/// The tokens of projected volumes, bound to the pod.
async fn write_tokens(client: &Client, pod: &Pod, files: &std::path::Path) {
    let namespace = pod.metadata.namespace.clone().unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    for volume in pod.spec.iter().filter_map(|s| s.volumes.as_ref()).flatten() {
        let sources = volume.projected.iter().filter_map(|p| p.sources.as_ref()).flatten();
        for token in sources.filter_map(|s| s.service_account_token.as_ref()) {
            let request = TokenRequest {
                spec: TokenRequestSpec {
                    audiences: token.audience.clone().into_iter().collect(),
                    expiration_seconds: token.expiration_seconds,
                    bound_object_ref: Some(BoundObjectReference {
                        api_version: Some("v1".into()),
                        kind: Some("Pod".into()),
                        name: pod.metadata.name.clone(),
                        uid: pod.metadata.uid.clone(),
                    }),
                },
                ..TokenRequest::default()
            };
            let issued = accounts.create_token_request(&account(pod), &PostParams::default(), &request).await.unwrap();
            let folder = files.join(&volume.name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(&token.path), issued.status.unwrap().token).unwrap();
            // Envoy runs under an account of its own.
            node_readable(files);
            node_readable(&folder);
        }
    }
}

fn node_readable(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn set_status(pods: &Api<Pod>, pod: &Pod, network: &Network, ready: bool) {
    let address = network.address.to_string();
    let condition = json!({ "type": "Ready", "status": if ready { "True" } else { "False" } });
    let status = json!({ "status": {
        "phase": if ready { "Running" } else { "Pending" },
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": [condition],
    }});
    let name = pod.metadata.name.clone().unwrap();
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// Waits until an HTTP probe passes, from the node, as the kubelet probes.
async fn passes(network: &Network, probe: &Probe, container: &Container) {
    let get = probe.http_get.clone().unwrap_or_else(|| panic!("{} has no HTTP probe", container.name));
    let k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(port) = get.port else {
        panic!("the probe's port is a number")
    };
    let url = format!("http://{}:{port}{}", network.address, get.path.unwrap_or_else(|| "/".into()));
    let within = PATIENCE;
    let passed = async {
        while !crate::mesh::answers(&url).await {
            tokio::time::sleep(AGAIN).await;
        }
    };
    assert!(tokio::time::timeout(within, passed).await.is_ok(), "{url} did not answer with 200 in {within:?}");
}
