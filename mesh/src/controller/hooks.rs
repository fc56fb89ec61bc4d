//! The webhooks: what they answer, and how the API server is told where they are.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::sync::watch;

use super::{Serving, Webhook, flags::Flags, metrics_api, register::Objects};
use crate::{
    api::{
        crd::{self, WebhookClient, WebhookTarget},
        mesh_config::MeshConfigSpec,
    },
    inject::{
        self, Injector, Installation, Namespace, Settings,
        settings::ControlPlane,
        webhook::{Address, Registration},
    },
    k8s::Namespaces,
    run::Worlds,
    validate::{self, Surroundings},
};

/// What the webhooks look at.
#[derive(Clone)]
pub(super) struct Sight {
    pub(super) mesh_config: watch::Receiver<Arc<MeshConfigSpec>>,
    pub(super) namespaces: watch::Receiver<Namespaces>,
    pub(super) serving: watch::Receiver<Serving>,
    pub(super) root_certificates: watch::Receiver<Vec<Value>>,
}

/// The three webhooks.
pub(super) fn webhooks(flags: &Flags, native_sidecar: bool, sight: Sight, worlds: Worlds) -> Vec<Webhook> {
    let listen = |port| flags.listen.at(port);
    let root_certificates = sight.root_certificates.clone();
    let surroundings =
        move || Surroundings { world: worlds.now(), root_certificates: root_certificates.borrow().clone() };
    vec![
        Webhook {
            name: "injector",
            listen: listen(flags.webhooks.injector_port),
            router: inject::router(injector(flags, native_sidecar, sight)),
            tls: None,
        },
        Webhook {
            name: "validator",
            listen: listen(flags.webhooks.validator_port),
            router: validate::router(surroundings),
            tls: None,
        },
        Webhook {
            name: "conversion",
            listen: listen(flags.webhooks.conversion_port),
            router: validate::conversion_router(),
            tls: None,
        },
    ]
}

fn injector(flags: &Flags, native_sidecar: bool, sight: Sight) -> Injector {
    let Sight { mesh_config, namespaces, serving, .. } = sight;
    let installation = Installation {
        mesh: flags.mesh_name.clone(),
        namespace: flags.osm_namespace.clone(),
        envoy_image: flags.images.envoy_image.clone(),
        init_image: flags.images.init_container_image.clone(),
        pull_policy: flags.images.osm_container_pull_policy.clone(),
        control_plane: ControlPlane {
            host: flags.ads_host(),
            port: flags.listen.ads_port,
            server_name: None,
            roots: String::new(),
        },
        native_sidecar,
        ipv6: false,
    };
    let namespace = move |name: &str| {
        let namespaces = namespaces.borrow();
        namespaces.get(name).map(|known| Namespace {
            name: name.to_owned(),
            labels: known.labels.clone(),
            annotations: known.annotations.clone(),
        })
    };
    let settings = move || {
        let mut installation = installation.clone();
        installation.control_plane.roots = serving.borrow().roots_pem.to_string();
        Arc::new(Settings::new(installation, &mesh_config.borrow()))
    };
    Injector { namespace: Arc::new(namespace), settings: Arc::new(settings) }
}

/// The objects that lead the API server to the webhooks: both configurations, and the CRDs with their conversion if they are
/// this program's to write.
pub(super) fn registrations(flags: &Flags) -> Arc<Objects> {
    let flags = flags.clone();
    Arc::new(move |serving| {
        let injector = Registration {
            mesh: flags.mesh_name.clone(),
            namespace: flags.osm_namespace.clone(),
            address: address(&flags),
            authority: serving.roots_pem.to_string(),
            timeout: flags.webhooks.webhook_timeout,
        };
        let mut injector = serde_json::to_value(injector.configuration()).unwrap_or_default();
        injector["apiVersion"] = "admissionregistration.k8s.io/v1".into();
        injector["kind"] = "MutatingWebhookConfiguration".into();
        let client = client(&flags, flags.webhooks.validator_port, &flags.webhooks.webhook_service, Some(serving));
        let validator = validate::webhook::configuration(&flags.mesh_name, &flags.osm_namespace, &client);
        let definitions = if flags.install_crds { definitions(&flags, Some(serving)) } else { Vec::new() };
        let metrics = metrics_api::registration(&flags, serving);
        [injector, validator].into_iter().chain(metrics).chain(definitions).collect()
    })
}

/// The CRDs, with the way to the conversion webhook.
pub(super) fn definitions(flags: &Flags, serving: Option<&Serving>) -> Vec<Value> {
    let client = client(flags, flags.webhooks.conversion_port, &flags.webhooks.conversion_service, serving);
    crd::definitions(&client).unwrap_or_else(|error| {
        tracing::error!(error, "the CRDs cannot be made");
        Vec::new()
    })
}

fn address(flags: &Flags) -> Address {
    let port = flags.webhooks.injector_port;
    match &flags.webhooks.webhook_url {
        Some(url) => Address::Url(format!("{url}:{port}")),
        None => Address::Service {
            name: flags.webhooks.webhook_service.clone(),
            namespace: flags.osm_namespace.clone(),
            port,
        },
    }
}

fn client(flags: &Flags, port: u16, service: &str, serving: Option<&Serving>) -> WebhookClient {
    let target = match &flags.webhooks.webhook_url {
        Some(url) => WebhookTarget::Url(format!("{url}:{port}")),
        None => WebhookTarget::Service { namespace: flags.osm_namespace.clone(), name: service.to_owned(), port },
    };
    WebhookClient { target, ca_bundle: serving.map(|serving| BASE64_STANDARD.encode(&*serving.roots_pem)) }
}
