//! Who may ask: the API server's front proxy says who the user is, and the API server says what that user may do.
//!
//! The aggregation layer of Kubernetes authenticates users, then passes their requests on under a client certificate of its
//! own, with user and groups in headers. Those headers mean something only under that certificate; the authority that signs
//! it, and the names of the headers, are in the ConfigMap `kube-system/extension-apiserver-authentication`.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use axum::http::HeaderMap;
use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus},
    core::v1::ConfigMap,
};
use kube::{Api, Client, api::PostParams};
use rustls::ServerConfig;
use tokio::sync::watch;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    GROUP, VERSION,
    question::{Access, Refusal},
};
use crate::{controller::Serving, xds::tls::TlsError};

/// Decides about requests.
pub trait Admission: Send + Sync {
    /// Whether a caller may have an answer. `certificate` is one that the TLS handshake has verified (DER). Discovery needs
    /// no `access`.
    fn admit<'a>(
        &'a self,
        certificate: Option<&'a [u8]>,
        headers: &'a HeaderMap,
        access: Option<&'a Access>,
    ) -> BoxFuture<'a, Result<(), Refusal>>;
}

/// How the front proxy is recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHeader {
    /// The authority that signs its certificates; without one nobody is recognised.
    pub authority_pem: String,
    /// The common names that its certificates may have; empty allows any.
    pub allowed_names: Vec<String>,
    /// Headers with the user's name, the first that is there holds.
    pub username_headers: Vec<String>,
    /// Headers with the user's groups, one a header.
    pub group_headers: Vec<String>,
    /// How the names of headers begin that say more of the user.
    pub extra_prefixes: Vec<String>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else is known.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl RequestHeader {
    /// Reads the ConfigMap.
    pub fn read(map: &ConfigMap) -> Self {
        let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key)).cloned().unwrap_or_default();
        let list = |key: &str| serde_json::from_str::<Vec<String>>(&text(key)).unwrap_or_default();
        Self {
            authority_pem: text("requestheader-client-ca-file"),
            allowed_names: list("requestheader-allowed-names"),
            username_headers: list("requestheader-username-headers"),
            group_headers: list("requestheader-group-headers"),
            extra_prefixes: list("requestheader-extra-headers-prefix"),
        }
    }

    /// Reads it from the API server.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub async fn fetch(client: &Client) -> Result<Self, kube::Error> {
        let maps = Api::<ConfigMap>::namespaced(client.clone(), "kube-system");
        Ok(Self::read(&maps.get("extension-apiserver-authentication").await?))
    }

    /// The user that a request is made for.
    ///
    /// # Errors
    /// 401 if it does not come from the front proxy, or names no user.
    pub fn user(&self, certificate: Option<&[u8]>, headers: &HeaderMap) -> Result<User, Refusal> {
        let certificate =
            certificate.ok_or_else(|| unauthorized("ask through the API server: /apis/metrics.smi-spec.io"))?;
        let name = common_name(certificate).unwrap_or_default();
        if !self.allowed_names.is_empty() && !self.allowed_names.contains(&name) {
            return Err(unauthorized("the client certificate is not that of the API server's front proxy"));
        }
        let texts = |name: &str| -> Vec<String> {
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(ToOwned::to_owned).collect()
        };
        let name = self.username_headers.iter().flat_map(|header| texts(header)).find(|name| !name.is_empty());
        let name = name.ok_or_else(|| unauthorized("the front proxy names no user"))?;
        let groups = self.group_headers.iter().flat_map(|header| texts(header)).collect();
        let mut extra = BTreeMap::new();
        for prefix in &self.extra_prefixes {
            let prefix = prefix.to_ascii_lowercase();
            for header in headers.keys().filter(|header| header.as_str().starts_with(&prefix)) {
                extra.insert(header.as_str()[prefix.len()..].to_owned(), texts(header.as_str()));
            }
        }
        Ok(User { name, groups, extra })
    }

    /// A server configuration that takes client certificates of the front proxy, and callers without one: those are refused
    /// with a status that says why.
    ///
    /// # Errors
    /// Chain, key or authority cannot be used.
    pub fn tls(&self, serving: &Serving) -> Result<ServerConfig, TlsError> {
        if self.authority_pem.trim().is_empty() {
            return serving.tls();
        }
        crate::xds::tls::asking_server_config(&serving.chain_pem, serving.key.expose(), &self.authority_pem)
    }
}

fn unauthorized(message: &str) -> Refusal {
    Refusal { code: 401, reason: "Unauthorized", message: message.to_owned() }
}

fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate.subject().iter_common_name().next()?;
    name.as_str().ok().map(ToOwned::to_owned)
}

/// Admits whom the API server allows.
#[derive(Clone)]
pub struct FrontProxy {
    client: Client,
    header: watch::Receiver<RequestHeader>,
}

impl FrontProxy {
    /// Asks with this client, whose account may create SubjectAccessReviews.
    pub fn new(client: Client, header: watch::Receiver<RequestHeader>) -> Self {
        Self { client, header }
    }

