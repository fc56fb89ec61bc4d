//! The floor under any ADS server: tonic streams over which one ready-made response is sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use super::{LOOPBACK, Pki};

/// A server that sends what it is given, and counts acknowledgements.
#[derive(Debug)]
pub struct Bare {
    address: SocketAddr,
    streams: Arc<Streams>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Streams {
    open: Mutex<Vec<mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>>>,
    connected: watch::Sender<usize>,
    acknowledged: watch::Sender<usize>,
}

impl Bare {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(pki: &Pki) -> Self {
        let listener = tokio::net::TcpListener::bind(LOOPBACK).await.expect("a free port");
        let address = listener.local_addr().expect("it was bound");
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(pki.server.chain_pem.as_bytes(), pki.server.key.expose()))
            .client_ca_root(Certificate::from_pem(pki.ca.root_pem().as_bytes()));
        let streams = Arc::<Streams>::default();
        let service = AggregatedDiscoveryServiceServer::new(Service(streams.clone()));
        let server = Server::builder().tls_config(tls).expect("the certificates are sound");
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = server.serve_with_incoming(service, incoming);
        let server = tokio::spawn(async move { serving.await.expect("nothing ends the server but an abort") });
        Self { address, streams, server }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until that many streams are open.
    ///
    /// # Panics
    /// Never: the counter lives as long as the server.
    pub async fn connected(&self, streams: usize) {
        let mut connected = self.streams.connected.subscribe();
        connected.wait_for(|n| *n >= streams).await.expect("the counter lives");
    }

    /// Sends the response over every stream, and waits for one acknowledgement from each.
    ///
    /// # Panics
    /// If a client has gone.
    pub async fn send_to_all(&self, response: &DeltaDiscoveryResponse) {
        let open = self.streams.open().clone();
        let mut acknowledged = self.streams.acknowledged.subscribe();
        let goal = *acknowledged.borrow() + open.len();
        for stream in open {
            stream.send(Ok(response.clone())).await.expect("the client is there");
        }
        acknowledged.wait_for(|n| *n >= goal).await.expect("the counter lives");
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Streams {
    fn open(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Service(Arc<Streams>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = ReceiverStream<Result<DiscoveryResponse, Status>>;
    type DeltaAggregatedResourcesStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("incremental streams only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (responses, outgoing) = mpsc::channel(16);
        self.0.open().push(responses);
        self.0.connected.send_modify(|n| *n += 1);
        let (streams, mut requests) = (self.0.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if !request.response_nonce.is_empty() {
                    streams.acknowledged.send_modify(|n| *n += 1);
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}
