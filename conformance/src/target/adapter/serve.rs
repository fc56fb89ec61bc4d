//! Our own simulator as an adapter: it speaks the protocol from the other side, over labs of its own.
//!
//! It shows that the protocol carries all that the suite asks. On the evaluator, answers are drawn by the exact shares.

mod traffic;
mod world;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use serde::Serialize;
use serde_json::Value;
use simulator::{
    envoy::{Backend, Variant},
    lab::live::Runtime,
};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use self::world::World;
use super::protocol::{
    Call, Code, Described, Done, Explain, Hello, Metrics, PROTOCOL, Refusal, Reply, Setup, Test, Timeouts, Told,
};
use crate::target::{
    ask::{Ask, AskError},
    simulator::implementation,
};

/// What a reply holds, or why there is none.
type Outcome = Result<Value, Refusal>;

/// The other side of the protocol, over labs of this process.
#[derive(Debug)]
pub struct Desk {
    backend: Backend,
    seed: u64,
    worlds: Mutex<BTreeMap<String, Arc<World>>>,
}

impl Desk {
    /// Without any test.
    #[must_use]
    pub fn new(backend: Backend, seed: u64) -> Self {
        Self { backend, seed, worlds: Mutex::default() }
    }

    /// Carries a call out.
    ///
    /// # Errors
    /// Why not.
    pub async fn answer(&self, call: Call) -> Outcome {
        match call {
            Call::Hello(hello) => self.hello(&hello),
            Call::Setup(setup) => self.set_up(setup).await,
            Call::Teardown(Test { test }) => {
                let world = self.worlds.lock().await.remove(&test);
                if let Some(world) = world {
                    world.stop().await?;
                }
                said(&Done {})
            }
            Call::Apply(apply) => said(&self.world(&apply.test).await?.apply(&apply.objects).await?),
            Call::Delete(delete) => said(&self.world(&delete.test).await?.delete(&delete.objects).await?),
            Call::Ready(ready) => {
                said(&self.world(&ready.test).await?.ready(Duration::from_millis(ready.within_ms)).await)
            }
            Call::Change(change) => said(&self.world(&change.test).await?.change(&change.change).await?),
            Call::Send(send) => {
                let world = self.world(&send.test).await?;
                said(&world.send(&send).await?)
            }
            Call::Explain(Explain { test, request }) => {
                said(&Told { text: self.world(&test).await?.explain(&request).await? })
            }
            Call::Dump(Test { test }) => said(&Told { text: self.world(&test).await?.dump().await }),
            Call::Metrics(Metrics { test, path }) => said(&self.world(&test).await?.metrics(&path).await?),
        }
    }

    fn hello(&self, hello: &Hello) -> Outcome {
        if hello.protocol != PROTOCOL {
            let why = format!("this adapter speaks {PROTOCOL}, not {}", hello.protocol);
            return Err(Refusal::new(Code::Unsupported, why));
        }
        let environment = match &self.backend {
            Backend::Evaluator => "in-process evaluator of the generated configuration".to_owned(),
            Backend::Process { version, .. } => format!("Envoy {version} as processes on the loopback network"),
            Backend::Container { image } => format!("Envoy in containers of {image}"),
        };
        said(&Described {
            protocol: PROTOCOL.into(),
            implementation: implementation(&self.backend),
            environment,
            parallel: 4,
            concurrent: true,
            timeouts: Timeouts { convergence: 10, setup: 60, request: 30 },
        })
    }

    async fn set_up(&self, setup: Setup) -> Outcome {
        if self.worlds.lock().await.contains_key(&setup.test) {
            return Err(Refusal::new(Code::Invalid, format!("test {} is set up already", setup.test)));
        }
        let runtime = match &self.backend {
            Backend::Evaluator => None,
            Backend::Process { envoy, .. } => Some(Runtime::Process { envoy: envoy.clone() }),
            Backend::Container { .. } => {
                return Err(Refusal::new(Code::Unsupported, "containers are not served behind the protocol"));
            }
        };
        let test = setup.test.clone();
        let world = World::start(&setup, runtime, Variant::Delta, self.seed).await?;
        self.worlds.lock().await.insert(test, Arc::new(world));
        said(&Done {})
    }

    async fn world(&self, test: &str) -> Result<Arc<World>, Refusal> {
        let worlds = self.worlds.lock().await;
        worlds.get(test).cloned().ok_or_else(|| Refusal::new(Code::Invalid, format!("there is no test {test}")))
    }

    async fn stop(&self) {
        for (test, world) in std::mem::take(&mut *self.worlds.lock().await) {
            if let Err(why) = world.stop().await {
                tracing::warn!("test {test} is not taken down: {why}");
            }
        }
    }
}

impl Ask for Desk {
    fn ask<'a>(&'a self, call: &'a Call, within: Duration) -> BoxFuture<'a, Result<Value, AskError>> {
        async move {
            let silent = || AskError::Silent { method: call.method().into(), within, said: String::new() };
            let answered = tokio::time::timeout(within, self.answer(call.clone())).await;
            answered.map_err(|_| silent())?.map_err(AskError::Refused)
        }
        .boxed()
    }
}

/// Reads requests until there are no more, and writes replies, each when it is ready.
///
/// # Errors
/// Lines cannot be read or written.
pub async fn serve(
    desk: Arc<Desk>,
    input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    let (replies, mut replied) = mpsc::unbounded_channel::<String>();
    let writer = tokio::spawn(async move {
        while let Some(line) = replied.recv().await {
            output.write_all(line.as_bytes()).await?;
            output.flush().await?;
        }
        std::io::Result::Ok(())
    });
    let mut lines = input.lines();
    let mut under_way = JoinSet::new();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let (desk, replies) = (desk.clone(), replies.clone());
        under_way.spawn(async move {
            let reply = reply(&desk, &line).await;
            // Nobody may be reading any more.
            let _ = replies.send(reply);
        });
    }
    while under_way.join_next().await.is_some() {}
    drop(replies);
    desk.stop().await;
    writer.await.map_err(std::io::Error::other)?
}

async fn reply(desk: &Desk, line: &str) -> String {
    let (id, call) = Call::read(line);
    let outcome = match call {
        Ok(call) => desk.answer(call).await,
        Err(refusal) => Err(refusal),
    };
    let reply = match outcome {
        Ok(result) => Reply { id, result: Some(result), error: None },
        Err(refusal) => Reply { id, result: None, error: Some(refusal) },
    };
    // Replies hold nothing that JSON does not.
    serde_json::to_string(&reply).unwrap_or_default() + "\n"
}

fn said(what: &impl Serialize) -> Outcome {
    serde_json::to_value(what).map_err(|error| Refusal::new(Code::Failed, error.to_string()))
}
