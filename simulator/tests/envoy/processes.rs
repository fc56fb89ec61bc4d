use std::{
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use simulator::envoy::{
    ADMIN_PORT, Backend, Bootstrap, Preference, Sidecar, SidecarError, State, Variant, Wish,
    admin::{Expected, Unsettled},
    choose,
    process::{Launch, Process},
};
use tempfile::TempDir;

use crate::{
    ads::{Ads, SERVER_NAME},
    pod, skip,
};

const PATIENCE: Duration = Duration::from_secs(30);
const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

async fn envoy() -> Option<PathBuf> {
    let wish = Wish { preference: Preference::Process, ..Wish::default() };
    match choose(&wish).await {
        Ok(choice) => match choice.backend {
            Backend::Process { envoy, .. } => Some(envoy),
            other => panic!("asked for a process, got {other:?}"),
        },
        Err(error) => {
            skip(&error.to_string());
            None
        }
    }
}

fn launch(envoy: PathBuf, pod: IpAddr, ads: &Ads, dir: &TempDir) -> Launch {
    let bootstrap = Bootstrap {
        node_id: "pod".into(),
        node_cluster: "sa.ns".into(),
        admin: SocketAddr::new(pod, ADMIN_PORT),
        control_plane: ads.control_plane.clone(),
        credentials: ads.credentials.clone(),
        bind: Some(pod),
        names: None,
    };
    Launch { envoy, bootstrap, dir: dir.path().into(), log_level: "warning".into() }
}

async fn start(launch: Launch) -> Sidecar {
    Sidecar::Process(Box::new(Process::start(launch).await.unwrap()))
}

/// A process is gone if it does not exist, or if it is only waited for by somebody else (a zombie).
async fn wait_gone(pid: u32) {
    let runs = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
    };
    let waiting = async {
        while runs() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("Envoy must be gone");
}

#[tokio::test]
async fn without_a_control_plane_a_sidecar_waits_and_says_so() {
    let Some(envoy) = envoy().await else { return };
    let (dir, pod) = (tempfile::tempdir().unwrap(), "127.81.0.1".parse().unwrap());
    let ads = Ads::down(LOCALHOST, Variant::Delta, SERVER_NAME).await;

    let process = Process::start(launch(envoy, pod, &ads, &dir)).await.unwrap();
    let pid = process.pid().unwrap();
    assert_eq!(process.admin().ready().await.unwrap(), State::PreInitializing);
    let unsettled = process.admin().unsettled(&Expected::default()).await.unwrap();
    assert_eq!(unsettled, Some(Unsettled::State(State::PreInitializing)));
    let mode = fs::metadata(dir.path().join("bootstrap.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the private key is for the owner only");

    let mut sidecar = Sidecar::Process(Box::new(process));
    let error = sidecar.wait_live(Duration::from_millis(50)).await.unwrap_err().to_string();
    assert!(error.contains("PreInitializing"), "{error}");

    // A control plane that comes up is found without anybody's help.
    ads.serve(pod::snapshot(pod, pod, pod::application(LOCALHOST).await));
    ads.listen().await;
    sidecar.wait_live(PATIENCE).await.unwrap();

    drop(sidecar);
    wait_gone(pid).await;
}

#[tokio::test]
async fn an_adapted_snapshot_carries_traffic_both_ways() {
    let Some(envoy) = envoy().await else { return };
    for (variant, pod) in [(Variant::Delta, "127.81.0.2"), (Variant::Sotw, "127.81.0.3")] {
        let (dir, pod) = (tempfile::tempdir().unwrap(), pod.parse().unwrap());
        let ads = Ads::start(LOCALHOST, variant, SERVER_NAME).await;
        let snapshot = pod::snapshot(pod, pod, pod::application(LOCALHOST).await);
        let expected = Expected::of(&snapshot);
        ads.serve(snapshot);

        let mut sidecar = start(launch(envoy.clone(), pod, &ads, &dir)).await;
        for round in 0..2 {
            sidecar.wait_live(PATIENCE).await.unwrap();
            assert_eq!(ads.refused(), [""; 0]);
            assert_eq!(sidecar.admin().unsettled(&expected).await.unwrap(), None);

            let outbound = SocketAddr::new(pod, 15001);
            let answer = format!("application called from {pod}");
            assert_eq!(pod::call_service(outbound, pod::SERVICE).await, answer, "through the service, round {round}");
            assert_eq!(pod::call_pod(SocketAddr::new(pod, pod::TARGET_PORT)).await, answer, "at the target port");
            assert_eq!(pod::call_service(outbound, (pod::SERVICE.0, 81)).await, "", "no such service port");
            sidecar.restart().await.unwrap();
        }
        sidecar.stop().await.unwrap();
    }
}

#[tokio::test]
async fn unsettled_names_what_is_missing_and_what_is_too_many() {
    let Some(envoy) = envoy().await else { return };
    let (dir, pod) = (tempfile::tempdir().unwrap(), "127.81.0.4".parse().unwrap());
    let ads = Ads::start(LOCALHOST, Variant::Delta, SERVER_NAME).await;
    let snapshot = pod::snapshot(pod, pod, pod::application(LOCALHOST).await);
    let mut expected = Expected::of(&snapshot);
    ads.serve(snapshot);
    let mut sidecar = start(launch(envoy, pod, &ads, &dir)).await;
    sidecar.wait_live(PATIENCE).await.unwrap();

    expected.clusters = ["other".to_owned()].into();
    let (missing, extra) = (vec!["other".into()], vec!["ns/svc|8080|local".into()]);
    assert_eq!(
        sidecar.admin().unsettled(&expected).await.unwrap(),
        Some(Unsettled::Resources { kind: "cluster", missing, extra })
    );
    expected.listeners.remove("inbound-listener");
    let extra = vec!["inbound-listener".into()];
    assert_eq!(
        sidecar.admin().unsettled(&expected).await.unwrap(),
        Some(Unsettled::Resources { kind: "listener", missing: vec![], extra })
    );

    let admin = sidecar.admin();
    assert!(admin.config_dump().await.unwrap()["configs"].is_array());
    assert!(admin.certs().await.unwrap()["certificates"].is_array());
    assert_eq!(admin.clusters().await.unwrap()["cluster_statuses"].as_array().unwrap().len(), 3);
    assert_eq!(admin.listeners().await.unwrap()["listener_statuses"].as_array().unwrap().len(), 3);
    let stats = admin.stats(Some("^control_plane\\.connected_state$")).await.unwrap();
    assert_eq!(stats.into_iter().collect::<Vec<_>>(), [("control_plane.connected_state".into(), 1)]);
    admin.set_log_level("debug").await.unwrap();
    assert!(admin.set_log_level("loud").await.is_err());
    assert!(sidecar.log().await.contains("[debug]"));
}

#[tokio::test]
async fn an_impostor_of_the_control_plane_is_not_believed() {
    let Some(envoy) = envoy().await else { return };
    let (dir, pod) = (tempfile::tempdir().unwrap(), "127.81.0.5".parse().unwrap());
    // Signed by the right authority, for another name.
    let ads = Ads::start(LOCALHOST, Variant::Delta, "pod.sidecar.sa.ns.cluster.local").await;
    ads.serve(pod::snapshot(pod, pod, pod::application(LOCALHOST).await));

    let process = Process::start(launch(envoy, pod, &ads, &dir)).await.unwrap();
    let rejections = "cluster.osm-controller.ssl.fail_verify_san";
    let rejected = async {
        while process.admin().stats(Some(rejections)).await.unwrap().values().sum::<u64>() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, rejected).await.expect("Envoy must check the server's name");
    assert_eq!(process.admin().ready().await.unwrap(), State::PreInitializing);
}

#[tokio::test]
async fn five_start_side_by_side_and_none_outlives_its_owner() {
    let Some(envoy) = envoy().await else { return };
    let ads = Ads::start(LOCALHOST, Variant::Delta, SERVER_NAME).await;
    let dirs: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let starting = dirs
        .iter()
        .zip(1_u8..)
        .map(|(dir, n)| Process::start(launch(envoy.clone(), IpAddr::from([127, 81, 1, n]), &ads, dir)));
    let started = futures::future::try_join_all(starting).await.unwrap();
    let pids: Vec<_> = started.iter().map(|process| process.pid().unwrap()).collect();
    drop(started);
    for pid in pids {
        wait_gone(pid).await;
    }
}

#[tokio::test]
async fn an_envoy_that_cannot_start_says_why() {
    let Some(envoy) = envoy().await else { return };
    let (first, second, third) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ads = Ads::start(LOCALHOST, Variant::Delta, SERVER_NAME).await;
    let pod = "127.81.0.6".parse().unwrap();
    let _running = Process::start(launch(envoy.clone(), pod, &ads, &first)).await.unwrap();

    // The address is taken, by an Envoy that answers.
    let error = Process::start(launch(envoy, pod, &ads, &second)).await.unwrap_err();
    let SidecarError::Exited { log, .. } = &error else { panic!("{error}") };
    assert!(log.contains("127.81.0.6:15000"), "{error}");

    // setpriv or the system says that there is no such program.
    let error = Process::start(launch("/nowhere/envoy".into(), pod, &ads, &third)).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/envoy"), "{error}");
}

#[tokio::test]
async fn a_simulator_that_is_killed_leaves_no_envoy_behind() {
    if envoy().await.is_none() {
        return;
    }
    let this = std::env::current_exe().unwrap();
    let mut holder = Command::new(this)
        .args(["--ignored", "--exact", "processes::hold_a_sidecar", "--nocapture", "--test-threads=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| line.unwrap().rsplit_once("sidecar ")?.1.parse::<u32>().ok());
    // SIGKILL.
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_gone(pid.expect("the holder must have started a sidecar")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a part of a_simulator_that_is_killed_leaves_no_envoy_behind"]
async fn hold_a_sidecar() {
    let ads = Ads::start(LOCALHOST, Variant::Delta, SERVER_NAME).await;
    let dir = tempfile::tempdir().unwrap();
    let launch = launch(envoy().await.unwrap(), "127.81.0.7".parse().unwrap(), &ads, &dir);
    // Files of a killed process stay; these are the test's own.
    let process = Process::start(launch).await.unwrap();
    fs::remove_dir_all(dir.path()).unwrap();
    println!("sidecar {}", process.pid().unwrap());
    std::future::pending::<()>().await;
}
