//! Fake services beside the mesh that sidecars ask, over real gRPC.

mod authorization;
mod rate_limit;

use std::{io, net::SocketAddr, time::Duration};

use envoy_types::pb::envoy::service::{
    auth::v3::authorization_server::AuthorizationServer,
    ratelimit::v3::rate_limit_service_server::RateLimitServiceServer,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};

use self::{authorization::Judge, rate_limit::Counter};
use crate::scenario::{duration, model::Extension};

/// How the host name of an extension ends in manifests.
pub const DOMAIN: &str = ".extension.sim";

/// A running service. Dropping it ends it.
#[derive(Debug)]
pub struct Running(JoinHandle<()>);

impl Running {
    /// Starts to listen; connections are accepted when this returns. `None` if it shall be down.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn start(extension: &Extension, address: SocketAddr) -> io::Result<Option<Self>> {
        if extension.down {
            return Ok(None);
        }
        let incoming = TcpIncoming::from(TcpListener::bind(address).await?);
        let delay = extension.delay.as_deref().and_then(|text| duration::parse(text).ok()).unwrap_or(Duration::ZERO);
        let counter =
            extension.rate_limit.clone().map(|limits| RateLimitServiceServer::new(Counter::new(limits, delay)));
        let judge = extension.authorization.clone().map(|rules| AuthorizationServer::new(Judge::new(rules, delay)));
        let router = Server::builder().add_optional_service(counter).add_optional_service(judge);
        Ok(Some(Self(tokio::spawn(async move {
            if let Err(error) = router.serve_with_incoming(incoming).await {
                tracing::warn!(%address, %error, "the extension ended");
            }
        }))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The text of a manifest with the host names of extensions replaced by the address at which they listen.
pub fn resolved<'a>(text: &str, names: impl Iterator<Item = &'a String>, address: &str) -> String {
    let mut hosts: Vec<String> = names.map(|name| format!("{name}{DOMAIN}")).collect();
    // One name may end like another.
    hosts.sort_by_key(|host| std::cmp::Reverse(host.len()));
    hosts.iter().fold(text.to_owned(), |text, host| text.replace(host, address))
}
