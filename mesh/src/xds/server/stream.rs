//! One task per stream: requests and snapshots into the session, responses out.

use std::{sync::Arc, time::Instant};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server::AggregatedDiscoveryService,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Feed, Gate, ProxyId, Registry, Source, Stop,
    connection::Peer,
    registry::{Full, Place},
};
use crate::{
    admin::Metrics,
    model::ServiceAccount,
    snapshot::ResourceType,
    xds::session::{Delta, Dispatch, Protocol, Sotw},
};

/// Room for one response of each kind, all of them unanswered, and the final status: sending never waits for long.
const QUEUE: usize = 8;

/// The gRPC service.
pub(super) struct Ads {
    source: Arc<dyn Source>,
    /// `None` if certificates tell who proxies are.
    gate: Option<Gate>,
    registry: Arc<Registry>,
    stop: watch::Receiver<Stop>,
}

type Responses<P> = ReceiverStream<Result<<P as Protocol>::Response, Status>>;

impl Ads {
    pub(super) fn new(
        source: Arc<dyn Source>,
        gate: Option<Gate>,
        registry: Arc<Registry>,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        Self { source, gate, registry, stop }
    }

    async fn open<P: Protocol>(
        &self,
        request: Request<Streaming<P::Request>>,
    ) -> Result<Response<Responses<P>>, Status> {
        let metrics = self.registry.metrics.clone();
        let proxy = self.identify(&request).await.inspect_err(|status| {
            metrics.error("ProxyNotAuthenticated");
            tracing::warn!(%status, "refused a proxy's stream");
        })?;
        let (responses, out) = mpsc::channel(QUEUE);
        let place = self.registry.enter(proxy.pod.clone(), P::VARIANT).map_err(|Full(most)| {
            metrics.max_connections_rejected();
            tracing::warn!(pod = %proxy.pod, most, "refused a proxy's stream: the limit is reached");
            Status::resource_exhausted(format!(
                "{most} proxies are connected, which is the limit (MeshConfig spec.sidecar.maxDataPlaneConnections)"
            ))
        })?;
        let feed = self.source.subscribe(&proxy.pod);
        let requests = request.into_inner();
        let stream = Stream::<P> { proxy, feed, place, requests, responses, metrics, sent: [None; 5] };
        tokio::spawn(stream.run(self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(out)))
    }

