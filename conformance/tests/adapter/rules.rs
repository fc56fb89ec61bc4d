//! The conformance test of adapters: it passes those that keep the protocol, and finds what is wrong with the others.

use std::{process::Command, time::Duration};

use conformance::target::adapter::check::{Finding, Found, check_within, passed};
use futures::StreamExt as _;

use super::{changed, ours, python};

/// What starts takes its time on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

fn shown(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn adapters_that_keep_the_protocol_pass() {
    for command in [python(&[]), python(&["--claim", "TrafficTarget,Http1"]), ours("evaluator")] {
        let findings = check_within(&command, SOON).await;
        assert!(passed(&findings), "{command:?}\n{}", shown(&findings));
        let tried = findings.iter().filter(|finding| finding.result == Found::Passed).count();
        assert!(tried >= 18, "{command:?}\n{}", shown(&findings));
    }
}

/// The rules that were broken, by the beginning of their text.
async fn broken(command: &[String]) -> String {
    let findings = check_within(command, SOON).await;
    assert!(!passed(&findings), "{command:?}\n{}", shown(&findings));
    shown(&findings)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_found() {
    let quick = "hello = mesh.Adapter.hello\n\
        mesh.Adapter.hello = lambda self, params: {**hello(self, params), 'timeouts': {'convergence': 1, 'setup': 5, 'request': 1}}\n";
    let seen = |change: &str| {
        format!(
            "send = mesh.Test.send\n\
             def lie(self, params):\n\
             \x20   said = send(self, params)\n\
             \x20   answers = said['answers']\n\
             \x20   {change}\n\
             \x20   return said\n\
             mesh.Test.send = lie\n"
        )
    };
    let cases = [
        ("print('starting', flush=True)".to_owned(), "It starts", "is no reply"),
        ("time.sleep(600)".into(), "It starts", "did not answer `hello`"),
        ("sys.exit('no cluster')".into(), "It starts", "no cluster"),
        (
            "hello = mesh.Adapter.hello\nmesh.Adapter.hello = lambda s, p: {**hello(s, p), 'timeouts': {'convergence': 600}}".into(),
            "It starts",
            "no mesh may take more than 60 s",
        ),
        ("mesh.CLAIMS.append('TrafficSplits')".into(), "It starts", "TrafficSplits"),
        ("hello = mesh.Adapter.hello\nmesh.Adapter.hello = lambda s, p: {**hello(s, p), 'verdict': 'pass'}".into(), "It starts", "verdict"),
        (seen("answers[-1:] = []"), "Each application answers", "were answered as"),
        (seen("answers.reverse()"), "Each application answers", "were answered as"),
        (seen("[seen.update(pod='web-0') for one in answers for seen in one['seen']]"), "Each application answers", "web-1 was asked, and web-0 saw it"),
        (seen("[one.update(seen=[]) for one in answers]"), "Each application answers", "nobody saw it"),
        (seen("[one.update(seen=one['seen'] * 2) for one in answers]"), "Each application answers", "seen 2 times"),
        (seen("[seen.pop('headers', 0) for one in answers for seen in one['seen']]"), "Each application answers", "x-check"),
        (seen("[seen.update(port=8080) for one in answers for seen in one['seen']]"), "Each application answers", "came in on port 8080"),
        (seen("os.write(1, b'sent!\\n')"), "Each application answers", "sent!"),
        (
            seen("[one.update(client={'answered': {'pod': 'web-0'}}) for one in answers if 'failed' in one['client']]"),
            "What goes to nobody",
            "it was answered",
        ),
        (format!("{quick}mesh.Test.ready = lambda self, params: time.sleep(600)"), "`ready` answers", "did not answer `ready`"),
        ("mesh.Test.apply = lambda self, params: {}".into(), "Objects are accepted or refused", "does not fit"),
        ("reply = mesh.Adapter.reply\nmesh.Adapter.reply = lambda self, line: {**reply(self, line), 'id': 7}".into(), "It starts", "waited for"),
        (
            "reply = mesh.Adapter.reply\ndef die(self, line):\n    if line[0] != '{': os._exit(1)\n    return reply(self, line)\nmesh.Adapter.reply = die".into(),
            "A line that is no request",
            "the adapter is gone",
        ),
        ("mesh.Adapter.teardown = lambda self, params: {}".into(), "A test is taken down", "the result is"),
        (
            "main = mesh.main\ndef stay():\n    main()\n    time.sleep(600)\nmesh.main = stay".into(),
            "It leaves by itself",
            "was killed",
        ),
    ];
    let examined = cases.iter().map(|(lines, rule, why)| async move {
        let shown = broken(&changed(lines)).await;
        let failed = shown.split("FAILED   ").nth(1).unwrap_or_default();
        assert!(failed.starts_with(rule) && failed.contains(why), "{lines}\n{shown}");
    });
    futures::stream::iter(examined).buffer_unordered(4).collect::<()>().await;
}

#[test]
fn the_command_tells_and_exits_with_1_if_a_rule_is_broken() {
    let check = |adapter: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smi-conformance"));
        command.args(["adapter", "check", "--"]).args(adapter).output().unwrap()
    };
    let good = check(&python(&[]));
    let text = String::from_utf8_lossy(&good.stdout);
    assert_eq!(good.status.code(), Some(0), "{text}");
    assert!(text.contains("passed   A request is seen once") && text.contains("0 failed"), "{text}");
    let bad = check(&["false".to_owned()]);
    let text = String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(1), "{text}");
    assert!(text.contains("FAILED   It starts") && text.contains("hint: "), "{text}");
    let absent = check(&["/no/such/adapter".to_owned()]);
    assert_eq!(absent.status.code(), Some(1));
}
