//! One task per stream: requests and snapshots into the session, responses out.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server::AggregatedDiscoveryService,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Feed, ProxyId, Registry, Source, Stop, registry::Place};
use crate::xds::session::{Delta, Dispatch, Protocol, Sotw};

/// Room for one response of each kind, all of them unanswered, and the final status: sending never waits for long.
const QUEUE: usize = 8;

/// The gRPC service.
pub(super) struct Ads {
    source: Arc<dyn Source>,
    registry: Arc<Registry>,
    stop: watch::Receiver<Stop>,
}

type Responses<P> = ReceiverStream<Result<<P as Protocol>::Response, Status>>;

impl Ads {
    pub(super) fn new(source: Arc<dyn Source>, registry: Arc<Registry>, stop: watch::Receiver<Stop>) -> Self {
        Self { source, registry, stop }
    }

    fn open<P: Protocol>(&self, request: Request<Streaming<P::Request>>) -> Result<Response<Responses<P>>, Status> {
        let ProxyId { pod } = request
            .extensions()
            .get::<ProxyId>()
            .cloned()
            .ok_or_else(|| Status::unauthenticated("the connection has no identity"))?;
        let (responses, out) = mpsc::channel(QUEUE);
        let stream = Stream::<P> {
            feed: self.source.subscribe(&pod),
            place: self.registry.enter(pod, P::VARIANT),
            requests: request.into_inner(),
            responses,
        };
        tokio::spawn(stream.run(self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(out)))
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
        self.open::<Sotw>(request)
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<ReceiverStream<Result<DeltaDiscoveryResponse, Status>>>, Status> {
        self.open::<Delta>(request)
    }
}

struct Stream<P: Protocol> {
    feed: watch::Receiver<Feed>,
    place: Place,
    requests: Streaming<P::Request>,
    responses: mpsc::Sender<Result<P::Response, Status>>,
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
                    Ok(Some(request)) => {
                        if !std::mem::replace(&mut named, true) {
                            let node = P::node(&request).map(|n| n.id.as_str());
                            tracing::debug!(pod = %self.place.pod(), node, "a proxy gave itself a name");
                        }
                        self.place.step(|session| P::on_request(session, request))
                    }
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
                        Feed::Known(snapshot) => self.place.step(|session| session.on_snapshot(snapshot)),
                        Feed::Gone => return Some(Status::not_found(format!("pod {} is gone", self.place.pod()))),
                    }
                }
            };
            if self.send(due).await.is_err() {
                return None;
            }
        }
    }

    async fn send(&self, due: Vec<Dispatch>) -> Result<(), ()> {
        for dispatch in due {
            tracing::debug!(
                pod = %self.place.pod(), kind = ?dispatch.kind, nonce = dispatch.nonce,
                resources = dispatch.resources.len(), removed = dispatch.removed.len(), "a response is due"
            );
            self.responses.send(Ok(P::encode(&dispatch))).await.map_err(drop)?;
        }
        Ok(())
    }
}
