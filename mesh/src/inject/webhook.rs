//! The registration of the mutating webhook.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};

use super::{
    WEBHOOK_PATH,
    decision::{IGNORE, MONITORED_BY},
};

/// Where the API server finds the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Service of the cluster.
    Service {
        /// Name.
        name: String,
        /// Namespace.
        namespace: String,
        /// Port.
        port: u16,
    },
    /// An address outside of it, without the path: `https://127.0.0.1:9090`.
    Url(String),
}

/// What the registration depends on.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The mesh's name.
    pub mesh: String,
    /// The control plane's namespace.
    pub namespace: String,
    /// Where the webhook is.
    pub address: Address,
    /// The roots that its certificate may be signed by, PEM.
    pub authority: String,
    /// Time for an answer, in seconds (1–30).
    pub timeout: i32,
}

impl Registration {
    /// The object. It fails closed: a pod that should have a sidecar never starts without one.
    pub fn configuration(&self) -> MutatingWebhookConfiguration {
        let labels = [
            ("app.kubernetes.io/name", "openservicemesh.io"),
            ("app.kubernetes.io/instance", &self.mesh),
            ("app.kubernetes.io/component", "osm-controller"),
        ];
        MutatingWebhookConfiguration {
            metadata: ObjectMeta {
                name: Some(format!("osm-webhook-{}", self.mesh)),
                labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
                ..Default::default()
            },
            webhooks: Some(vec![self.webhook()]),
        }
    }

    fn webhook(&self) -> MutatingWebhook {
        MutatingWebhook {
            name: "osm-inject.k8s.io".into(),
            admission_review_versions: vec!["v1".into()],
            client_config: self.client(),
            failure_policy: Some("Fail".into()),
            match_policy: Some("Equivalent".into()),
            namespace_selector: Some(self.namespaces()),
            // Another webhook may add a container after us; a second look takes its probes in.
            reinvocation_policy: Some("IfNeeded".into()),
            rules: Some(vec![RuleWithOperations {
                api_groups: Some(vec![String::new()]),
                api_versions: Some(vec!["v1".into()]),
                operations: Some(vec!["CREATE".into()]),
                resources: Some(vec!["pods".into()]),
                scope: Some("Namespaced".into()),
            }]),
            side_effects: "None".into(),
            timeout_seconds: Some(self.timeout.clamp(1, 30)),
            ..Default::default()
        }
    }

    fn client(&self) -> WebhookClientConfig {
        let ca_bundle = Some(ByteString(self.authority.clone().into_bytes()));
        match &self.address {
            Address::Service { name, namespace, port } => WebhookClientConfig {
                ca_bundle,
                service: Some(ServiceReference {
                    name: name.clone(),
                    namespace: namespace.clone(),
                    path: Some(WEBHOOK_PATH.into()),
                    port: Some((*port).into()),
                }),
                url: None,
            },
            Address::Url(url) => {
                let url = Some(format!("{}{WEBHOOK_PATH}", url.trim_end_matches('/')));
                WebhookClientConfig { ca_bundle, service: None, url }
            }
        }
    }

    /// The namespaces of the mesh, never those that the control plane needs to start.
    fn namespaces(&self) -> LabelSelector {
        let requirement = |key: &str, operator: &str, values: &[&str]| LabelSelectorRequirement {
            key: key.into(),
            operator: operator.into(),
            values: (!values.is_empty()).then(|| values.iter().map(|&value| value.to_owned()).collect()),
        };
        let system = [self.namespace.as_str(), "kube-system", "kube-public"];
        LabelSelector {
            match_expressions: Some(vec![
                requirement(MONITORED_BY, "In", &[&self.mesh]),
                requirement(IGNORE, "DoesNotExist", &[]),
                requirement("control-plane", "DoesNotExist", &[]),
                requirement("kubernetes.io/metadata.name", "NotIn", &system),
            ]),
            match_labels: None,
        }
    }
}
