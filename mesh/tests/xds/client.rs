//! A small ADS client over mTLS.

use std::{collections::BTreeMap, net::SocketAddr};

use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Ads,
    },
};
use mesh::snapshot::ResourceType;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::pki::{Pair, SERVER};

/// Connects with this certificate, trusting this root.
pub(crate) async fn connect(
    address: SocketAddr,
    root: &str,
    own: Option<&Pair>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(root)).domain_name(SERVER);
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(&own.chain, &own.key));
    }
    Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap().connect().await
}

/// An incremental stream.
pub(crate) struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

/// A stream over a new connection.
pub(crate) async fn delta(address: SocketAddr, root: &str, own: Option<&Pair>) -> Result<Delta, Status> {
    let channel = connect(address, root, own).await.map_err(|e| Status::unavailable(format!("{e:?}")))?;
    let (requests, outgoing) = mpsc::channel(16);
    let responses = Ads::new(channel).delta_aggregated_resources(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok(Delta { requests, responses })
}

impl Delta {
    pub(crate) async fn send(&self, kind: ResourceType, request: DeltaDiscoveryRequest) {
        let node = Some(Node { id: "anybody".into(), ..Default::default() });
        let request = DeltaDiscoveryRequest { type_url: kind.type_url().into(), node, ..request };
        // A stream that has ended says so when it is read next.
        let _ = self.requests.send(request).await;
    }

    pub(crate) async fn subscribe(&self, kind: ResourceType, names: &[&str]) {
        let resource_names_subscribe = names.iter().map(ToString::to_string).collect();
        self.send(kind, DeltaDiscoveryRequest { resource_names_subscribe, ..Default::default() }).await;
    }

    pub(crate) async fn ack(&self, response: &DeltaDiscoveryResponse) {
        self.answer(response, None).await;
    }

    pub(crate) async fn nack(&self, response: &DeltaDiscoveryResponse, message: &str) {
        self.answer(response, Some(message)).await;
    }

    async fn answer(&self, response: &DeltaDiscoveryResponse, refusal: Option<&str>) {
        let error_detail = refusal
            .map(|message| envoy_types::pb::google::rpc::Status { message: message.into(), ..Default::default() });
        let kind = ResourceType::from_type_url(&response.type_url).unwrap();
        let response_nonce = response.nonce.clone();
        self.send(kind, DeltaDiscoveryRequest { response_nonce, error_detail, ..Default::default() }).await;
    }

    /// The next response, or the status that ended the stream.
    pub(crate) async fn next(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        self.responses.message().await?.ok_or_else(|| Status::ok("the server ended the stream"))
    }

    /// The names and contents of the next response, after acknowledging it. Removed names have no content.
    pub(crate) async fn take(&mut self) -> BTreeMap<String, Option<String>> {
        let response = self.next().await.unwrap();
        self.ack(&response).await;
        contents(&response)
    }

    /// Acknowledges everything until the stream ends.
    pub(crate) async fn follow(mut self) -> Status {
        loop {
            match self.next().await {
                Ok(response) => self.ack(&response).await,
                Err(status) => return status,
            }
        }
    }
}

pub(crate) fn contents(response: &DeltaDiscoveryResponse) -> BTreeMap<String, Option<String>> {
    let resources = response.resources.iter().map(|r| {
        let body = r.resource.as_ref().unwrap();
        (r.name.clone(), Some(String::from_utf8_lossy(&body.value).into_owned()))
    });
    resources.chain(response.removed_resources.iter().map(|n| (n.clone(), None))).collect()
}

/// What [`contents`] should be.
pub(crate) fn expect(resources: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    resources.iter().map(|(n, c)| ((*n).to_owned(), c.map(ToOwned::to_owned))).collect()
}

/// A state-of-the-world stream.
pub(crate) struct Sotw {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

pub(crate) async fn sotw(address: SocketAddr, root: &str, own: &Pair) -> Sotw {
    let channel = connect(address, root, Some(own)).await.unwrap();
    let (requests, outgoing) = mpsc::channel(16);
    let responses = Ads::new(channel).stream_aggregated_resources(ReceiverStream::new(outgoing)).await.unwrap();
    Sotw { requests, responses: responses.into_inner() }
}

impl Sotw {
    pub(crate) async fn subscribe(&self, kind: ResourceType, names: &[&str]) {
        let resource_names = names.iter().map(ToString::to_string).collect();
        let request = DiscoveryRequest { type_url: kind.type_url().into(), resource_names, ..Default::default() };
        self.requests.send(request).await.unwrap();
    }

    /// The contents of the next response.
    pub(crate) async fn take(&mut self) -> Vec<String> {
        let response = self.responses.message().await.unwrap().unwrap();
        response.resources.iter().map(|r| String::from_utf8_lossy(&r.value).into_owned()).collect()
    }
}
