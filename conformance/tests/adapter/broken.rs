//! Adapters that break, and meshes that are slow, unsteady or dead: none of that may pass, or be called the mesh's fault wrongly.

use std::time::{Duration, Instant};

use conformance::target::{Target as _, adapter::Adapter};
use simulator::{judge::Verdict, report::ScenarioReport};

use super::{changed, task, told};

const DENIED: &str = "\
scenario: smi/v1
id: denied
title: Nobody is let in.
workloads: {client: {}, web: {ports: {http: 8080}, services: [web]}}
steps:
- traffic: {from: client, to: web}
  expect: {denied: true}
";

const ALLOWED: &str = "\
scenario: smi/v1
id: allowed
title: Everybody is let in.
mesh: {permissive: true}
workloads: {client: {}, web: {ports: {http: 8080}, services: [web]}}
steps:
- traffic: {from: client, to: web}
  expect: {allowed: true}
";

async fn run(scenario: &str, lines: &str) -> ScenarioReport {
    let adapter = Adapter::start(&changed(lines)).await.expect("it says who it is");
    let report = adapter.carry_out(&task(scenario), 5).await;
    adapter.stop().await;
    report
}

/// Whatever goes to a service is refused, as `condition` says.
fn refusing(condition: &str) -> String {
    format!(
        "resolve = mesh.Test.resolve\n\
         def refuse(self, to):\n\
         \x20   if 'service' in to and ({condition}): raise ConnectionRefusedError('denied')\n\
         \x20   return resolve(self, to)\n\
         mesh.Test.resolve = refuse\n"
    )
}

const BOUND: &str = "hello = mesh.Adapter.hello\n\
    def slow(self, params):\n\
    \x20   said = hello(self, params)\n\
    \x20   said['timeouts'] = {'convergence': 20, 'setup': 10, 'request': 2}\n\
    \x20   return said\n\
    mesh.Adapter.hello = slow\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_that_denies_passes() {
    let report = run(DENIED, &refusing("True")).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
    let report = run(ALLOWED, "").await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_mesh_is_waited_for_and_its_time_recorded() {
    let late = refusing("time.monotonic() > self.__dict__.setdefault('since', time.monotonic()) + 0.5");
    let report = run(DENIED, &format!("{BOUND}{late}")).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
    let took = report.steps[0].convergence_ms.unwrap();
    assert!(took >= 500, "{took}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_only_now_and_then_fails() {
    let unsteady = "self.__dict__.update(n=self.__dict__.get('n', 0) + 1) or self.n % 5";
    let report = run(DENIED, &refusing(unsteady)).await;
    assert_eq!(report.verdict, Verdict::Fail, "{}", told(&report));
    assert!(told(&report).contains("it held, and then did not"), "{}", told(&report));
}

/// The client is told that it was denied, but the application knows better.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_that_an_application_saw_fails() {
    let lie = "client = mesh.Test.client\n\
        def lie(self, request, timeout):\n\
        \x20   client(self, request, timeout)\n\
        \x20   return mesh.failed('denied', shape='http-403', status=403)\n\
        mesh.Test.client = lie\n";
    let report = run(DENIED, lie).await;
    assert_eq!(report.verdict, Verdict::Fail, "{}", told(&report));
}

/// Everything fails: that is no denial.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_by_the_dead_proves_nothing() {
    let dead = "mesh.Test.client = lambda self, request, timeout: mesh.failed('dead', shape='closed')";
    let report = run(DENIED, dead).await;
    assert_eq!(report.verdict, Verdict::Infrastructure, "{}", told(&report));
    assert!(told(&report).contains("does not answer even when it is asked directly"), "{}", told(&report));
}

