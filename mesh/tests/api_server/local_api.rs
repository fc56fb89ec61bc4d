//! The API server itself: what the other tests, and the identity of proxies, rely on.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::harness::{ApiServer, Test, client, delete, eventually, monitored, pod, service_account, test, token};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("local_api::its_kubeconfig_opens_it", kubeconfig),
        test("local_api::a_pod_bound_token_names_its_pod_and_dies_with_it", pod_bound_token),
    ]
}

async fn review(token: &str) -> TokenReview {
    let spec = TokenReviewSpec { audiences: Some(vec!["osm".into()]), token: Some(token.into()) };
    let review = TokenReview { spec, ..TokenReview::default() };
    Api::all(client().await).create(&PostParams::default(), &review).await.unwrap()
}

async fn pod_bound_token() {
    let client = client().await;
    let ns = monitored(&client, "tokens").await;
    service_account(&client, &ns, "bookstore").await;
    pod(&client, &ns, "bookstore-0", "bookstore", "app=bookstore", "10.0.0.1").await;
    let token = token(&client, &ns, "bookstore-0").await;
    let status = review(&token).await.status.unwrap();
    assert_eq!(status.authenticated, Some(true), "{status:?}");
    let user = status.user.unwrap();
    assert_eq!(user.username, Some(format!("system:serviceaccount:{ns}:bookstore")));
    let pods = user.extra.unwrap();
    assert_eq!(pods["authentication.kubernetes.io/pod-name"], ["bookstore-0"]);
    delete(&client, &ns, "v1/Pod", "bookstore-0").await;
    // The API server remembers for 10 s whom it has authenticated.
    let refused = || async { (review(&token).await.status.unwrap().authenticated != Some(true)).then_some(()) };
    eventually("the token is refused, for its pod is gone", refused).await;
}

async fn kubeconfig() {
    let server = ApiServer::start().await;
    let read = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    let version = Client::try_from(config).unwrap().apiserver_version().await.unwrap();
    assert_eq!(version.git_version, "v1.34.4", "{}", server.log("apiserver"));
}
