//! Asks every sidecar what it counted, and remembers it for a window.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};

use super::{answer::Measured, exposition::Page, exposition::page, flow::Traffic, history::History};
use crate::{ca::Clock, model::ObjectName};

/// One look at every sidecar: what it counted, or why it did not tell.
pub type Pages = Vec<(ObjectName, Result<Page, String>)>;

/// Where statistics come from.
pub trait Source: fmt::Debug + Send + Sync {
    /// Asks every sidecar.
    fn pages(&self) -> BoxFuture<'_, Pages>;
}

/// Remembers what sidecars told.
#[derive(Debug)]
pub struct Observer {
    source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    window: i64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    histories: BTreeMap<ObjectName, History>,
    gaps: BTreeMap<ObjectName, String>,
    at: Option<i64>,
}

impl Observer {
    /// Has seen nothing yet. `window` is in whole seconds.
    pub fn new(source: Box<dyn Source>, clock: Arc<dyn Clock>, window: Duration) -> Self {
        let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX).max(1);
        Self { source, clock, window, seen: Mutex::default() }
    }

    /// Asks every sidecar once. Returns how many told and how many did not.
    pub async fn observe(&self) -> (usize, usize) {
        let pages = self.source.pages().await;
        let now = self.clock.now();
        let mut seen = self.seen();
        let Seen { histories, gaps, at } = &mut *seen;
        gaps.clear();
        let present: BTreeSet<ObjectName> = pages.iter().map(|(pod, _)| pod.clone()).collect();
        for (pod, page) in pages {
            match page {
                Ok(page) => {
                    let page = Page { traffic: page.traffic.told_by(&pod), ..page };
                    histories.entry(pod).or_default().push(now, page, self.window);
                }
                Err(why) => drop(gaps.insert(pod, why)),
            }
        }
        // What a pod counted that is gone now still happened in the window.
        let start = now - self.window;
        histories.retain(|pod, history| present.contains(pod) || history.newest().is_some_and(|newest| newest > start));
        *at = Some(now);
        (present.len() - gaps.len(), gaps.len())
    }

    /// What was measured up to the last look; `None` before the first.
    pub fn measured(&self) -> Option<Measured> {
        let seen = self.seen();
        let at = seen.at?;
        let start = at - self.window;
        let mut traffic = Traffic::default();
        seen.histories.values().for_each(|history| traffic.add(&history.since(start)));
        let whole_since = seen.histories.values().map(|history| history.whole_since(start)).max().unwrap_or(start);
        Some(Measured { traffic, at, window: at - whole_since, gaps: seen.gaps.clone() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the sidecar of every pod for its statistics, at the port that the injector opens for Prometheus.
///
/// A pod whose namespace has no metrics (annotation `openservicemesh.io/metrics`) or that has no sidecar does not answer, and
/// is a gap like any other.
pub struct Sidecars {
    pods: Box<dyn Fn() -> Vec<(ObjectName, IpAddr)> + Send + Sync>,
    client: reqwest::Client,
    port: u16,
}

/// Sidecars that are asked at the same time.
const CONCURRENCY: usize = 32;
/// Longest time that one may take, the connection included.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest page, in bytes.
const LONGEST: usize = 32 << 20;

impl Sidecars {
    /// Asks the sidecars of the pods that `pods` names, at `port` of their addresses.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(
        pods: impl Fn() -> Vec<(ObjectName, IpAddr)> + Send + Sync + 'static,
        port: u16,
    ) -> Result<Self, reqwest::Error> {
        // The client wants a provider of cryptography even for plain HTTP. Whoever was first has set one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().pool_max_idle_per_host(0);
        let client = client.redirect(reqwest::redirect::Policy::none()).tls_certs_only([]).build()?;
        Ok(Self { pods: Box::new(pods), client, port })
    }

    async fn ask(&self, address: SocketAddr) -> Result<Page, String> {
        let url = format!("http://{address}/stats/prometheus");
        let told = |error: reqwest::Error| if error.is_timeout() { "timeout".to_owned() } else { root(&error) };
        let mut answer = self.client.get(url).send().await.map_err(told)?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            if text.len() + chunk.len() > LONGEST {
                return Err(format!("more than {LONGEST} bytes"));
            }
            text.extend_from_slice(&chunk);
        }
        page(&String::from_utf8_lossy(&text)).map_err(|error| error.to_string())
    }
}

impl Source for Sidecars {
    fn pages(&self) -> BoxFuture<'_, Pages> {
        let asked = futures::stream::iter((self.pods)())
            .map(move |(pod, ip)| async move { (pod, self.ask(SocketAddr::new(ip, self.port)).await) });
        asked.buffer_unordered(CONCURRENCY).collect().boxed()
    }
}

impl fmt::Debug for Sidecars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecars").field("port", &self.port).finish_non_exhaustive()
    }
}

/// The innermost cause: `connection refused`.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
