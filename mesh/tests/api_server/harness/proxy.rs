//! A TCP proxy before the API server that can cut connections in the middle of whatever they carry.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kube::{Client, Config};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::ApiServer;

/// Forwards until it has been told to cut.
pub(crate) struct Proxy {
    config: Config,
    /// Bytes that the API server may still say; connections break at the last one.
    budget: Arc<AtomicUsize>,
    /// Connections that were cut.
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(server: &ApiServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = server.config();
        config.cluster_url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (budget, cuts) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(0)));
        let (port, left, counter) = (server.port(), budget.clone(), cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, port, left.clone(), counter.clone()));
            }
        });
        Self { config, budget, cuts }
    }

    /// A client that goes through it.
    pub(crate) fn client(&self) -> Client {
        Client::try_from(self.config.clone()).unwrap()
    }

    /// Cuts every connection on which something is said once `bytes` more have been said.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.budget.store(bytes, Ordering::SeqCst);
    }

    /// Cuts nothing any more.
    pub(crate) fn heal(&self) {
        self.budget.store(usize::MAX, Ordering::SeqCst);
    }

    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn forward(client: TcpStream, port: u16, budget: Arc<AtomicUsize>, cuts: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async move { tokio::io::copy(&mut from_client, &mut to_server).await.is_ok() };
    let down = async move {
        let mut buffer = vec![0; 4096];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let left = budget.load(Ordering::SeqCst);
            if left != usize::MAX {
                budget.store(left.saturating_sub(read), Ordering::SeqCst);
            }
            if to_client.write_all(&buffer[..read.min(left)]).await.is_err() {
                return false;
            }
            if read >= left {
                cuts.fetch_add(1, Ordering::SeqCst);
                return false;
            }
        }
        true
    };
    tokio::select! { _ = up => (), _ = down => () }
}
