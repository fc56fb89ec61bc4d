//! Asks the Kubernetes API whose token it is (`authentication.k8s.io/v1` TokenReview).

use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo};
use kube::{Api, Client, api::PostParams};

use crate::{
    model::{ObjectName, ServiceAccount},
    xds::server::{ReviewError, TokenOwner, TokenReviewer},
};

/// The audience of the tokens that injected pods get.
pub const AUDIENCE: &str = "osm";

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Asks the API server about every token, and remembers nothing. The API server itself remembers a "yes" for up to 10 s, so
/// the token of a pod that is gone may pass that long; the world, which has no such pod, gives it nothing.
#[derive(Clone)]
pub struct KubeTokens {
    client: Client,
}

impl KubeTokens {
    /// Asks with this client, whose account may create TokenReviews.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn ask(&self, token: &str) -> Result<TokenOwner, ReviewError> {
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.to_owned()]), token: Some(token.to_owned()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        // The message of the API server does not repeat the token.
        let answer = answer.map_err(|error| ReviewError::Unavailable(error.to_string()))?;
        owner(answer.status.unwrap_or_default())
    }
}

impl TokenReviewer for KubeTokens {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenOwner, ReviewError>> {
        self.ask(token).boxed()
    }
}

impl std::fmt::Debug for KubeTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeTokens")
    }
}

/// Reads the answer.
fn owner(status: TokenReviewStatus) -> Result<TokenOwner, ReviewError> {
    if status.authenticated != Some(true) {
        let why = status.error.filter(|why| !why.is_empty());
        return Err(ReviewError::Refused(why.unwrap_or_else(|| "it is not valid, or its pod is gone".to_owned())));
    }
    // An API server that does not know audiences leaves them out, and may have accepted a token meant for another.
    if !status.audiences.is_some_and(|audiences| audiences.iter().any(|audience| audience == AUDIENCE)) {
        return Err(ReviewError::Refused(format!("it is not for the audience `{AUDIENCE}`")));
    }
    let UserInfo { username, extra, .. } = status.user.unwrap_or_default();
    let username = username.unwrap_or_default();
    let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let Some((namespace, account)) = account else {
        return Err(ReviewError::NotAPod(format!("`{username}` is no service account")));
    };
    let extra = extra.unwrap_or_default();
    let one = |key: &str| match extra.get(key).map(Vec::as_slice) {
        Some([value]) if !value.is_empty() => Ok(value.clone()),
        _ => Err(ReviewError::NotAPod(format!("a token of account {namespace}/{account} is bound to no pod"))),
    };
    Ok(TokenOwner {
        pod: ObjectName::new(namespace, one(POD_NAME)?),
        pod_uid: one(POD_UID)?,
        account: ServiceAccount::new(namespace, account),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(authenticated: bool, audience: &str, username: &str, extra: &[(&str, &str)]) -> TokenReviewStatus {
        TokenReviewStatus {
            authenticated: Some(authenticated),
            audiences: Some(vec![audience.to_owned()]),
            error: None,
            user: Some(UserInfo {
                username: Some(username.to_owned()),
                extra: Some(extra.iter().map(|(k, v)| ((*k).to_owned(), vec![(*v).to_owned()])).collect()),
                ..UserInfo::default()
            }),
        }
    }

    const BOUND: [(&str, &str); 2] = [(POD_NAME, "books-1"), (POD_UID, "u")];
    const ACCOUNT: &str = "system:serviceaccount:shop:books";

    #[test]
    fn only_a_bound_token_of_our_audience_names_a_pod() {
        let expected = TokenOwner {
            pod: ObjectName::new("shop", "books-1"),
            pod_uid: "u".into(),
            account: ServiceAccount::new("shop", "books"),
        };
        assert_eq!(owner(status(true, "osm", ACCOUNT, &BOUND)), Ok(expected));
        assert!(matches!(owner(status(false, "osm", ACCOUNT, &BOUND)), Err(ReviewError::Refused(_))));
        assert!(matches!(owner(status(true, "vault", ACCOUNT, &BOUND)), Err(ReviewError::Refused(_))));
        assert!(matches!(owner(status(true, "osm", ACCOUNT, &[])), Err(ReviewError::NotAPod(_))));
        assert!(matches!(owner(status(true, "osm", ACCOUNT, &BOUND[..1])), Err(ReviewError::NotAPod(_))));
        assert!(matches!(owner(status(true, "osm", "kubernetes-admin", &BOUND)), Err(ReviewError::NotAPod(_))));
        let unaware = TokenReviewStatus { audiences: None, ..status(true, "osm", ACCOUNT, &BOUND) };
        assert!(matches!(owner(unaware), Err(ReviewError::Refused(_))));
    }
}
