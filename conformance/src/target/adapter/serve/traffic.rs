//! Requests behind the protocol: sent by fake clients, or drawn from what the evaluator says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use simulator::{
    client::{Route, Session},
    evaluator::{Delivered, Verdict},
    exchange::{ClientResult, Request as Sent, RequestId, Sighting},
    lab::Lab,
    run::{aim::Aim, predict::Prediction},
    scenario::{
        duration,
        model::{Connections, Credentials, Proto, Respond, Shape, Traffic},
    },
    workload::Witness,
};

use super::world::{World, failed, named, over};
use crate::target::adapter::protocol::{
    Answer, Answers, Client, Code, PodPort, Refusal, Request, Seen, Send, To, ToHost, ToService,
};

/// A request on its way.
enum Way {
    /// Decided already, and told after this time.
    Drawn(Answer, Duration),
    /// To be sent.
    Real(Arc<Session>, Sent),
}

/// Connections that requests share, by sender, receiver and protocol.
type Sessions = BTreeMap<(String, String, Proto), Arc<Session>>;

impl World {
    pub(super) async fn send(&self, send: &Send) -> Result<Answers, Refusal> {
        let (ways, witness) = self.ways(send).await?;
        let asked = witness.clone();
        let under_way = ways.into_iter().map(|way| {
            let witness = asked.clone();
            async move {
                match (way, witness) {
                    (Way::Real(session, sent), Some(witness)) => {
                        let view = session.send(&sent).await;
                        answer(sent.id, client(view.result), &witness.sightings(sent.id))
                    }
                    (Way::Real(_, sent), None) => answer(sent.id, nobody(), &[]),
                    (Way::Drawn(answer, delay), _) => {
                        tokio::time::sleep(delay).await;
                        answer
                    }
                }
            }
        });
        let mut answers: Vec<Answer> = stream::iter(under_way).buffered(send.concurrency.max(1)).collect().await;
        if let Some(witness) = witness {
            // What arrived late counts too.
            for answer in &mut answers {
                let Ok(id) = answer.id.parse() else { continue };
                if answer.seen.is_empty() {
                    answer.seen = witness.sightings(id).iter().map(seen).collect();
                }
                witness.forget([id]);
            }
        }
        Ok(Answers { answers })
    }

    async fn ways(&self, send: &Send) -> Result<(Vec<Way>, Option<Arc<Witness>>), Refusal> {
        let lab = self.lab.lock().await;
        let lab = lab.as_ref().ok_or_else(over)?;
        let timeout = Duration::from_millis(send.timeout_ms);
        let mut sessions = Sessions::new();
        let mut ways = Vec::new();
        for request in &send.requests {
            let id: RequestId = request.id.parse().map_err(|error| Refusal::new(Code::Invalid, format!("{error}")))?;
            ways.push(match (&request.to, request.direct) {
                (To::Pod(to), true) => direct(lab, request, to, id, timeout)?,
                (_, true) => return Err(Refusal::new(Code::Invalid, "only a pod can be asked directly")),
                (_, false) => {
                    let traffic = traffic(request)?;
                    let aim = Aim::new(lab, &traffic).map_err(|error| failed(&error))?;
                    match &aim.route {
                        Some(route) => {
                            let session = session(&mut sessions, route, request, timeout);
                            let n = self.below(aim.addresses.len() as u64);
                            Way::Real(session, aim.request(id, usize::try_from(n).unwrap_or(0)))
                        }
                        None => self.drawn(lab, &aim, id, timeout)?,
                    }
                }
            });
        }
        Ok((ways, lab.live.as_ref().map(|live| live.witness.clone())))
    }

