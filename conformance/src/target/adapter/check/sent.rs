//! Rules about tests: that they come and go, and that what is said about their traffic is true.

use std::time::{Duration, Instant};

use futures::{FutureExt as _, future::Either};
use serde_json::Value;
use simulator::scenario::model::{Proto, Respond};

use super::{Examination, refused, world};
use crate::target::{
    adapter::protocol::{
        Answer, Answers, Applied, Apply, Call, Change, Changed, Client, Code, Delete, Described, Done, Measured,
        Metrics, Mode, Name, Readied, Ready, Request, Seen, Selected, Send, Setup, Speaks, Test, Told,
    },
    ask::AskError,
};

const SETUP: &str = "A test is set up";
const APPLY: &str = "Objects are accepted or refused";
const READY: &str = "`ready` answers in time";
const DIRECT: &str = "Each application answers when it is asked directly, and nobody else sees that";
const TRUE: &str = "A request is seen once, by the pod that answers, as it was sent";
const FULL: &str = "Every request of a batch is answered, in the same order";
const NOBODY: &str = "What goes to nobody fails, and is seen by nobody";
const TIMEOUT: &str = "A request that is not answered in time is given up";
const RESPOND: &str = "Applications answer as they are told to";
const DELETE: &str = "What is not there can be deleted";
const UNKNOWN_POD: &str = "A pod that is not there is an error of code `invalid`";
const CONCURRENT: &str = "Requests are taken while others are under way, as claimed";
const METRICS: &str = "`metrics` answers, as claimed";
const OPTIONAL: &str = "`explain` and `dump` answer, or are `unsupported`";
const TEARDOWN: &str = "A test is taken down, and is not known any more";
const AGAIN: &str = "It can be set up again under the same name, and taken down twice";

const ALL: [&str; 16] = [
    SETUP,
    APPLY,
    READY,
    DIRECT,
    TRUE,
    FULL,
    NOBODY,
    TIMEOUT,
    RESPOND,
    DELETE,
    UNKNOWN_POD,
    CONCURRENT,
    METRICS,
    OPTIONAL,
    TEARDOWN,
    AGAIN,
];
const NAME: &str = "check";
/// How long a request may take here.
const REQUEST: Duration = Duration::from_secs(2);

type Rule = Result<(), String>;

impl Examination {
    /// Everything for which a test is needed. What cannot be tried after a conversation that broke off is told so.
    pub(super) async fn tests(&mut self) {
        let Some(described) = self.described.clone() else {
            return ALL.iter().for_each(|rule| self.skipped(rule, "it does not say who it is"));
        };
        let claims = |name: &str| described.implementation.features.contains(name);
        let proto = if claims("Http1") { Proto::Http1 } else { Proto::Tcp };
        let mode = if claims("AllowAll") { Mode::AllowAll } else { Mode::Enforcing };
        let speaks = if proto == Proto::Http1 { Speaks::Http } else { Speaks::Tcp };
        let setup = world::setup(NAME, mode, speaks);
        let outcome = self.set_up(&setup).await;
        let there = outcome.is_ok();
        self.found(SETUP, outcome, "make the pods, wait until they are ready, and reply {}");
        if !there {
            return ALL.iter().skip(1).for_each(|rule| self.skipped(rule, "there is no test to try it with"));
        }
        self.answers(&described, mode, proto).await;
        self.behaviour(proto).await;
        self.odds(claims("TrafficMetrics"), described.concurrent, proto).await;
        self.ends(&setup).await;
    }

