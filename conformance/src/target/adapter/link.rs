//! A running adapter: lines to its standard input, lines from its standard output, and what it says on standard error.

use std::{
    collections::{BTreeMap, VecDeque},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::oneshot,
    task::JoinHandle,
};

use super::protocol::{Call, Code, Reply};
use crate::target::ask::{Ask, AskError};

/// What standard error is remembered of.
const TAIL: usize = 20;
/// A line that is longer than this is no reply, in bytes.
const LONGEST: u64 = 64 << 20;
/// How long an adapter may take to leave when its standard input ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// A running adapter. Its process group is killed when this is dropped.
#[derive(Debug)]
pub struct Link {
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    child: tokio::sync::Mutex<Child>,
    group: Option<rustix::process::Pid>,
    next: AtomicU64,
    /// Held while a request is under way, if the adapter takes one at a time.
    turn: tokio::sync::Mutex<()>,
    one_at_a_time: std::sync::atomic::AtomicBool,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Result<Reply, AskError>>>>,
    broken: Mutex<Option<AskError>>,
    said: Mutex<VecDeque<String>>,
}

impl Link {
    /// Starts a command. Nothing is said yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &[String]) -> Result<Self, AskError> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(AskError::Start { command: String::new(), why: "name a command".into() });
        };
        let started = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let why = |error: std::io::Error| AskError::Start { command: command.join(" "), why: error.to_string() };
        let mut child = started.map_err(why)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let shared = Arc::new(Shared::default());
        if let Some((stdout, stderr)) = child.stdout.take().zip(child.stderr.take()) {
            let overheard = tokio::spawn(overhear(stderr, shared.clone()));
            tokio::spawn(listen(stdout, overheard, shared.clone()));
        }
        Ok(Self {
            stdin: tokio::sync::Mutex::new(child.stdin.take()),
            child: tokio::sync::Mutex::new(child),
            group,
            next: AtomicU64::new(1),
            turn: tokio::sync::Mutex::default(),
            one_at_a_time: std::sync::atomic::AtomicBool::new(true),
            shared,
        })
    }

    /// From now on requests are sent without waiting for the replies to those before.
    pub fn allow_concurrency(&self) {
        self.one_at_a_time.store(false, Ordering::SeqCst);
    }

    /// Whether it has come to its end.
    pub fn is_broken(&self) -> bool {
        lock(&self.shared.broken).is_some()
    }

    /// Sends any line, and waits for a reply with this id (or without any, if `None`).
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn exchange(&self, id: Option<u64>, line: &str, within: Duration) -> Result<Reply, AskError> {
        let (reply, replied) = oneshot::channel();
        // A reply without an id answers what could not be read.
        let key = id.unwrap_or(UNREADABLE);
        if let Some(error) = &*lock(&self.shared.broken) {
            return Err(error.clone());
        }
        lock(&self.shared.waiting).insert(key, reply);
        let exchanged = async {
            self.write(line).await?;
            replied.await.unwrap_or_else(|_| Err(self.shared.end()))
        };
        match tokio::time::timeout(within, exchanged).await {
            Ok(Err(AskError::Start { why, .. })) => Err(self.gone(&why).await),
            Ok(result) => result,
            Err(_) => {
                let method = Call::read(line).1.map_or("a line that is no request", |call| call.method());
                let silent = AskError::Silent { method: method.into(), within, said: self.shared.said() };
                self.shared.give_up(&silent);
                self.kill();
                Err(silent)
            }
        }
    }

    async fn write(&self, line: &str) -> Result<(), AskError> {
        let failed = |why: String| AskError::Start { command: String::new(), why };
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().ok_or_else(|| failed("it was told to leave".into()))?;
        stdin.write_all(format!("{line}\n").as_bytes()).await.map_err(|error| failed(error.to_string()))?;
        stdin.flush().await.map_err(|error| failed(error.to_string()))
    }

    /// It does not take what is written: it has ended, and its end is told by the reader.
    async fn gone(&self, why: &str) -> AskError {
        let status = tokio::time::timeout(FAREWELL, async { self.child.lock().await.wait().await }).await;
        let status = status.ok().and_then(Result::ok).map_or_else(|| why.to_owned(), |status| status.to_string());
        let gone = AskError::Gone { status, said: self.shared.said() };
        self.shared.give_up(&gone);
        gone
    }

    /// Tells it to leave, and waits a little; then its process group is killed in any case. Whether it left by itself.
    pub async fn leave(&self) -> bool {
        drop(self.stdin.lock().await.take());
        let left = tokio::time::timeout(FAREWELL, async { self.child.lock().await.wait().await }).await;
        self.kill();
        left.is_ok()
    }

    /// Tells it to leave, and sees to it that it does.
    pub async fn stop(&self) {
        if !self.leave().await {
            tracing::warn!("the adapter did not leave when its standard input ended: it was killed");
        }
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // Gone already is as good.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ask for Link {
    fn ask<'a>(&'a self, call: &'a Call, within: Duration) -> BoxFuture<'a, Result<Value, AskError>> {
        async move {
            let _turn = match self.one_at_a_time.load(Ordering::SeqCst) {
                true => Some(self.turn.lock().await),
                false => None,
            };
            let id = self.next.fetch_add(1, Ordering::SeqCst);
            let line = call.line(id).map_err(|error| AskError::unfit(call.method(), &error))?;
            match self.exchange(Some(id), &line, within).await? {
                Reply { result: Some(result), error: None, .. } => Ok(result),
                Reply { result: None, error: Some(refusal), .. } => Err(AskError::Refused(refusal)),
                _ => Err(AskError::unfit(call.method(), &"a reply has either a result or an error")),
            }
        }
        .boxed()
    }
}

