//! The program itself.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};

use crate::{api, bench::get};

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_osm-controller"));
    program.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST").env("HOME", "/nonexistent");
    program
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_flags_and_a_missing_cluster_are_told_apart() {
    let help = program().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success());
    assert!(text.starts_with("The control plane of the mesh"), "{text}");
    assert!(text.contains("Examples:") && text.contains("--osm-namespace"), "{text}");

    let wrong = program().args(["--webhook-url", "http://127.0.0.1"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    let wrong = program().args(["--verbosity", "mesh=loud"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).contains("write a level such as `info`"), "{}", said(&wrong));
    let missing = program().args(["--kubeconfig", "/nonexistent/config"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("give the path of one with --kubeconfig"), "{}", said(&missing));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_it_with_success() {
    let Some(api) = api::Api::connect().await else { return };
    api.namespace("osm-system").await;
    let args = ["--listen-address", "127.0.0.1", "--debug-address", "127.0.0.1:0", "--shutdown-notice", "0"];
    let ports = ["--ads-port", "--http-port", "--injector-port", "--validator-port", "--conversion-port"];
    let mut process = program()
        .arg("--kubeconfig")
        .arg(&api.kubeconfig)
        .args(args)
        .args(ports.iter().flat_map(|port| [*port, "0"]))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let running = loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ends without saying that it runs: {said:#?}")).unwrap();
        if line.contains("the controller runs") {
            break line;
        }
        said.push(line);
    };
    let running: serde_json::Value = serde_json::from_str(&running).unwrap();
    // Nobody may block on a full pipe.
    let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    let (status, text) = get(&format!("http://{}/healthz", running["http"].as_str().unwrap())).await;
    assert_eq!(status, 200, "{text}");
    assert!(Command::new("kill").arg(process.id().to_string()).status().unwrap().success());
    let status = process.wait().unwrap();
    let log = rest.join().unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the controller has ended"), "{log}");
}