    async fn allows(&self, user: User, access: &Access) -> Result<(), Refusal> {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let attributes = ResourceAttributes {
            group: Some(GROUP.into()),
            version: Some(VERSION.into()),
            verb: Some(access.verb.into()),
            resource: Some(access.resource.clone()),
            subresource: filled(access.subresource),
            namespace: access.namespace.clone(),
            name: access.name.clone(),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            groups: Some(user.groups),
            extra: Some(user.extra),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = Api::<SubjectAccessReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(%error, "the API server does not say what a user may do");
            let message = "the API server does not say what you may do; try again".to_owned();
            Refusal { code: 503, reason: "ServiceUnavailable", message }
        })?;
        decided(&answer.status.unwrap_or_default(), &user.name, access)
    }
}

fn decided(status: &SubjectAccessReviewStatus, user: &str, access: &Access) -> Result<(), Refusal> {
    if status.allowed && status.denied != Some(true) {
        return Ok(());
    }
    let resource = match access.subresource {
        "" => access.resource.clone(),
        subresource => format!("{}/{subresource}", access.resource),
    };
    let place =
        access.namespace.as_ref().map_or_else(|| "at the cluster scope".into(), |n| format!("in namespace {n:?}"));
    let message = format!("user {user:?} may not {} {resource} of {GROUP} {place}", access.verb);
    Err(Refusal { code: 403, reason: "Forbidden", message })
}

impl Admission for FrontProxy {
    fn admit<'a>(
        &'a self,
        certificate: Option<&'a [u8]>,
        headers: &'a HeaderMap,
        access: Option<&'a Access>,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        let user = self.header.borrow().user(certificate, headers);
        async move {
            match (user?, access) {
                (_, None) => Ok(()),
                (user, Some(access)) => self.allows(user, access).await,
            }
        }
        .boxed()
    }
}

impl fmt::Debug for FrontProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrontProxy")
    }
}

/// How often the ConfigMap is read: the API server changes it when its authority rotates.
const REREAD: Duration = Duration::from_secs(60);
/// How soon again, if it cannot be read.
const RETRY: Duration = Duration::from_secs(2);

/// Keeps TLS and header names as the API server has them, until nobody wants them any more.
pub async fn follow(
    client: Client,
    mut serving: watch::Receiver<Serving>,
    header: watch::Sender<RequestHeader>,
    tls: watch::Sender<Arc<ServerConfig>>,
) {
    loop {
        let pause = match RequestHeader::fetch(&client).await {
            Ok(fresh) => {
                header.send_if_modified(|known| {
                    let changed = *known != fresh;
                    known.clone_from(&fresh);
                    changed
                });
                REREAD
            }
            Err(error) => {
                tracing::warn!(%error, "kube-system/extension-apiserver-authentication cannot be read: nobody may ask for metrics");
                RETRY
            }
        };
        let made = header.borrow().tls(&serving.borrow_and_update());
        match made {
            Ok(config) => drop(tls.send_replace(Arc::new(config))),
            Err(error) => tracing::error!(%error, "the metrics API keeps its last certificate and authority"),
        }
        tokio::select! {
            () = tls.closed() => return,
            changed = serving.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(name: &str) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn header() -> RequestHeader {
        let data = [
            ("requestheader-client-ca-file", "PEM"),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
        ];
        let data = data.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        RequestHeader::read(&ConfigMap { data: Some(data), ..ConfigMap::default() })
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_front_proxy_says_who_the_user_is() {
        let sent = headers(&[
            ("x-remote-user", "ann"),
            ("x-remote-group", "dev"),
            ("x-remote-group", "system:authenticated"),
            ("x-remote-extra-scopes", "view"),
        ]);
        let proxy = certificate("front-proxy-client");
        let user = header().user(Some(&proxy), &sent).unwrap();
        assert_eq!((user.name.as_str(), user.groups.len()), ("ann", 2));
        assert_eq!(user.extra, BTreeMap::from([("scopes".to_owned(), vec!["view".to_owned()])]));
        let code =
            |certificate: Option<&[u8]>, headers: &HeaderMap| header().user(certificate, headers).unwrap_err().code;
        assert_eq!(code(None, &sent), 401);
        assert_eq!(code(Some(&certificate("somebody")), &sent), 401);
        assert_eq!(code(Some(&proxy), &HeaderMap::new()), 401);
    }

    #[test]
    fn a_denial_names_user_and_right() {
        let access = Access {
            verb: "get",
            resource: "pods".into(),
            subresource: "edges",
            namespace: Some("shop".into()),
            name: Some("web-1".into()),
        };
        let status = |allowed| SubjectAccessReviewStatus { allowed, ..SubjectAccessReviewStatus::default() };
        assert_eq!(decided(&status(true), "ann", &access), Ok(()));
        let refused = decided(&status(false), "ann", &access).unwrap_err();
        assert_eq!(refused.code, 403);
        let message = "user \"ann\" may not get pods/edges of metrics.smi-spec.io in namespace \"shop\"";
        assert_eq!(refused.message, message);
        let both = SubjectAccessReviewStatus { denied: Some(true), ..status(true) };
        assert!(decided(&both, "ann", &access).is_err());
    }
}
