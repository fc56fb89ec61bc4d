//! A sidecar as a process of this machine: no root, no namespaces, one loopback address each.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    time::Duration,
};

use mesh::snapshot::metrics::POD_NAME;
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use super::{
    admin::Admin,
    bootstrap::Bootstrap,
    sidecar::{Answering, SidecarError, describe_exit},
};

/// How long Envoy may take until its administration interface answers. It takes 0.1 s on an idle machine.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How long Envoy may take to leave when it is asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What is needed to run one sidecar.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The Envoy binary.
    pub envoy: PathBuf,
    /// What it starts with.
    pub bootstrap: Bootstrap,
    /// A directory of its own, which exists: `bootstrap.json` and `envoy.log` go there.
    pub dir: PathBuf,
    /// Envoy's log level, for example `warning`.
    pub log_level: String,
}

/// A running Envoy process. It is killed when this is dropped, and, on Linux, when the simulator dies in whatever way.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    child: Child,
    admin: Admin,
}

/// The options that every Envoy gets, besides its configuration and log level.
///
/// One worker thread is plenty and keeps many sidecars on one machine small. Filter chains that are
/// replaced ask HTTP clients to leave with the next answer, and give them a minute for it: a connection that is cut while a request
/// is on its way loses that request. A withdrawn permission does not wait for this, for routes and their RBAC change at once.
pub(super) const OPTIONS: [&str; 9] = [
    "--concurrency",
    "1",
    "--disable-hot-restart",
    "--drain-time-s",
    "60",
    "--drain-strategy",
    "immediate",
    // Access logs are looked at soon after the traffic; Envoy would keep them for 10 s.
    "--file-flush-interval-msec",
    "100",
];

impl Process {
    /// Starts Envoy and waits until its administration interface answers. It has its configuration only later.
    ///
    /// # Errors
    /// Files, a binary that cannot be run, an Envoy that ends at once (with what it said), or that stays silent for 30 s.
    pub async fn start(launch: Launch) -> Result<Self, SidecarError> {
        write_private(&bootstrap_path(&launch), &launch.bootstrap.to_json())?;
        let admin = Admin::new(launch.bootstrap.admin);
        let child = spawn(&launch).await?;
        let mut process = Self { launch, child, admin };
        process.wait_answering().await?;
        Ok(process)
    }

    /// Its administration interface.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it without farewell and waits until it is gone.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn kill(&mut self) -> Result<(), SidecarError> {
        self.child.kill().await.map_err(|source| self.spawn_error(source))
    }

    /// Kills it if it runs, and starts it again; the log goes on in the same file.
    ///
    /// # Errors
    /// As for [`Process::start`].
    pub async fn restart(&mut self) -> Result<(), SidecarError> {
        self.kill().await?;
        self.child = spawn(&self.launch).await?;
        self.wait_answering().await
    }

    /// Asks it to leave, then kills it, and waits until it is gone.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn stop(mut self) -> Result<(), SidecarError> {
        if self.admin.quit().await.is_ok() && tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_ok() {
            return Ok(());
        }
        self.kill().await
    }

    /// Everything that it has logged, over all restarts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The file that it logs to.
    pub fn log_path(&self) -> PathBuf {
        log_path(&self.launch)
    }

    /// How it ended, if it has.
    pub(super) fn exited(&mut self) -> Result<Option<ExitStatus>, SidecarError> {
        self.child.try_wait().map_err(|source| self.spawn_error(source))
    }

    async fn wait_answering(&mut self) -> Result<(), SidecarError> {
        let (admin, bootstrap) = (self.admin.clone(), bootstrap_path(&self.launch));
        let answering = Answering::new(&admin, &bootstrap, START_PATIENCE);
        while !answering.asked().await? {
            if let Some(status) = self.exited()? {
                return Err(describe_exit(status, &self.log()));
            }
        }
        Ok(())
    }

    fn spawn_error(&self, source: std::io::Error) -> SidecarError {
        SidecarError::Spawn { program: self.launch.envoy.display().to_string(), source }
    }
}

fn log_path(launch: &Launch) -> PathBuf {
    launch.dir.join("envoy.log")
}

fn bootstrap_path(launch: &Launch) -> PathBuf {
    launch.dir.join("bootstrap.json")
}

async fn spawn(launch: &Launch) -> Result<Child, SidecarError> {
    let path = log_path(launch);
    let file = |source| SidecarError::File { path: path.clone(), source };
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(file)?;
    let log_too = log.try_clone().map_err(file)?;
    let command = command(launch, log, log_too);
    let spawned = on_spawner(command).await;
    spawned.map_err(|source| SidecarError::Spawn { program: launch.envoy.display().to_string(), source })
}

fn command(launch: &Launch, stdout: File, stderr: File) -> Command {
    let mut command = if has_setpriv() {
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL", "--"]).arg(&launch.envoy);
        wrapped
    } else {
        Command::new(&launch.envoy)
    };
    command.arg("--config-path").arg(bootstrap_path(launch));
    command.args(OPTIONS).args(["--log-level", &launch.log_level]);
    command.env(POD_NAME, launch.bootstrap.pod_name());
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    // A process group of its own: Ctrl-C goes to the simulator alone, which then ends its sidecars in order.
    command.process_group(0).kill_on_drop(true);
    command
}

/// Whether `setpriv --pdeathsig` works here: util-linux 2.33 or later. Then Envoy dies with the simulator, even if that is
/// killed by SIGKILL.
fn has_setpriv() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let mut probe = std::process::Command::new("setpriv");
        probe
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}

type Order = (Command, Handle, oneshot::Sender<std::io::Result<Child>>);

/// Spawns from one thread that lives as long as the simulator. The parent-death signal is sent when the *thread* that
/// spawned ends (prctl(2), PR_SET_PDEATHSIG), and threads of the runtime come and go.
async fn on_spawner(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, runtime, answer) in orders {
                let _in_runtime = runtime.enter();
                // If nobody waits any more, the child is dropped, and with it killed.
                drop(answer.send(command.spawn()));
            }
        });
        sender
    });
    let (answer, spawned) = oneshot::channel();
    let gone = |_| std::io::Error::other("the spawning thread is gone");
    spawner
        .send((command, Handle::current(), answer))
        .map_err(|_| std::io::Error::other("the spawning thread is gone"))?;
    spawned.await.map_err(gone)?
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// [`SidecarError::File`].
pub fn write_private(path: &Path, text: &str) -> Result<(), SidecarError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| SidecarError::File { path: path.into(), source })
}
