//! Webhooks of the mesh, served by the tests themselves over TLS, where the API server finds them.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use axum::Router;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use mesh::{
    admin::http::{HttpLimits, HttpServer},
    api::crd::{WebhookClient, WebhookTarget},
    ca::{Clock as _, ControlCa, SystemClock, Validity},
    controller::Serving,
    validate,
};
use tokio::{
    net::TcpListener,
    sync::{OnceCell, watch},
};

/// A server of webhooks. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Hook {
    /// How the API server finds it.
    pub(crate) client: WebhookClient,
    /// `https://127.0.0.1:port`.
    pub(crate) url: String,
    /// The root of its certificate, PEM.
    pub(crate) roots: Arc<str>,
    _server: HttpServer,
}

impl Hook {
    /// Serves `router` as the controller does.
    pub(crate) async fn serve(router: Router) -> Self {
        let now = SystemClock.now();
        let ca = ControlCa::generate(now).unwrap();
        let validity = Validity::starting(now, Duration::from_secs(86_400));
        let credential = ca.server_certificate(&[], &[Ipv4Addr::LOCALHOST.into()], validity).unwrap();
        let roots = ca.root_pem().clone();
        let serving =
            Serving { chain_pem: credential.chain_pem.clone(), key: credential.key, roots_pem: roots.clone() };
        let tls = watch::channel(Arc::new(serving.tls().unwrap())).1;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = HttpServer::start(listener, Some(tls), router, HttpLimits::default()).unwrap();
        let url = format!("https://{}", server.address());
        let ca_bundle = Some(BASE64.encode(&*roots));
        let client = WebhookClient { target: WebhookTarget::Url(url.clone()), ca_bundle };
        Self { client, url, roots, _server: server }
    }
}

/// The conversion webhook, which all API servers of this run share.
pub(crate) async fn conversion() -> &'static Hook {
    static HOOK: OnceCell<Hook> = OnceCell::const_new();
    HOOK.get_or_init(|| Hook::serve(validate::conversion_router())).await
}
