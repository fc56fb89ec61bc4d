//! Proxies that prove who they are by the token of their service account.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Ads,
    },
};
use futures::{FutureExt as _, future::BoxFuture};
use mesh::{
    admin::Metrics,
    model::{ObjectName, ServiceAccount},
    snapshot::ResourceType::Cluster,
    xds::{
        Feed, Identity, Limits, Server,
        server::{ReviewError, TokenOwner, TokenReviewer, listen, serve},
        tls::anonymous_server_config,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, metadata::MetadataValue};

use crate::{
    bench::{Shelf, snapshot},
    client::connect,
    pki::Authority,
};

/// Knows its tokens by heart. `silent` is never answered, `away` is a failure.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<String, TokenOwner>>);

impl Tokens {
    pub(crate) fn issue(&self, token: &str, pod: &ObjectName, account: &str) {
        let account = ServiceAccount::new(pod.namespace.clone(), account);
        let owner = TokenOwner { pod: pod.clone(), pod_uid: "uid".into(), account };
        self.0.lock().unwrap().insert(token.to_owned(), owner);
    }
}

impl TokenReviewer for Tokens {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<TokenOwner, ReviewError>> {
        async move {
            match token {
                "silent" => std::future::pending().await,
                "away" => Err(ReviewError::Unavailable("connection refused".into())),
                "person" => Err(ReviewError::NotAPod("`alice` is no service account".into())),
                _ => self.0.lock().unwrap().get(token).cloned().ok_or(ReviewError::Refused("it has expired".into())),
            }
        }
        .boxed()
    }
}

/// A server that asks for tokens.
pub(crate) struct Gated {
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) authority: Authority,
    pub(crate) server: Server,
    pub(crate) metrics: Arc<Metrics>,
}

impl Gated {
    pub(crate) fn start(limits: Limits) -> Self {
        let (authority, shelf) = (Authority::new(), Arc::new(Shelf::default()));
        let (tokens, metrics) = (Arc::new(Tokens::default()), Arc::new(Metrics::default()));
        let own = authority.server();
        let tls = anonymous_server_config(&own.chain, &own.key).unwrap();
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let identity = Identity::Token(tokens.clone());
        let server = serve(listener, tls, identity, shelf.clone(), limits, metrics.clone()).unwrap();
        Self { shelf, tokens, authority, server, metrics }
    }

    pub(crate) fn tell(&self, pod: &ObjectName, account: &str, content: &str) {
        let account = Some(ServiceAccount::new(pod.namespace.clone(), account));
        self.shelf.put(pod, Feed::Known { snapshot: snapshot(&[(Cluster, "c", content)]), account });
    }

    async fn open(&self, header: Option<&str>, node: &str) -> Result<Proxy, Status> {
        let channel = connect(self.server.address(), &self.authority.root(), None).await.unwrap();
        let (requests, outgoing) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", MetadataValue::try_from(header).unwrap());
        }
        let responses = Ads::new(channel).delta_aggregated_resources(request).await?.into_inner();
        let node = Some(Node { id: node.into(), ..Default::default() });
        let first = DeltaDiscoveryRequest { type_url: Cluster.type_url().into(), node, ..Default::default() };
        // A stream that was ended at once says so when it is read.
        let _ = requests.send(first).await;
        Ok(Proxy { _requests: requests, responses })
    }

    /// The status by which a stream ends.
    async fn refused(&self, header: Option<&str>, node: &str) -> Status {
        match self.open(header, node).await {
            Err(status) => status,
            Ok(mut proxy) => proxy.next().await.unwrap_err(),
        }
    }
}

