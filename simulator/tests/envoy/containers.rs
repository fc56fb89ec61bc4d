use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use simulator::envoy::{
    ADMIN_PORT, Backend, Bootstrap, Preference, Sidecar, SidecarError, Variant, Wish,
    admin::Expected,
    choose,
    container::{Container, Launch},
    network::{Engine, Network, OWNER_LABEL},
};

use crate::{
    ads::{Ads, SERVER_NAME},
    pod, skip,
};

const PATIENCE: Duration = Duration::from_secs(60);
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

async fn image() -> Option<(Engine, String)> {
    let wish =
        Wish { preference: Preference::Container, image: std::env::var("SMI_ENVOY_IMAGE").ok(), ..Wish::default() };
    match choose(&wish).await {
        Ok(choice) => match choice.backend {
            Backend::Container { image } => Some((Engine::connect().await.unwrap(), image)),
            other => panic!("asked for containers, got {other:?}"),
        },
        Err(error) => {
            skip(&error.to_string());
            None
        }
    }
}

fn launch(image: &str, network: &Arc<Network>, ads: &Ads) -> Launch {
    let bootstrap = Bootstrap {
        node_id: "pod".into(),
        node_cluster: "sa.ns".into(),
        admin: SocketAddr::new(ANY, ADMIN_PORT),
        control_plane: ads.control_plane.clone(),
        credentials: ads.credentials.clone(),
        bind: None,
        names: None,
    };
    Launch { image: image.into(), network: network.clone(), bootstrap, log_level: "warning".into() }
}

/// Ids of containers and names of networks that `docker ps`, `docker network ls` list under a filter.
fn listed(what: &[&str], filter: &str) -> String {
    let output = std::process::Command::new("docker").args(what).args(["-q", "--filter", filter]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_carries_traffic_and_nothing_of_it_is_left() {
    let Some((engine, image)) = image().await else { return };
    let network = Arc::new(Network::create(&engine, "traffic").await.unwrap());
    let ads = Ads::start(network.gateway(), Variant::Delta, SERVER_NAME).await;
    let application = pod::application(network.gateway()).await;

    let container = Container::start(launch(&image, &network, &ads)).await.unwrap();
    let (id, pod) = (container.id().to_owned(), container.address());
    let snapshot = pod::snapshot(pod, ANY, application);
    let expected = Expected::of(&snapshot);
    ads.serve(snapshot);

    let mut sidecar = Sidecar::Container(Box::new(container));
    for round in 0..2 {
        sidecar.wait_live(PATIENCE).await.unwrap();
        assert_eq!(ads.refused(), [""; 0]);
        assert_eq!(sidecar.admin().unsettled(&expected).await.unwrap(), None);
        let answer = format!("application called from {pod}");
        let outbound = SocketAddr::new(pod, 15001);
        assert_eq!(pod::call_service(outbound, pod::SERVICE).await, answer, "through the service, round {round}");
        assert_eq!(pod::call_pod(SocketAddr::new(pod, pod::TARGET_PORT)).await, answer, "at the target port");
        sidecar.restart().await.unwrap();
    }

    let name = network.name().to_owned();
    sidecar.stop().await.unwrap();
    Arc::into_inner(network).unwrap().remove().await.unwrap();
    assert_eq!(listed(&["ps", "-a"], &format!("id={id}")), "");
    assert_eq!(listed(&["network", "ls"], &format!("name={name}")), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_removes_container_and_network() {
    let Some((engine, image)) = image().await else { return };
    let network = Arc::new(Network::create(&engine, "dropped").await.unwrap());
    let ads = Ads::start(network.gateway(), Variant::Delta, SERVER_NAME).await;
    let container = Container::start(launch(&image, &network, &ads)).await.unwrap();
    let (id, name) = (container.id().to_owned(), network.name().to_owned());
    drop(container);
    drop(network);
    assert_eq!(listed(&["ps", "-a"], &format!("id={id}")), "");
    assert_eq!(listed(&["network", "ls"], &format!("name={name}")), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_refuses_its_bootstrap_says_why() {
    let Some((engine, image)) = image().await else { return };
    let network = Arc::new(Network::create(&engine, "refused").await.unwrap());
    let mut ads = Ads::start(network.gateway(), Variant::Delta, SERVER_NAME).await;
    ads.credentials.key = simulator::envoy::Pem::Inline("no key".into());
    let error = Container::start(launch(&image, &network, &ads)).await.unwrap_err();
    let SidecarError::Exited { log, .. } = &error else { panic!("{error}") };
    assert!(log.contains("private key"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_dead_simulator_are_removed_and_those_of_a_living_one_are_not() {
    let Some((engine, image)) = image().await else { return };
    let ours = Arc::new(Network::create(&engine, "living").await.unwrap());
    let ads = Ads::start(ours.gateway(), Variant::Delta, SERVER_NAME).await;
    let container = Container::start(launch(&image, &ours, &ads)).await.unwrap();

    // No process has ever had this id and start time.
    let label = format!("{OWNER_LABEL}=4194305@1");
    let name = format!("smi-dead-{}", std::process::id());
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    docker(&["network", "create", "--label", &label, &name]);
    docker(&[
        "run",
        "-d",
        "--name",
        &name,
        "--network",
        &name,
        "--label",
        &label,
        &image,
        "--mode",
        "serve",
        "--config-yaml",
        "admin: {}",
    ]);

    let reaped = engine.reap().await.unwrap();
    assert_eq!((reaped.containers, reaped.networks), (1, 1));
    assert_eq!(listed(&["ps", "-a"], &format!("name={name}")), "");
    assert_eq!(listed(&["network", "ls"], &format!("name={name}")), "");
    assert_ne!(listed(&["ps"], &format!("id={}", container.id())), "");
}
