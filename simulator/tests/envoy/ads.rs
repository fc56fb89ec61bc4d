//! The least ADS server that a real Envoy takes its configuration from: mutual TLS, one answer for every kind.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes, BytesMut};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Frame, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh::snapshot::{ResourceType, Snapshot};
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use simulator::envoy::{ControlPlane, Credentials, Pem, Variant};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_rustls::TlsAcceptor;

pub(crate) const SERVER_NAME: &str = "osm-controller.osm-system.svc.cluster.local";

/// A running server. It stops with its runtime.
pub(crate) struct Ads {
    pub(crate) control_plane: ControlPlane,
    pub(crate) credentials: Credentials,
    tls: TlsAcceptor,
    snapshot: watch::Sender<Option<Snapshot>>,
    refused: Arc<Mutex<Vec<String>>>,
}

struct Certificates {
    server: (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
    client: Credentials,
    roots: RootCertStore,
}

impl Ads {
    /// Listens at `ip`; its certificate is for `name`. Answers nothing until [`Ads::serve`].
    pub(crate) async fn start(ip: IpAddr, variant: Variant, name: &str) -> Self {
        let ads = Self::down(ip, variant, name).await;
        ads.listen().await;
        ads
    }

    /// Has an address and certificates, and does not listen until [`Ads::listen`].
    pub(crate) async fn down(ip: IpAddr, variant: Variant, name: &str) -> Self {
        let certificates = issue(name);
        let verifier = WebPkiClientVerifier::builder(Arc::new(certificates.roots)).build().unwrap();
        let (chain, key) = certificates.server;
        let mut tls = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(tls));

        let address = TcpListener::bind((ip, 0)).await.unwrap().local_addr().unwrap();
        let control_plane = ControlPlane { address, server_name: SERVER_NAME.into(), variant };
        let (credentials, snapshot) = (certificates.client, watch::Sender::new(None));
        Self { control_plane, credentials, tls, snapshot, refused: Arc::default() }
    }

    pub(crate) async fn listen(&self) {
        let listener = TcpListener::bind(self.control_plane.address).await.unwrap();
        tokio::spawn(accept(listener, self.tls.clone(), self.snapshot.subscribe(), self.refused.clone()));
    }

    pub(crate) fn serve(&self, snapshot: Snapshot) {
        self.snapshot.send_replace(Some(snapshot));
    }

    /// What Envoy refused (NACK), in its words.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap().clone()
    }
}

fn issue(name: &str) -> Certificates {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "root");
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &root).unwrap(), key)
    };
    let (server, server_key) = leaf(name);
    let (client, client_key) = leaf("pod.sidecar.sa.ns.cluster.local");
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    Certificates {
        server: (vec![server.der().clone()], PrivateKeyDer::try_from(server_key.serialize_der()).unwrap()),
        client: Credentials {
            certificate: Pem::Inline(client.pem()),
            key: Pem::Inline(client_key.serialize_pem()),
            authority: Pem::Inline(root.pem()),
        },
        roots,
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    snapshot: watch::Receiver<Option<Snapshot>>,
    refused: Arc<Mutex<Vec<String>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, snapshot, refused) = (tls.clone(), snapshot.clone(), refused.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| {
                std::future::ready(Ok::<_, Infallible>(answer(request, snapshot.clone(), refused.clone())))
            });
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn answer(
    request: http::Request<Incoming>,
    mut snapshot: watch::Receiver<Option<Snapshot>>,
    refused: Arc<Mutex<Vec<String>>>,
) -> http::Response<UnsyncBoxBody<Bytes, Infallible>> {
    let delta = request.uri().path().ends_with("/DeltaAggregatedResources");
    let mut requests = request.into_body();
    let (sender, responses) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut buffer, mut answered) = (BytesMut::new(), BTreeSet::new());
        while let Some(Ok(frame)) = requests.frame().await {
            buffer.extend(frame.into_data().unwrap_or_default());
            while let Some(message) = unframe(&mut buffer) {
                let (kind, error) = if delta {
                    let request = DeltaDiscoveryRequest::decode(message).unwrap();
                    (request.type_url, request.error_detail)
                } else {
                    let request = DiscoveryRequest::decode(message).unwrap();
                    (request.type_url, request.error_detail)
                };
                refused.lock().unwrap().extend(error.map(|e| e.message));
                if answered.insert(kind.clone()) {
                    let Ok(snapshot) = snapshot.wait_for(Option::is_some).await else { return };
                    let response = respond(snapshot.as_ref().unwrap(), &kind, delta);
                    drop(sender.send(Ok(Frame::data(response))));
                }
            }
        }
    });
    let stream = futures::stream::unfold(responses, async |mut r| r.recv().await.map(|frame| (frame, r)));
    let response = http::Response::builder().header("content-type", "application/grpc");
    response.body(StreamBody::new(stream).boxed_unsync()).unwrap()
}

fn respond(snapshot: &Snapshot, type_url: &str, delta: bool) -> Bytes {
    let kind = ResourceType::from_type_url(type_url).unwrap();
    let message = if delta {
        let resource = |(name, r): (&Arc<str>, &mesh::snapshot::Resource)| Resource {
            name: name.to_string(),
            version: r.version.to_string(),
            resource: Some((*r.body).clone()),
            ..Resource::default()
        };
        let resources = snapshot.of(kind).map(resource).collect();
        DeltaDiscoveryResponse { resources, type_url: type_url.into(), nonce: "1".into(), ..Default::default() }
            .encode_to_vec()
    } else {
        let resources = snapshot.of(kind).map(|(_, r)| (*r.body).clone()).collect();
        let (version_info, nonce) = ("1".into(), "1".into());
        DiscoveryResponse { resources, type_url: type_url.into(), nonce, version_info, ..Default::default() }
            .encode_to_vec()
    };
    // gRPC: one byte "compressed", four bytes length.
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &message].concat().into()
}

fn unframe(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(buffer.get(1..5)?.try_into().unwrap()) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some(buffer.split_to(length).freeze())
}