struct Proxy {
    _requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Proxy {
    async fn next(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        self.responses.message().await?.ok_or_else(|| Status::ok("the server ended the stream"))
    }
}

fn pod(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

#[tokio::test]
async fn only_the_token_of_the_pod_itself_opens_a_stream() {
    let gated = Gated::start(Limits { anonymous: Duration::from_secs(2), ..Limits::default() });
    gated.tell(&pod("a"), "books", "1");
    gated.tokens.issue("of-a", &pod("a"), "books");
    gated.tokens.issue("of-b", &pod("b"), "books");
    gated.tokens.issue("other-account", &pod("a"), "buyer");
    let astray =
        TokenOwner { account: ServiceAccount::new("elsewhere", "books"), pod: pod("a"), pod_uid: "uid".into() };
    gated.tokens.0.lock().unwrap().insert("astray".into(), astray);
    let cases = [
        (None, "shop/a", Code::Unauthenticated, "Bearer"),
        (Some("Basic of-a"), "shop/a", Code::Unauthenticated, "Bearer"),
        (Some("Bearer "), "shop/a", Code::Unauthenticated, "Bearer"),
        (Some("Bearer forged"), "shop/a", Code::Unauthenticated, "it has expired"),
        (Some("Bearer person"), "shop/a", Code::PermissionDenied, "alice"),
        (Some("Bearer astray"), "shop/a", Code::PermissionDenied, "different namespaces"),
        (Some("Bearer away"), "shop/a", Code::Unavailable, "connection refused"),
        (Some("Bearer silent"), "shop/a", Code::Unavailable, "no answer within"),
        (Some("Bearer of-b"), "shop/a", Code::PermissionDenied, "its token is that of pod shop/b"),
        (Some("Bearer of-a"), "shop/b", Code::PermissionDenied, "calls itself `shop/b`"),
        (Some("Bearer of-a"), "", Code::PermissionDenied, "calls itself ``"),
        (Some("Bearer other-account"), "shop/a", Code::PermissionDenied, "runs under account shop/books"),
    ];
    for (header, node, code, says) in cases {
        let status = gated.refused(header, node).await;
        assert_eq!(status.code(), code, "{header:?} {node}: {status}");
        assert!(status.message().contains(says), "{header:?} {node}: {status}");
        assert!(!status.message().contains("of-a"), "no token is repeated");
    }
    let mut a = gated.open(Some("Bearer of-a"), "shop/a").await.unwrap();
    assert_eq!(a.next().await.unwrap().resources.len(), 1);
    assert!(gated.metrics.encode().contains("osm_error_err_code_count{err_code=\"ProxyNotAuthenticated\"} 8"));
}

#[tokio::test]
async fn a_stream_ends_when_its_pod_is_gone_or_becomes_another() {
    let gated = Gated::start(Limits::default());
    for (news, code) in [(Feed::Gone, Code::NotFound), (Feed::known(snapshot(&[])), Code::PermissionDenied)] {
        gated.tell(&pod("a"), "books", "1");
        gated.tokens.issue("of-a", &pod("a"), "books");
        let mut a = gated.open(Some("Bearer of-a"), "shop/a").await.unwrap();
        assert_eq!(a.next().await.unwrap().resources.len(), 1);
        gated.shelf.put(&pod("a"), news);
        assert_eq!(a.next().await.unwrap_err().code(), code);
    }
    gated.tell(&pod("a"), "books", "1");
    let mut a = gated.open(Some("Bearer of-a"), "shop/a").await.unwrap();
    a.next().await.unwrap();
    gated.tell(&pod("a"), "buyer", "of another account");
    assert_eq!(a.next().await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn proxies_beyond_the_limit_are_told_so() {
    let gated = Gated::start(Limits::default());
    for name in ["a", "b"] {
        gated.tell(&pod(name), "books", "1");
        gated.tokens.issue(name, &pod(name), "books");
    }
    gated.server.limit_proxies(1);
    let mut first = gated.open(Some("Bearer a"), "shop/a").await.unwrap();
    first.next().await.unwrap();
    assert_eq!(gated.refused(Some("Bearer b"), "shop/b").await.code(), Code::ResourceExhausted);
    let mut again = gated.open(Some("Bearer a"), "shop/a").await.unwrap();
    again.next().await.expect("a proxy that comes back takes its own place");
    gated.server.limit_proxies(0);
    gated.open(Some("Bearer b"), "shop/b").await.unwrap().next().await.unwrap();
    let text = gated.metrics.encode();
    assert!(text.contains("osm_proxy_max_connections_rejected 1\n"), "{text}");
    assert!(text.contains("osm_proxy_connect_count 2\n"), "{text}");
}

#[tokio::test]
async fn a_connection_that_proves_nothing_is_closed() {
    let limits = Limits { connections: 1, anonymous: Duration::from_millis(100), ..Limits::default() };
    let gated = Gated::start(limits);
    gated.tell(&pod("a"), "books", "1");
    gated.tokens.issue("a", &pod("a"), "books");
    let silent = connect(gated.server.address(), &gated.authority.root(), None).await.unwrap();
    // There is room for one: it is free only when the silent one was put out.
    while connect(gated.server.address(), &gated.authority.root(), None).await.is_err() {
        tokio::task::yield_now().await;
    }
    drop(silent);
}