    /// One of the outcomes that the evaluator knows, by their shares.
    fn drawn(&self, lab: &Lab, aim: &Aim, id: RequestId, timeout: Duration) -> Result<Way, Refusal> {
        let n = usize::try_from(self.below(aim.addresses.len() as u64)).unwrap_or(0);
        let request = aim.request(id, n);
        let evaluated = lab.evaluator().evaluate(&aim.caller, &request);
        let evaluation = evaluated.map_err(|error| Refusal::new(Code::Unsupported, error.to_string()))?;
        let mut left = self.below(evaluation.total);
        let drawn = evaluation.outcomes.iter().find(|outcome| {
            let hit = left < outcome.weight;
            left = left.saturating_sub(outcome.weight);
            hit
        });
        Ok(match drawn.map(|outcome| &outcome.verdict) {
            Some(Verdict::Delivered(delivered)) => self.delivered(lab, delivered, &request, timeout),
            Some(Verdict::Denied(denial)) => {
                let detail = format!("denied by {} at {}", denial.pod, denial.layer);
                let (shape, status) = (denial.shape, denial.status);
                at_once(answer(id, Client::Failed { shape, status, headers: BTreeMap::new(), detail }, &[]))
            }
            None => at_once(answer(id, nobody(), &[])),
        })
    }

    fn delivered(&self, lab: &Lab, delivered: &Delivered, request: &Sent, timeout: Duration) -> Way {
        let pod = lab.topology.pods.values().find(|pod| pod.object.name.name == delivered.pod);
        let respond = pod.map(|pod| pod.respond.clone()).unwrap_or_default();
        let fails =
            self.below(100) < u64::from(respond.fail_percent.unwrap_or(0)) || respond.fail_first.unwrap_or(0) > 0;
        let status = match request.proto {
            Proto::Tcp | Proto::TcpServerFirst => None,
            _ if fails => Some(503),
            Proto::Websocket => Some(101),
            _ => Some(respond.status.unwrap_or(200)),
        };
        let tcp = status.is_none();
        let client = if delivered.banner_only {
            lost(Some(Shape::Closed), "nothing but the server's first words")
        } else if delay(&respond) >= timeout {
            lost(None, "timed out")
        } else {
            Client::Answered { status, pod: Some(delivered.pod.to_string()), headers: BTreeMap::new() }
        };
        let text = |text: &String| if tcp { String::new() } else { text.clone() };
        let seen = Seen {
            pod: delivered.pod.to_string(),
            port: delivered.port,
            method: text(&request.method),
            path: delivered.path.clone(),
            host: delivered.authority.clone(),
            headers: if tcp { BTreeMap::new() } else { request.headers.clone() },
            peer: delivered.peer.as_deref().and_then(account),
        };
        Way::Drawn(Answer { id: request.id.to_string(), client, seen: vec![seen] }, delay(&respond).min(timeout))
    }

    pub(super) async fn explain(&self, request: &Request) -> Result<String, Refusal> {
        let lab = self.lab.lock().await;
        let lab = lab.as_ref().ok_or_else(over)?;
        let aim = Aim::new(lab, &traffic(request)?).map_err(|error| failed(&error))?;
        let prediction = Prediction::of(lab.evaluator(), &aim)
            .map_err(|error| Refusal::new(Code::Unsupported, error.to_string()))?;
        let ways: Vec<_> = prediction.outcomes.iter().map(|outcome| outcome.trace.join("\n")).collect();
        Ok(ways.join("\n\n"))
    }
}

/// Asks the application of a pod itself.
fn direct(lab: &Lab, request: &Request, to: &PodPort, id: RequestId, timeout: Duration) -> Result<Way, Refusal> {
    let pod = named(lab, std::slice::from_ref(&to.name))?.swap_remove(0);
    let Some(live) = &lab.live else {
        let seen = Seen {
            pod: to.name.clone(),
            port: to.port,
            method: request.method.clone(),
            path: request.path.clone(),
            host: request.host.clone().unwrap_or_default(),
            headers: request.headers.clone(),
            peer: None,
        };
        let status = (!request.method.is_empty()).then(|| pod.respond.status.unwrap_or(200));
        let client = match delay(&pod.respond) >= timeout {
            true => lost(None, "timed out"),
            false => Client::Answered { status, pod: Some(to.name.clone()), headers: BTreeMap::new() },
        };
        let there = pod.ports.contains_key(&to.port);
        let answer = Answer { id: id.to_string(), client, seen: vec![seen] };
        let later = Way::Drawn(answer, delay(&pod.respond).min(timeout));
        return Ok(if there { later } else { at_once(self::answer(id, nobody(), &[])) });
    };
    let Some(destination) = live.application(&pod.object.name, to.port) else {
        return Ok(at_once(answer(id, nobody(), &[])));
    };
    let session = Session::new(Route::Direct { source: None }, Connections::PerRequest).with_timeout(timeout);
    let sent = Sent {
        id,
        proto: request.proto,
        destination,
        authority: request.host.clone().unwrap_or_else(|| destination.to_string()),
        method: request.method.clone(),
        path: request.path.clone(),
        headers: request.headers.clone(),
    };
    Ok(Way::Real(Arc::new(session), sent))
}

