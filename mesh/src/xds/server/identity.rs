//! Who is at the other end of a stream: told by a certificate, or by the token of a Kubernetes service account.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tonic::{Status, metadata::MetadataMap};

use super::registry::ProxyId;
use crate::model::{ObjectName, ServiceAccount};

/// Reads the pod that a proxy serves from its DER certificate. The certificate was verified against the roots of
/// proxy certificates before. The error tells what is wrong with it.
pub type Identify = Arc<dyn Fn(&[u8]) -> Result<ObjectName, String> + Send + Sync>;

/// How proxies prove who they are.
#[derive(Clone)]
pub enum Identity {
    /// By the client certificate of the TLS handshake. The server's TLS configuration must demand one.
    Certificate(Identify),
    /// By `authorization: Bearer <token>` in the metadata of every stream. The proxy must also call itself
    /// `<namespace>/<pod>` (node id), and the pod must run under the token's account.
    Token(Arc<dyn TokenReviewer>),
}

/// Asks the one who issued a token whose it is. An implementation need not bound its waiting, and caches nothing for
/// longer than a few seconds: a token dies with its pod.
pub trait TokenReviewer: Send + Sync + 'static {
    /// Whose token it is. Never logs it.
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenOwner, ReviewError>>;
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// The pod that it is bound to.
    pub pod: ObjectName,
    /// The unique id of that pod.
    pub pod_uid: String,
    /// The account that it speaks for, in the pod's namespace.
    pub account: ServiceAccount,
}

/// Why a token lets nobody in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// It is no valid token: forged, expired, for somebody else, or its pod is gone. gRPC `UNAUTHENTICATED`.
    #[error("the API server does not accept the token: {0}")]
    Refused(String),
    /// It is valid, and not that of a pod. gRPC `PERMISSION_DENIED`.
    #[error("the token is not that of a pod: {0}")]
    NotAPod(String),
    /// Nobody could tell. gRPC `UNAVAILABLE`: try again.
    #[error("the token cannot be checked now: {0}")]
    Unavailable(String),
}

/// Reviews at a time. More wait; a storm of proxies must not become one at the API server.
const AT_A_TIME: usize = 32;

/// Longest token, in bytes. Those of Kubernetes have about one thousand.
const LONGEST_TOKEN: usize = 16 << 10;

/// Lets streams in by their token.
pub(super) struct Gate {
    reviewer: Arc<dyn TokenReviewer>,
    turns: Semaphore,
    within: Duration,
}

impl Gate {
    /// `within` bounds the time of a review, waiting for its turn included.
    pub(super) fn new(reviewer: Arc<dyn TokenReviewer>, within: Duration) -> Self {
        Self { reviewer, turns: Semaphore::new(AT_A_TIME), within }
    }

    /// Who sends this metadata.
    pub(super) async fn admit(&self, metadata: &MetadataMap) -> Result<ProxyId, Status> {
        let token = bearer(metadata)?;
        let review = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            self.reviewer.review(token).await
        };
        let late = || Err(ReviewError::Unavailable(format!("no answer within {:?}", self.within)));
        let owner = tokio::time::timeout(self.within, review).await.unwrap_or_else(|_| late())?;
        if owner.pod.namespace != owner.account.namespace {
            return Err(ReviewError::NotAPod("its pod and its account are in different namespaces".into()).into());
        }
        tracing::debug!(pod = %owner.pod, uid = owner.pod_uid, account = %owner.account, "a token was accepted");
        Ok(ProxyId { pod: owner.pod, account: Some(owner.account) })
    }
}

/// The token in the metadata (RFC 6750, section 2.1).
fn bearer(metadata: &MetadataMap) -> Result<&str, Status> {
    let missing =
        || Status::unauthenticated("send the service account token of the pod as `authorization: Bearer <token>`");
    let value = metadata.get("authorization").ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let (scheme, token) = value.split_once(' ').ok_or_else(missing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > LONGEST_TOKEN {
        return Err(missing());
    }
    Ok(token)
}

impl From<ReviewError> for Status {
    fn from(error: ReviewError) -> Self {
        match &error {
            ReviewError::Refused(_) => Self::unauthenticated(error.to_string()),
            ReviewError::NotAPod(_) => Self::permission_denied(error.to_string()),
            ReviewError::Unavailable(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate(_) => "Certificate",
            Self::Token(_) => "Token",
        })
    }
}
