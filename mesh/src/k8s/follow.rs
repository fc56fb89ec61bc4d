//! Follows all objects of one kind: list, watch, resume, list again.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures::TryStreamExt as _;
use kube::{
    Api, Error, Resource, ResourceExt as _,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

pub use super::event::Event;

/// The API server ends a watch after this time, and tells bookmarks about every minute.
const WATCH_FOR: Duration = Duration::from_secs(240);
/// A watch in which nothing comes for so long is dead, whatever the connection says.
const SILENCE: Duration = Duration::from_secs(150);
/// Objects per page of a list.
const PAGE: u32 = 500;
/// Pause before a kind that the cluster does not define is asked for again.
const MISSING: Duration = Duration::from_secs(2);

/// Follows the objects of `versions` (of one kind; the first version that is served counts), and sends what `tell` makes of
/// each event to `out`. Ends when nobody listens any more. Errors are logged and tried again for ever.
///
/// What is told is complete: whatever was deleted while the connection was broken is missing in the next
/// [`Event::Listed`].
pub async fn follow<K, M>(versions: Vec<Api<K>>, tell: impl Fn(Event<K>) -> M + Send, out: mpsc::Sender<M>)
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    M: Send,
{
    let mut pause = Pause::default();
    let mut version = 0;
    while let Some(api) = versions.get(version) {
        match list(api).await {
            Ok((objects, revision)) => {
                pause.over();
                if out.send(tell(Event::Listed(objects))).await.is_err() {
                    return;
                }
                if follow_from(api, revision, &tell, &out).await.is_err() {
                    return;
                }
            }
            Err(error) if is_missing(&error) && version + 1 < versions.len() => version += 1,
            Err(error) if is_missing(&error) => {
                version = 0;
                if out.send(tell(Event::Missing)).await.is_err() {
                    return;
                }
                tokio::time::sleep(MISSING).await;
            }
            Err(error) => {
                tracing::warn!(url = api.resource_url(), %error, "cannot list; trying again");
                pause.take().await;
            }
        }
        if out.is_closed() {
            return;
        }
    }
}

/// Nobody listens any more.
struct Unheard;

/// Watches from `revision` on until a new list is needed.
async fn follow_from<K, M>(
    api: &Api<K>,
    mut revision: String,
    tell: &impl Fn(Event<K>) -> M,
    out: &mpsc::Sender<M>,
) -> Result<(), Unheard>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut pause = Pause::default();
    loop {
        let started = Instant::now();
        match watch(api, &mut revision, tell, out).await {
            Ok(Next::List) => {
                pause.take().await;
                return Ok(());
            }
            // One that ends at once does not deserve another at once.
            Ok(Next::Resume) if started.elapsed() > Duration::from_secs(1) => pause.over(),
            Ok(Next::Resume) => pause.take().await,
            Err(Unheard) => return Err(Unheard),
        }
        if out.is_closed() {
            return Err(Unheard);
        }
    }
}

/// How to go on after a watch has ended.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Resume,
    List,
}

async fn watch<K, M>(
    api: &Api<K>,
    revision: &mut String,
    tell: &impl Fn(Event<K>) -> M,
    out: &mpsc::Sender<M>,
) -> Result<Next, Unheard>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    #[expect(clippy::cast_possible_truncation, reason = "some minutes")]
    let parameters = WatchParams::default().timeout(WATCH_FOR.as_secs() as u32);
    let events = match timeout(SILENCE, api.watch(&parameters, revision)).await {
        Ok(Ok(events)) => events,
        Ok(Err(error)) => return Ok(after(api, &error)),
        Err(_) => return Ok(Next::Resume),
    };
    let mut events = pin!(events);
    loop {
        let event = match timeout(SILENCE, events.try_next()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) | Err(_) => return Ok(Next::Resume),
            Ok(Err(error)) => return Ok(after(api, &error)),
        };
        let (told, at) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let at = object.resource_version();
                (Event::Put(object), at)
            }
            WatchEvent::Deleted(object) => {
                let at = object.resource_version();
                (Event::Gone(object), at)
            }
            WatchEvent::Bookmark(bookmark) => {
                *revision = bookmark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(status) => return Ok(after(api, &Error::Api(status))),
        };
        out.send(tell(told)).await.map_err(|_| Unheard)?;
        // Told before it is remembered: an event may come twice, never not at all.
        match at {
            Some(at) => *revision = at,
            None => return Ok(Next::List),
        }
    }
}

/// Whatever the API server says itself (410 above all) calls for a list; a broken connection is resumed.
fn after<K: Resource>(api: &Api<K>, error: &Error) -> Next {
    tracing::debug!(url = api.resource_url(), %error, "the watch ended");
    match error {
        // The API server is starting, or is told to wait: the revision is still good.
        Error::Api(status) if matches!(status.code, 429 | 500 | 502 | 503 | 504) => Next::Resume,
        Error::Api(_) | Error::SerdeError(_) => Next::List,
        _ => Next::Resume,
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// All objects, and the revision at which these are all.
async fn list<K>(api: &Api<K>) -> Result<(Vec<K>, String), Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut parameters = ListParams::default().limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        objects.extend(page.items);
        parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if parameters.continue_token.is_none() {
            return Ok((objects, page.metadata.resource_version.unwrap_or_default()));
        }
    }
}

/// Pauses that grow from 50 ms to 5 s, each by up to a half longer so that replicas do not step together.
#[derive(Debug, Default)]
struct Pause {
    taken: u32,
}

impl Pause {
    fn over(&mut self) {
        self.taken = 0;
    }

    async fn take(&mut self) {
        let base = Duration::from_millis(50 << self.taken.min(7)).min(Duration::from_secs(5));
        self.taken += 1;
        tokio::time::sleep(base + base.mul_f64(fraction() / 2.0)).await;
    }
}

/// Some number from 0 to 1.
fn fraction() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    f64::from(u16::try_from(RandomState::new().hash_one(0) & 0xFFFF).unwrap_or_default()) / f64::from(u16::MAX)
}
