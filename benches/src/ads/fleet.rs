//! Incremental ADS clients that acknowledge everything.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
    aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
};
use mesh::{
    model::ObjectName,
    snapshot::{ResourceType, Snapshot},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{Pki, SERVER};

/// Handshakes at a time: more of them only wait for each other.
const HANDSHAKES: usize = 32;

/// Connected clients. They disconnect on drop.
#[derive(Debug)]
pub struct Fleet {
    seen: Arc<Seen>,
    _clients: JoinSet<()>,
}

/// What all clients together have received.
#[derive(Debug, Default)]
struct Seen {
    responses: AtomicUsize,
    last: Mutex<Option<DeltaDiscoveryResponse>>,
}

impl Fleet {
    /// Connects one client for each pod. Each subscribes to all that its snapshot has; to clusters and listeners anyway.
    ///
    /// # Panics
    /// If a client cannot connect.
    pub async fn connect(
        address: SocketAddr,
        pki: &Pki,
        pods: &[ObjectName],
        snapshot: impl Fn(&ObjectName) -> Option<Arc<Snapshot>>,
    ) -> Self {
        let (seen, gate) = (Arc::<Seen>::default(), Arc::new(Semaphore::new(HANDSHAKES)));
        let mut connecting = JoinSet::new();
        for pod in pods {
            let (endpoint, requests) = (endpoint(address, pki, pod), requests(snapshot(pod).as_deref()));
            let gate = gate.clone();
            connecting.spawn(async move {
                let _permit = gate.acquire().await.expect("the gate is never closed");
                let channel = endpoint.connect().await.expect("the server listens and trusts the client");
                Client::start(channel, requests).await
            });
        }
        let mut clients = JoinSet::new();
        for client in connecting.join_all().await {
            clients.spawn(client.follow(seen.clone()));
        }
        Self { seen, _clients: clients }
    }

    /// How many responses all clients together have received.
    #[must_use]
    pub fn responses(&self) -> usize {
        self.seen.responses.load(Ordering::Relaxed)
    }

    /// One of the newest responses, and its size in bytes.
    ///
    /// # Panics
    /// If there was none.
    #[must_use]
    pub fn last_response(&self) -> (DeltaDiscoveryResponse, usize) {
        let last = self.seen.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = last.expect("a response was received");
        let size = last.resources.iter().filter_map(|r| r.resource.as_ref()).map(|any| any.value.len()).sum();
        (last, size)
    }
}

/// One stream.
struct Client {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: tonic::Streaming<DeltaDiscoveryResponse>,
}

impl Client {
    async fn start(channel: Channel, first: Vec<DeltaDiscoveryRequest>) -> Self {
        let (requests, outgoing) = mpsc::channel(16);
        for request in first {
            requests.send(request).await.expect("there is room for one request of each kind");
        }
        let mut client = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let stream = client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await;
        Self { requests, responses: stream.expect("the server takes streams").into_inner() }
    }

    /// Acknowledges everything until the server ends the stream.
    async fn follow(mut self, seen: Arc<Seen>) {
        while let Ok(Some(response)) = self.responses.message().await {
            let acknowledgement = DeltaDiscoveryRequest {
                type_url: response.type_url.clone(),
                response_nonce: response.nonce.clone(),
                ..Default::default()
            };
            if self.requests.send(acknowledgement).await.is_err() {
                return;
            }
            if seen.responses.fetch_add(1, Ordering::Relaxed).is_multiple_of(64) {
                *seen.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
            }
        }
    }
}

/// The first request of each kind.
fn requests(snapshot: Option<&Snapshot>) -> Vec<DeltaDiscoveryRequest> {
    let request = |kind: ResourceType| {
        let names = snapshot.into_iter().flat_map(|s| s.of(kind)).map(|(name, _)| name.to_string());
        let named = if kind.is_wildcard() { Vec::new() } else { names.collect() };
        (kind.is_wildcard() || !named.is_empty()).then(|| DeltaDiscoveryRequest {
            type_url: kind.type_url().into(),
            resource_names_subscribe: named,
            ..Default::default()
        })
    };
    ResourceType::ALL.into_iter().filter_map(request).collect()
}

fn endpoint(address: SocketAddr, pki: &Pki, pod: &ObjectName) -> Endpoint {
    let own = pki.proxy(pod);
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(pki.ca.root_pem().as_bytes()))
        .identity(Identity::from_pem(own.chain_pem.as_bytes(), own.key.expose()))
        .domain_name(SERVER);
    let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("an address makes a URI");
    endpoint.tcp_nodelay(true).tls_config(tls).expect("the certificates are sound")
}
