//! Envoy proves who it is to a real gRPC server over TLS, by the token in its file.

use std::{fs, path::Path, pin::Pin, process::Command, time::Duration};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
};
use mesh::inject::container::TOKEN_FILE;
use rcgen::generate_simple_self_signed;
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::{
    envoy::{Process, binary},
    pods::{SERVER, bootstrap, injected, probed, settings},
    skip,
};

/// Who came: the header, and the node of the first request.
type Caller = (String, String);

/// Tells who comes, and ends every stream after its first request.
struct Porter(mpsc::UnboundedSender<Caller>);

#[tonic::async_trait]
impl AggregatedDiscoveryService for Porter {
    type StreamAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, Status>> + Send>>;
    type DeltaAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    async fn stream_aggregated_resources(
        &self,
        _: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("delta only"))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let header = header.unwrap_or("nothing").to_owned();
        let first = request.into_inner().next().await;
        let node = first.and_then(Result::ok).and_then(|request| request.node).map(|node| node.id);
        let _ = self.0.send((header, node.unwrap_or_default()));
        Err(Status::unavailable("come again"))
    }
}

fn start(binary: &Path, directory: &TempDir, port: u16, roots: &str) -> Process {
    let mut settings = settings(json!({}));
    settings.installation.control_plane.port = port;
    settings.installation.control_plane.roots = roots.to_owned();
    settings.installation.ipv6 = false;
    let token = directory.path().join("token");
    let pod = injected(&json!({}), &probed(), &settings);
    let config = bootstrap(&pod).replace(TOKEN_FILE, token.to_str().unwrap());
    // Any port will do: nothing else here is asked of this Envoy.
    let config = config.replace("\"port_value\":15000", "\"port_value\":0");
    let mut command = Command::new(binary);
    command.args(["--service-node", "shop/web-1", "--service-cluster", "web.shop", "--disable-hot-restart"]);
    command.args(["--concurrency", "1", "-l", "info", "--config-yaml", &config]);
    Process::start(&mut command, &directory.path().join("log"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_sends_the_token_that_is_in_force() {
    let Some(binary) = binary() else { return skip("there is no Envoy") };
    let pair = generate_simple_self_signed([SERVER.to_owned()]).unwrap();
    let roots = pair.cert.pem();
    let identity = Identity::from_pem(&roots, pair.signing_key.serialize_pem());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, mut callers) = mpsc::unbounded_channel();
    let server = Server::builder().tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
    let service = AggregatedDiscoveryServiceServer::new(Porter(sender));
    let serving = tokio::spawn(server.serve_with_incoming(service, TcpListenerStream::new(listener)));

    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("token"), "first").unwrap();
    let envoy = start(&binary, &directory, port, &roots);
    let patience = Duration::from_secs(60);
    let next = timeout(patience, callers.recv()).await;
    let next = next.unwrap_or_else(|_| panic!("nobody came: {}", envoy.log())).unwrap();
    assert_eq!(next, ("Bearer first".to_owned(), "shop/web-1".to_owned()));

    // The kubelet replaces the file as a whole; the next stream bears the new token.
    fs::write(directory.path().join("new"), "second").unwrap();
    fs::rename(directory.path().join("new"), directory.path().join("token")).unwrap();
    let renewed = async { while callers.recv().await.unwrap().0 != "Bearer second" {} };
    timeout(patience, renewed).await.unwrap_or_else(|_| panic!("the old token is still sent: {}", envoy.log()));
    serving.abort();
}