/// What was let through a moment ago is not any more: the denial of the other may be an accident.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_without_its_control_is_inconclusive() {
    let scenario = DENIED
        .replace("workloads: {client: {}", "workloads: {friend: {}, client: {}")
        .replace("steps:\n", "steps:\n- traffic: {from: friend, to: web}\n  expect: {allowed: true}\n");
    // 1 and 8 requests of the friend's, then nothing more.
    let counted = "self.__dict__.update(n=self.__dict__.get('n', 0) + 1) or self.n > 9";
    let report = run(&scenario, &refusing(counted)).await;
    assert_eq!(report.verdict, Verdict::Inconclusive, "{}", told(&report));
    assert!(told(&report).contains("the control request friend → web GET /"), "{}", told(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_breaks_is_infrastructure_and_the_next_test_starts_afresh() {
    let cases = [
        ("os._exit(3)", "the adapter is gone"),
        ("time.sleep(600)", "did not answer `send` within"),
        ("os.write(1, b'debugging\\n'); time.sleep(600)", "is no reply"),
        ("return {'answers': []}", "2 answers"),
        ("return {'result': 1}", "does not fit"),
        ("raise mesh.Refusal('failed', 'out of pods')", "out of pods"),
        ("raise OSError('no network')", "no network"),
    ];
    for (line, expected) in cases {
        let expected = expected.replace("2 answers", "1 requests, but 0 answers");
        // Only the first test of each process meets it.
        let lines = format!(
            "{BOUND}send = mesh.Test.send\n\
             marker = '/tmp/adapter-test-' + str(os.getppid()) + '-{}'\n\
             def broken(self, params):\n\
             \x20   if os.path.exists(marker): return send(self, params)\n\
             \x20   open(marker, 'w').close()\n\
             \x20   {line}\n\
             mesh.Test.send = broken\n",
            expected.len()
        );
        let adapter = Adapter::start(&changed(&lines)).await.unwrap();
        let started = Instant::now();
        let report = adapter.carry_out(&task(ALLOWED), 5).await;
        assert_eq!(report.verdict, Verdict::Infrastructure, "{line}: {}", told(&report));
        assert!(told(&report).contains(&expected), "{line}: {}", told(&report));
        assert!(started.elapsed() < Duration::from_secs(60), "{line}");
        let next = adapter.carry_out(&task(ALLOWED), 6).await;
        assert_eq!(next.verdict, Verdict::Pass, "after {line}: {}", told(&next));
        adapter.stop().await;
        let marker = format!("/tmp/adapter-test-{}-{}", std::process::id(), expected.len());
        std::fs::remove_file(marker).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_do_is_inconclusive() {
    let report =
        run(ALLOWED, "def no(self, params): raise mesh.Refusal('unsupported', 'not here')\nmesh.Test.send = no").await;
    assert_eq!(report.verdict, Verdict::Inconclusive, "{}", told(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_manifest_fails_unless_it_may_be_refused() {
    let scenario = ALLOWED.replace(
        "steps:\n",
        "resources:\n  group: |\n    apiVersion: specs.smi-spec.io/v1alpha4\n    kind: HTTPRouteGroup\n    metadata: {name: g}\n    \
         spec: {matches: [{name: m, pathRegex: /}]}\nsteps:\n- apply: [group]\n",
    );
    let refuse = "mesh.Test.apply = lambda self, params: {'refused': {'reason': 'not today'}}";
    let report = run(&scenario, refuse).await;
    assert_eq!(report.verdict, Verdict::Fail, "{}", told(&report));
    assert!(told(&report).contains("not today"), "{}", told(&report));
    let report = run(&scenario.replace("apply: [group]\n", "apply: [group]\n  mayRefuse: true\n"), refuse).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
    assert!(report.steps[0].summary.contains("not today"), "{:?}", report.steps[0]);
}

const SPLIT: &str = "\
scenario: smi/v1
id: split
title: Weights decide.
mesh: {permissive: true}
workloads:
  client: {}
  a: {ports: {http: 8080}, services: [web, web-a]}
  b: {ports: {http: 8080}, services: [web, web-b]}
  c: {ports: {http: 8080}, services: [web, web-c]}
resources:
  split: |
    apiVersion: split.smi-spec.io/v1alpha4
    kind: TrafficSplit
    metadata: {name: web}
    spec:
      service: web
      backends: [{service: web-a, weight: 80}, {service: web-b, weight: 20}, {service: web-c, weight: 0}]
steps:
- control: {discriminates: shares}
- apply: [split]
- id: shares
  traffic: {from: client, to: web, n: auto}
  expect: {allowed: true, split: {shares: {a: 80, b: 20, c: 0}, delta: 0.1}}
";

/// A mesh that splits by these weights, 0.7 s after it was told to.
fn splitting(weights: &str) -> String {
    format!(
        "{BOUND}apply, resolve = mesh.Test.apply, mesh.Test.resolve\n\
         def note(self, params):\n\
         \x20   self.since = time.monotonic() + 0.7\n\
         \x20   return apply(self, params)\n\
         def split(self, to):\n\
         \x20   if to.get('service', {{}}).get('name') == 'web' and time.monotonic() > self.__dict__.get('since', 9e9):\n\
         \x20       chosen = mesh.random.choices(['web-a', 'web-b', 'web-c'], {weights})[0]\n\
         \x20       to = {{'service': {{**to['service'], 'name': chosen}}}}\n\
         \x20   return resolve(self, to)\n\
         mesh.Test.apply, mesh.Test.resolve = note, split\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_is_measured_once_it_has_settled_and_only_once() {
    let report = run(SPLIT, &splitting("[80, 20, 0]")).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", told(&report));
    let took = report.steps.last().unwrap().convergence_ms.unwrap();
    assert!(took >= 500, "{took}");
    let n = report.steps.last().unwrap().checks[0].statistics.as_ref().unwrap()["n"].as_u64().unwrap();
    assert!(n > 50, "{n}");
    for (weights, why) in [("[65, 35, 0]", "gets too"), ("[79, 19, 2]", "has weight zero and was hit")] {
        let report = run(SPLIT, &splitting(weights)).await;
        assert_eq!(report.verdict, Verdict::Fail, "{}", told(&report));
        assert!(told(&report).contains(why), "{}", told(&report));
    }
}

/// Even of an adapter that does not leave, and leaves children behind.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_running() {
    let lines = "import subprocess\n\
        child = subprocess.Popen(['sleep', '1000'])\n\
        hello = mesh.Adapter.hello\n\
        mesh.Adapter.hello = lambda self, params: {**hello(self, params), 'environment': str(child.pid)}\n\
        main = mesh.main\n\
        def stay():\n\
        \x20   main()\n\
        \x20   time.sleep(1000)\n\
        mesh.main = stay\n";
    let adapter = Adapter::start(&changed(lines)).await.unwrap();
    let child = adapter.environment().backend;
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Who has ended and was not waited for is a zombie.
        !stat.is_empty() && !stat.contains(") Z ")
    };
    assert!(runs());
    adapter.stop().await;
    // It was killed; the kernel takes a moment.
    let deadline = Instant::now() + Duration::from_secs(10);
    while runs() {
        assert!(Instant::now() < deadline, "{child} still runs");
        tokio::task::yield_now().await;
    }
}
