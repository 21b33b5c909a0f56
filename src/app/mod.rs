//! The running program: its listeners, from binding to the last connection's end.

mod connection;
mod files;
mod listener;
mod paced;
mod secure;
mod unix;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::config::{AuditTo, Listen, Settings};
use crate::limits::Cap;
use crate::observe::audit::Audit;
use crate::random::{self, NoEntropy};
use crate::remote::{self, Remote};
use crate::runtime::Runtime;
use crate::{admin, http};
pub use listener::Address;
use listener::{Bound, Listener};

/// How many connections the admin listener has at most.
const PROBES: usize = 256;

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    /// A listener has no address to listen on.
    #[error("{listener} can't listen on {address}: {error}")]
    Bind {
        /// `server.listen` or `admin.listen`.
        listener: &'static str,
        /// Where it was to listen.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The audit log can't be opened.
    #[error("audit.to: {to} can't be opened: {error}")]
    Audit {
        /// Where it was to go.
        to: String,
        /// What the system says.
        error: io::Error,
    },
    /// Other servers can't be asked.
    #[error(transparent)]
    Remote(#[from] remote::NoRemote),
    /// There is nothing to remember tokens by.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The process can't be told to stop.
    #[error("signals can't be received: {0}")]
    Signals(io::Error),
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All that was begun was finished.
    Orderly,
    /// Something was cut off: the time was up, or a second signal came.
    Cut,
}

/// The program, listening.
pub struct App {
    runtime: Arc<Runtime>,
    main: Listener,
    admin: Listener,
    stop: Stop,
    pause: Duration,
    grace: Duration,
}

impl App {
    /// Opens the audit log and binds both listeners; from here on connections are answered.
    ///
    /// # Errors
    /// If one of these fails.
    pub async fn start(settings: Settings) -> Result<App, NoStart> {
        // First, while a signal still ends the process: opening a file can take long where it lies on a network.
        let audit = open(&settings.audit)?;
        let stop = Stop::new().map_err(NoStart::Signals)?;
        let main = Bound::new("server.listen", &settings.server.listen).await?;
        let admin = Bound::new("admin.listen", &Listen::Tcp(settings.admin.listen)).await?;
        files::allow(settings.limits.connections);
        let (pause, grace, patience) =
            (settings.shutdown.pause, settings.shutdown.grace, settings.server.request_timeout);
        let settings = remembering(settings)?;
        let remote = Remote::start(&settings.engine.authenticators)?;
        let runtime = Arc::new(Runtime::new(settings, audit, remote));
        let (for_main, for_admin) = (Arc::clone(&runtime), Arc::clone(&runtime));
        let (main_tls, admin_tls) = (Arc::clone(&runtime), Arc::clone(&runtime));
        let main = main.serve(
            Arc::clone(&runtime.limits.connections),
            patience,
            move || main_tls.settings().server.tls.clone(),
            move |peer, request| http::serve(Arc::clone(&for_main), peer, request),
        );
        let admin = admin.serve(
            Arc::new(Cap::new(PROBES, "probes beyond those that can be answered")),
            patience,
            move || admin_tls.settings().admin.tls.clone(),
            move |_, request| std::future::ready(admin::serve(&for_admin, &request)),
        );
        Ok(App { runtime, main, admin, stop, pause, grace })
    }

    /// Where it listens: the main address and the admin one.
    pub fn addresses(&self) -> (&Address, &Address) {
        (&self.main.address, &self.admin.address)
    }

    /// Serves until the process is told to stop (SIGTERM or SIGINT), then winds up; a second signal cuts that short.
    pub async fn run(self) -> End {
        let App { runtime, main, admin, mut stop, pause, grace } = self;
        stop.signalled().await;
        tracing::info!("stopping: finishing what is in progress");
        runtime.drain();
        let orderly = async {
            // Whoever sends requests here gets to see that this is not ready any more.
            sleep(pause).await;
            timeout(grace, main.stop()).await.map_or(End::Cut, |()| End::Orderly)
        };
        let end = tokio::select! {
            end = orderly => end,
            () = stop.signalled() => End::Cut,
        };
        admin.abort();
        runtime.audit.close().await;
        end
    }
}

/// Has the authenticators remember tokens.
fn remembering(mut settings: Settings) -> Result<Settings, NoEntropy> {
    settings.engine.authenticators = settings.engine.authenticators.remembering(&random::bytes()?);
    Ok(settings)
}

fn open(to: &AuditTo) -> Result<Audit, NoStart> {
    let (name, opened) = match to {
        AuditTo::Stdout => (PathBuf::from("stdout"), Audit::to_stdout()),
        AuditTo::File(path) => (path.clone(), Audit::to_file(path)),
    };
    opened.map_err(|error| NoStart::Audit { to: name.display().to_string(), error })
}

/// Tells when the process is to stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Stop> {
        // A signal that is once received never ends the process again. There is nothing to do on a hang-up, and a write to a file
        // at its size limit fails like one to a full disk.
        drop(signal(SignalKind::hangup())?);
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
