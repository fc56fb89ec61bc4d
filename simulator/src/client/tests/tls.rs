//! Real handshakes against a server that wants a client certificate, like a sidecar's inbound listener.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use super::*;
use crate::client::tls::trusting_any_server;

type Credentials = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str) -> Credentials {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn server(&self, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let (chain, key) = self.issue("shop.default.cluster.local");
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"osm".to_vec()];
        Arc::new(config)
    }
}

fn session(credentials: Option<Credentials>, alpn: &str) -> Session {
    let config = trusting_any_server(credentials, &[alpn]).unwrap();
    let server_name = ServerName::try_from("shop.default.svc.cluster.local").unwrap();
    Session::new(Route::DirectTls { source: None, config, server_name }, Connections::PerRequest)
}

#[tokio::test]
async fn good_credentials_are_served_over_both_versions() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        for proto in ALL {
            let (app, witness) = application(kind(proto), Some(authority.server(version))).await;
            let session = session(Some(authority.issue("client")), "osm");
            let request = request(proto, app.addr(), &RequestIds::new(1));
            answered(&session.send(&request).await.result);
            assert_eq!(witness.sightings(request.id).len(), 1);
            assert_eq!(session.server_names().unwrap(), ["shop.default.cluster.local"]);
        }
    }
}

/// Many times, for with TLS 1.3 the alert races against the client's first write.
#[tokio::test(flavor = "multi_thread")]
async fn bad_credentials_always_look_like_tls() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for version in [&TLS12, &TLS13] {
        for proto in ALL {
            let (app, witness) = application(kind(proto), Some(authority.server(version))).await;
            let none = session(None, "osm");
            let foreign = session(Some(stranger.issue("client")), "osm");
            for session in [none, foreign] {
                for _ in 0..30 {
                    let view = session.send(&request(proto, app.addr(), &RequestIds::new(1))).await;
                    assert_eq!(shape(&view.result), Some(Shape::Tls), "{version:?} {proto:?} {:?}", view.result);
                }
            }
            assert!(witness.is_empty());
        }
    }
}

#[tokio::test]
async fn an_alpn_that_the_server_does_not_speak_looks_like_tls() {
    let authority = Authority::new();
    let (app, _witness) = application(Kind::Http, Some(authority.server(&TLS13))).await;
    let session = session(Some(authority.issue("client")), "h2");
    let view = session.send(&request(Proto::Http2, app.addr(), &RequestIds::new(1))).await;
    assert_eq!(shape(&view.result), Some(Shape::Tls), "{:?}", view.result);
}

/// A sidecar without a filter chain for the SNI closes the connection before any TLS message.
#[tokio::test]
async fn a_close_within_the_handshake_is_closed() {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let request = request(Proto::Http1, listener.local_addr().unwrap(), &RequestIds::new(1));
    let close = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    };
    let session = session(None, "osm");
    let (view, ()) = tokio::join!(session.send(&request), close);
    assert_eq!(shape(&view.result), Some(Shape::Closed), "{:?}", view.result);
}
