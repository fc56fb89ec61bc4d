//! The container image that sidecars run from.

use std::{fs, path::Path, process::Stdio};

use futures::TryStreamExt;
use testcontainers::bollard::query_parameters::CreateImageOptionsBuilder;
use tokio::{process::Command, sync::Mutex};

use super::{
    network::{Engine, failed},
    sidecar::SidecarError,
};

/// The Envoy project's own image of [`super::VERSION`], on Docker Hub.
pub const OFFICIAL: &str = "envoyproxy/envoy:v1.40.0";

/// The image that is built from a local binary, for machines without a registry.
pub const LOCAL: &str = "smi-envoy:1.40.0";

// The script that people use by hand is the one that the simulator runs, wherever it is installed.
const BUILD: &str = include_str!("../../../deploy/envoy/build");
const DOCKERFILE: &str = include_str!("../../../deploy/envoy/Dockerfile");

/// An image that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provided {
    /// Its name with tag.
    pub image: String,
    /// Where it comes from, in words.
    pub how: String,
}

/// Sees to it that the engine has an image. With a name: that one, pulled if necessary. Without: the official one if it is there,
/// the local one if it is there, the official one pulled, or the local one built from `envoy`.
///
/// # Errors
/// No way leads to an image.
pub async fn provide(engine: &Engine, named: Option<&str>, envoy: Option<&Path>) -> Result<Provided, SidecarError> {
    // One at a time: what the first has pulled or built, the others find.
    static ONE: Mutex<()> = Mutex::const_new(());
    let _one = ONE.lock().await;
    let provided = |image: &str, how: &str| Ok(Provided { image: image.into(), how: how.into() });
    if let Some(image) = named {
        if !has(engine, image).await {
            pull(engine, image).await?;
        }
        return provided(image, "the image that was given");
    }
    if has(engine, OFFICIAL).await {
        return provided(OFFICIAL, "the official image");
    }
    if has(engine, LOCAL).await {
        return provided(LOCAL, "built here earlier");
    }
    eprintln!("pulling {OFFICIAL}");
    let not_pulled = match pull(engine, OFFICIAL).await {
        Ok(()) => return provided(OFFICIAL, "the official image, just pulled"),
        Err(error) => error,
    };
    let Some(envoy) = envoy else { return Err(not_pulled) };
    build(envoy).await?;
    provided(LOCAL, "just built from the local binary, as the official image cannot be pulled")
}

/// Builds [`LOCAL`] from an Envoy binary with `deploy/envoy/build`.
///
/// # Errors
/// The script fails: no `docker` command, or a binary that it cannot find the libraries of.
pub async fn build(envoy: &Path) -> Result<(), SidecarError> {
    eprintln!("building {LOCAL} from {}", envoy.display());
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| SidecarError::File { path, source }
    };
    let dir = tempfile::tempdir().map_err(file(&std::env::temp_dir()))?;
    for (name, text) in [("build", BUILD), ("Dockerfile", DOCKERFILE)] {
        let path = dir.path().join(name);
        fs::write(&path, text).map_err(file(&path))?;
    }
    let mut script = Command::new("sh");
    script.arg(dir.path().join("build")).arg(envoy).stdin(Stdio::null()).kill_on_drop(true);
    let output = script.output().await.map_err(|source| SidecarError::Spawn { program: "sh".into(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(SidecarError::Docker { doing: format!("build {LOCAL}"), reason })
}

async fn has(engine: &Engine, image: &str) -> bool {
    engine.docker().inspect_image(image).await.is_ok()
}

async fn pull(engine: &Engine, image: &str) -> Result<(), SidecarError> {
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    let progress = engine.docker().create_image(Some(options), None, None);
    progress.try_for_each(|_| std::future::ready(Ok(()))).await.map_err(failed(&format!("pull {image}")))
}