    /// Who opens a stream.
    async fn identify<T>(&self, request: &Request<T>) -> Result<ProxyId, Status> {
        let peer = request.extensions().get::<Peer>();
        let peer = peer.ok_or_else(|| Status::unauthenticated("the connection has no identity"))?;
        let proxy = match (&peer.proxy, &self.gate) {
            (Some(proxy), _) => proxy.clone(),
            (None, Some(gate)) => gate.admit(request.metadata()).await?,
            (None, None) => return Err(Status::unauthenticated("the connection has no identity")),
        };
        peer.proved();
        Ok(proxy)
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<Sotw>;
    type DeltaAggregatedResourcesStream = Responses<Delta>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<ReceiverStream<Result<DiscoveryResponse, Status>>>, Status> {
        self.open::<Sotw>(request).await
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<ReceiverStream<Result<DeltaDiscoveryResponse, Status>>>, Status> {
        self.open::<Delta>(request).await
    }
}

struct Stream<P: Protocol> {
    proxy: ProxyId,
    feed: watch::Receiver<Feed>,
    place: Place,
    requests: Streaming<P::Request>,
    responses: mpsc::Sender<Result<P::Response, Status>>,
    metrics: Arc<Metrics>,
    /// The last response of each kind that is not answered, and when it was sent.
    sent: [Option<(u64, Instant)>; 5],
}

impl<P: Protocol> Stream<P> {
    async fn run(mut self, mut stop: watch::Receiver<Stop>) {
        tracing::info!(pod = %self.place.pod(), variant = ?P::VARIANT, "a proxy's stream began");
        let end = tokio::select! {
            end = self.serve() => end,
            _ = stop.wait_for(|s| *s != Stop::Not) => Some(Status::unavailable("the control plane is shutting down")),
        };
        tracing::info!(pod = %self.place.pod(), status = ?end, "a proxy's stream ended");
        if let Some(status) = end {
            // If the proxy is gone there is nobody to tell.
            let _ = self.responses.try_send(Err(status));
        }
    }

    /// Serves until the stream ends, and returns the status to end it with, or `None` if the proxy ended it.
    async fn serve(&mut self) -> Option<Status> {
        // A snapshot that is there already must not wait for the next one.
        self.feed.mark_changed();
        let mut named = false;
        loop {
            let due = tokio::select! {
                () = self.place.replaced() => return Some(Status::aborted("a newer stream of this pod has begun")),
                request = self.requests.message() => match request {
                    Ok(Some(request)) => match self.take(request, std::mem::replace(&mut named, true)) {
                        Ok(due) => due,
                        Err(status) => return Some(status),
                    },
                    Ok(None) => return None,
                    Err(status) => {
                        tracing::debug!(pod = %self.place.pod(), %status, "a proxy's stream broke");
                        return None;
                    }
                },
                changed = self.feed.changed() => {
                    if changed.is_err() {
                        return Some(Status::unavailable("the control plane has no configuration any more"));
                    }
                    let feed = self.feed.borrow_and_update().clone();
                    match feed {
                        Feed::Unknown => continue,
                        Feed::Known { account, .. } if self.is_stranger(account.as_ref()) => {
                            return Some(Status::permission_denied(self.stranger(account.as_ref())));
                        }
                        Feed::Known { snapshot, .. } => self.place.step(|session| session.on_snapshot(snapshot)),
                        Feed::Gone => return Some(Status::not_found(format!("pod {} is gone", self.place.pod()))),
                    }
                }
            };
            if self.send(due).await.is_err() {
                return None;
            }
        }
    }

    /// Takes in a request. `named`: it is not the first.
    fn take(&mut self, request: P::Request, named: bool) -> Result<Vec<Dispatch>, Status> {
        if !named {
            self.named(&request)?;
        }
        self.count(&request);
        Ok(self.place.step(|session| P::on_request(session, request)))
    }

    /// Looks at the first request. With a token, the proxy must call itself what the token says: a token that was put into
    /// the wrong pod would otherwise configure a stranger.
    fn named(&self, request: &P::Request) -> Result<(), Status> {
        let node = P::node(request).map(|n| n.id.as_str());
        tracing::debug!(pod = %self.place.pod(), node, "a proxy gave itself a name");
        if P::heading(request).holds {
            self.metrics.proxy_reconnected();
        }
        let expected = self.place.pod().to_string();
        if self.proxy.account.is_some() && node != Some(&expected) {
            let node = node.unwrap_or_default();
            let message = format!("the proxy calls itself `{node}`, its token is that of pod {expected}");
            return Err(Status::permission_denied(message));
        }
        Ok(())
    }

    /// Whether a token of another account than the pod's was shown.
    fn is_stranger(&self, account: Option<&ServiceAccount>) -> bool {
        self.proxy.account.is_some() && self.proxy.account.as_ref() != account
    }

    fn stranger(&self, account: Option<&ServiceAccount>) -> String {
        let name = |a: Option<&ServiceAccount>| a.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let (pod, shown) = (self.place.pod(), self.proxy.account.as_ref());
        format!("pod {pod} runs under account {}, the token is of {}", name(account), name(shown))
    }

    fn count(&mut self, request: &P::Request) {
        let heading = P::heading(request);
        let Some(kind) = heading.kind else { return };
        self.metrics.xds_request(kind);
        if let Some(why) = heading.refusal {
            tracing::warn!(pod = %self.place.pod(), ?kind, why, "a proxy refuses its configuration");
        }
        let sent = &mut self.sent[kind as usize];
        if let Some((nonce, at)) = *sent
            && heading.nonce.parse() == Ok(nonce)
        {
            self.metrics.response_answered(kind, heading.refusal.is_none(), at.elapsed());
            *sent = None;
        }
    }

    async fn send(&mut self, due: Vec<Dispatch>) -> Result<(), ()> {
        for dispatch in due {
            tracing::debug!(
                pod = %self.place.pod(), kind = ?dispatch.kind, nonce = dispatch.nonce,
                resources = dispatch.resources.len(), removed = dispatch.removed.len(), "a response is due"
            );
            let kind: ResourceType = dispatch.kind;
            self.sent[kind as usize] = Some((dispatch.nonce, Instant::now()));
            if self.responses.send(Ok(P::encode(&dispatch))).await.is_err() {
                self.metrics.response_failed(kind);
                return Err(());
            }
            self.metrics.response_sent(kind);
        }
        Ok(())
    }
}