/// The place of replies without an id.
const UNREADABLE: u64 = 0;

impl Shared {
    fn said(&self) -> String {
        lock(&self.said).iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }

    /// Why nothing more is to be had.
    fn end(&self) -> AskError {
        lock(&self.broken).clone().unwrap_or(AskError::Gone { status: "it ended".into(), said: self.said() })
    }

    /// Nobody gets an answer any more.
    fn give_up(&self, why: &AskError) {
        lock(&self.broken).get_or_insert_with(|| why.clone());
        for (_, waiting) in std::mem::take(&mut *lock(&self.waiting)) {
            // Whoever waited may be gone.
            let _ = waiting.send(Err(why.clone()));
        }
    }
}

/// Hands replies to those who wait. The first line that is none ends the conversation.
async fn listen(stdout: ChildStdout, overheard: JoinHandle<()>, shared: Arc<Shared>) {
    let mut lines = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        match (&mut lines).take(LONGEST).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => {
                // What it said last arrives beside this.
                let _ = tokio::time::timeout(FAREWELL, overheard).await;
                let gone = AskError::Gone { status: "its standard output ended".into(), said: shared.said() };
                return shared.give_up(&gone);
            }
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        let reply: Reply = match serde_json::from_str(&text) {
            Ok(reply) => reply,
            Err(error) => return shared.give_up(&garbled(&text, &error, &shared)),
        };
        let unread = reply.error.as_ref().is_some_and(|error| error.code == Code::Malformed);
        let key = reply.id.unwrap_or(UNREADABLE);
        let waiting = lock(&shared.waiting).remove(&key);
        match waiting {
            Some(waiting) => drop(waiting.send(Ok(reply))),
            None if unread => tracing::warn!("the adapter could not read a line: {text}"),
            None => return shared.give_up(&garbled(&text, &"nothing with this id is waited for", &shared)),
        }
    }
}

fn garbled(line: &str, why: &dyn std::fmt::Display, shared: &Shared) -> AskError {
    let short: String = line.trim().chars().take(200).collect();
    AskError::Garbled { line: short, why: why.to_string(), said: shared.said() }
}

async fn overhear(stderr: ChildStderr, shared: Arc<Shared>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!("adapter: {line}");
        let mut said = lock(&shared.said);
        if said.len() == TAIL {
            said.pop_front();
        }
        said.push_back(line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