fn session(sessions: &mut Sessions, route: &Route, request: &Request, timeout: Duration) -> Arc<Session> {
    let fresh = || Arc::new(Session::new(route.clone(), request.conn).with_timeout(timeout));
    if request.conn == Connections::PerRequest {
        return fresh();
    }
    let key = (request.from.clone(), format!("{:?}", request.to), request.proto);
    sessions.entry(key).or_insert_with(fresh).clone()
}

/// A request as a scenario would write it.
fn traffic(request: &Request) -> Result<Traffic, Refusal> {
    let plaintext = Credentials { plaintext: true, ..Credentials::default() };
    let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
    Ok(Traffic {
        from: place(&request.from)?,
        to: match &request.to {
            To::Service(ToService { host, port, .. }) | To::Host(ToHost { host, port }) => format!("{host}:{port}"),
            To::Pod(PodPort { name, port }) => format!("pod:{}:{port}", place(name)?),
        },
        host: request.host.clone(),
        method: filled(&request.method),
        path: filled(&request.path),
        headers: request.headers.clone(),
        proto: request.proto,
        conn: request.conn,
        present: request.bypass.then_some(plaintext),
        ..Traffic::default()
    })
}

/// A pod as scenarios write it: `web-1` is `web/1`.
fn place(pod: &str) -> Result<String, Refusal> {
    let (workload, index) =
        pod.rsplit_once('-').ok_or_else(|| Refusal::new(Code::Invalid, format!("there is no pod {pod}")))?;
    Ok(format!("{workload}/{index}"))
}

/// `spiffe://<trust domain>/<account>/<namespace>` as `<namespace>/<account>`.
fn account(uri: &str) -> Option<String> {
    let mut parts = uri.strip_prefix("spiffe://")?.split('/').skip(1);
    let (account, namespace) = (parts.next()?, parts.next()?);
    Some(format!("{namespace}/{account}"))
}

fn answer(id: RequestId, client: Client, sightings: &[Sighting]) -> Answer {
    Answer { id: id.to_string(), client, seen: sightings.iter().map(seen).collect() }
}

fn client(result: ClientResult) -> Client {
    match result {
        ClientResult::Answered { status, pod, headers } => Client::Answered { status, pod, headers },
        ClientResult::Failed { shape, status, headers, detail } => Client::Failed { shape, status, headers, detail },
    }
}

fn seen(sighting: &Sighting) -> Seen {
    Seen {
        pod: sighting.pod.to_string(),
        port: sighting.port,
        method: sighting.method.clone(),
        path: sighting.path.clone(),
        host: sighting.authority.clone(),
        headers: sighting.headers.clone(),
        peer: sighting.peer.as_deref().and_then(account),
    }
}

fn lost(shape: Option<Shape>, why: &str) -> Client {
    Client::Failed { shape, status: None, headers: BTreeMap::new(), detail: why.to_owned() }
}

fn nobody() -> Client {
    lost(Some(Shape::Refused), "nobody is there")
}

fn at_once(answer: Answer) -> Way {
    Way::Drawn(answer, Duration::ZERO)
}

/// How long an application takes to answer.
fn delay(respond: &Respond) -> Duration {
    respond.delay.as_deref().and_then(|delay| duration::parse(delay).ok()).unwrap_or_default()
}