    /// What is said about traffic is true.
    async fn answers(&mut self, described: &Described, mode: Mode, proto: Proto) {
        let permission = world::permission(described);
        let reachable = mode == Mode::AllowAll || permission.is_some();
        let outcome = self.apply(permission.unwrap_or_default()).await;
        self.found(APPLY, outcome, r#"reply {"accepted": {}} or {"refused": {"reason": "…"}}"#);
        let outcome = self.ready(described.timeouts.convergence).await;
        self.found(READY, outcome, "reply by `withinMs` with what is known then");
        let outcome = self.direct(proto).await;
        self.found(DIRECT, outcome, "`direct` goes from within the pod, say, to its own application");
        if reachable {
            let outcome = self.truthful(proto).await;
            self.found(
                TRUE,
                outcome,
                "let the application record what it saw by id, and read it after the client has ended",
            );
            let outcome = self.in_full(proto).await;
            self.found(FULL, outcome, "one answer for each request, in the order of the requests");
        } else {
            [TRUE, FULL].iter().for_each(|rule| self.skipped(rule, "nobody can be let in"));
        }
        let outcome = self.nobody(proto).await;
        self.found(
            NOBODY,
            outcome,
            "a name that cannot be looked up, or a closed port, is a failed request with `seen: []`",
        );
    }

    async fn set_up(&self, setup: &Setup) -> Rule {
        self.ask::<Done>(&Call::Setup(setup.clone())).await.map(drop).map_err(told)
    }

    async fn apply(&self, objects: Vec<Value>) -> Rule {
        let call = Call::Apply(Apply { test: NAME.into(), objects });
        self.ask::<Applied>(&call).await.map(drop).map_err(told)
    }

    async fn ready(&self, convergence: u64) -> Rule {
        let started = Instant::now();
        let within = Duration::from_secs(convergence);
        let call = Call::Ready(Ready { test: NAME.into(), within_ms: simulator::run::millis(within) });
        self.ask::<Readied>(&call).await.map_err(told)?;
        let took = started.elapsed();
        if took > within + REQUEST { Err(format!("it took {took:?}")) } else { Ok(()) }
    }

    async fn send(&self, requests: Vec<Request>, concurrency: usize) -> Result<Vec<Answer>, String> {
        let timeout_ms = simulator::run::millis(REQUEST);
        let ids: Vec<_> = requests.iter().map(|request| request.id.clone()).collect();
        let call = Call::Send(Send { test: NAME.into(), requests, concurrency, timeout_ms });
        let answers = self.ask::<Answers>(&call).await.map_err(told)?.answers;
        let answered: Vec<_> = answers.iter().map(|answer| answer.id.clone()).collect();
        if answered == ids { Ok(answers) } else { Err(format!("requests {ids:?} were answered as {answered:?}")) }
    }

    async fn direct(&self, proto: Proto) -> Rule {
        let requests: Vec<_> = world::SERVERS.iter().map(|pod| world::direct(self.ids.next_id(), pod, proto)).collect();
        let answers = self.send(requests.clone(), 2).await?;
        for ((pod, request), answer) in world::SERVERS.iter().zip(&requests).zip(&answers) {
            let seen = once(answer)?;
            if seen.pod != *pod {
                return Err(format!("{pod} was asked, and {} saw it", seen.pod));
            }
            as_sent(request, seen)?;
            answered_by(answer, pod)?;
        }
        Ok(())
    }

    async fn truthful(&self, proto: Proto) -> Rule {
        // What was applied may need its time: direct requests do not depend on it, this one does.
        let request = world::to_service(self.ids.next_id(), proto);
        let answer = self.send(vec![request.clone()], 1).await?.swap_remove(0);
        let seen = once(&answer)?;
        if !world::SERVERS.contains(&seen.pod.as_str()) {
            return Err(format!("service web was called, and {} saw it", seen.pod));
        }
        answered_by(&answer, &seen.pod)?;
        as_sent(&request, seen)
    }

    async fn in_full(&self, proto: Proto) -> Rule {
        let requests: Vec<_> = (0..20).map(|_| world::to_service(self.ids.next_id(), proto)).collect();
        let answers = self.send(requests, 4).await?;
        answers.iter().try_for_each(|answer| once(answer).map(drop))
    }

    async fn nobody(&self, proto: Proto) -> Rule {
        let silent = world::to_pod(self.ids.next_id(), world::SERVERS[0], world::SILENT, proto);
        let requests = vec![world::to_nobody(self.ids.next_id(), proto), silent];
        for answer in self.send(requests, 2).await? {
            if !answer.seen.is_empty() {
                return Err(format!("somebody saw it: {:?}", answer.seen));
            }
            if !matches!(answer.client, Client::Failed { .. }) {
                return Err(format!("it was answered: {:?}", answer.client));
            }
        }
        Ok(())
    }

    async fn respond(&self, respond: Respond) -> Rule {
        let pods = vec![world::SERVERS[0].to_owned()];
        let change = Changed::Respond(Selected { pods, respond });
        self.ask::<Done>(&Call::Change(Change { test: NAME.into(), change })).await.map(drop).map_err(told)
    }

    /// How applications answer, and do not.
    async fn behaviour(&mut self, proto: Proto) {
        if proto != Proto::Http1 {
            return [RESPOND, TIMEOUT].iter().for_each(|rule| self.skipped(rule, "Http1 is not claimed"));
        }
        let outcome = self.as_told(proto).await;
        self.found(RESPOND, outcome, "`change.respond` takes the place of `respond` in `setup`");
        let outcome = self.in_vain(proto).await;
        self.found(TIMEOUT, outcome, "a request that takes longer than `timeoutMs` has failed; reply all the same");
    }

    async fn as_told(&self, proto: Proto) -> Rule {
        self.respond(Respond { status: Some(418), ..Respond::default() }).await?;
        let request = world::direct(self.ids.next_id(), world::SERVERS[0], proto);
        let answer = self.send(vec![request], 1).await?.swap_remove(0);
        match answer.client {
            Client::Answered { status: Some(418), .. } => Ok(()),
            other => Err(format!("status 418 was told, and the client saw {other:?}")),
        }
    }

    async fn in_vain(&self, proto: Proto) -> Rule {
        self.respond(Respond { delay: Some("5s".into()), ..Respond::default() }).await?;
        let started = Instant::now();
        let request = world::direct(self.ids.next_id(), world::SERVERS[0], proto);
        let answer = self.send(vec![request], 1).await?.swap_remove(0);
        self.respond(Respond::default()).await?;
        if !matches!(answer.client, Client::Failed { .. }) {
            return Err(format!("it was answered after {REQUEST:?}: {:?}", answer.client));
        }
        let took = started.elapsed();
        if took < REQUEST * 2 { Ok(()) } else { Err(format!("it took {took:?} instead of {REQUEST:?}")) }
    }

    async fn odds(&mut self, metrics: bool, concurrent: bool, proto: Proto) {
        let ghost = Name {
            api_version: "split.smi-spec.io/v1alpha4".into(),
            kind: "TrafficSplit".into(),
            namespace: "default".into(),
            name: "ghost".into(),
        };
        let call = Call::Delete(Delete { test: NAME.into(), objects: vec![ghost] });
        let outcome = self.ask::<Done>(&call).await.map(drop).map_err(told);
        self.found(DELETE, outcome, "deleting is about what remains: nothing");
        let request = world::direct(self.ids.next_id(), "nobody-0", proto);
        let call = Call::Send(Send { test: NAME.into(), requests: vec![request], concurrency: 1, timeout_ms: 2_000 });
        let outcome = refused(self.ask::<Answers>(&call).await, Code::Invalid);
        self.found(UNKNOWN_POD, outcome, "a mistake in a request is an error, not a failed request");
        if concurrent && proto == Proto::Http1 {
            let outcome = self.at_once(proto).await;
            self.found(CONCURRENT, outcome, "say `concurrent: false`, or reply to each request when it is done");
        } else {
            self.skipped(CONCURRENT, "not claimed, or Http1 is not");
        }
        if metrics {
            let path = "/apis/metrics.smi-spec.io/v1alpha1/namespaces/default/pods".to_owned();
            let outcome = self.ask::<Measured>(&Call::Metrics(Metrics { test: NAME.into(), path })).await;
            self.found(METRICS, outcome.map(drop).map_err(told), "do not claim TrafficMetrics, or pass the GET on");
        } else {
            self.skipped(METRICS, "not claimed");
        }
        let dumped = self.ask::<Told>(&Call::Dump(Test { test: NAME.into() })).await;
        let outcome = dumped.map(drop).or_else(|error| if error.is_unsupported() { Ok(()) } else { Err(told(error)) });
        self.found(OPTIONAL, outcome, r#"reply {"text": "…"} or an error of code `unsupported`"#);
    }

    /// Two requests under way: the second is answered while the first still waits.
    async fn at_once(&self, proto: Proto) -> Rule {
        self.link.allow_concurrency();
        self.respond(Respond { delay: Some("1s".into()), ..Respond::default() }).await?;
        let [slow, quick] = [0, 1].map(|i| vec![world::direct(self.ids.next_id(), world::SERVERS[i], proto)]);
        let (slow, quick) = (self.send(slow, 1).boxed(), self.send(quick, 1).boxed());
        let (slow, quick) = match futures::future::select(slow, quick).await {
            Either::Left((slow, quick)) => {
                let _ = (slow, quick.await);
                Err("the second waited for the first".to_owned())
            }
            Either::Right((quick, slow)) => Ok((slow.await, quick)),
        }?;
        self.respond(Respond::default()).await?;
        answered_by(&slow?[0], world::SERVERS[0])?;
        answered_by(&quick?[0], world::SERVERS[1])
    }

    async fn ends(&mut self, setup: &Setup) {
        let teardown = Call::Teardown(Test { test: NAME.into() });
        let mut outcome = self.ask::<Done>(&teardown).await.map(drop).map_err(told);
        if outcome.is_ok() {
            let call = Call::Ready(Ready { test: NAME.into(), within_ms: 100 });
            outcome = refused(self.ask::<Readied>(&call).await, Code::Invalid);
        }
        self.found(TEARDOWN, outcome, "forget the test when it is taken down");
        let mut outcome = self.set_up(setup).await;
        for _ in 0..2 {
            if outcome.is_ok() {
                outcome = self.ask::<Done>(&teardown).await.map(drop).map_err(told);
            }
        }
        self.found(AGAIN, outcome, "teardown leaves nothing behind, and of what is not there it says {}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` takes")]
fn told(error: AskError) -> String {
    error.to_string()
}

fn once(answer: &Answer) -> Result<&Seen, String> {
    match answer.seen.as_slice() {
        [seen] => Ok(seen),
        [] => Err(format!("nobody saw it; the client saw {:?}", answer.client)),
        several => Err(format!("it was seen {} times: {several:?}", several.len())),
    }
}

fn answered_by(answer: &Answer, pod: &str) -> Rule {
    match &answer.client {
        Client::Answered { pod: Some(said), .. } if said == pod => Ok(()),
        other => Err(format!("{pod} saw it, and the client {other:?}")),
    }
}

fn as_sent(request: &Request, seen: &Seen) -> Rule {
    if seen.port != world::CONTAINER {
        return Err(format!("it came in on port {}, and the application listens on {}", seen.port, world::CONTAINER));
    }
    for (what, sent, got) in [("method", &request.method, &seen.method), ("path", &request.path, &seen.path)] {
        if sent != got {
            return Err(format!("{what} `{sent}` was sent, and `{got}` seen"));
        }
    }
    for (name, value) in &request.headers {
        if seen.headers.get(name) != Some(value) {
            return Err(format!("{name}: {value} was sent, and {:?} seen", seen.headers.get(name)));
        }
    }
    Ok(())
}
