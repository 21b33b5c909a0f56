//! The running program: its listeners, from binding to the last connection's end.

mod connection;
mod framing;
mod listener;
mod secure;
mod tasks;
mod timeout_stream;
mod unix;

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::config::{
    AuditChain, AuditOutput, ListenAddress, Report, Settings, ShutdownConfig, SourceFiles, StoreSettings,
};
use crate::moderation::ModerationReplica;
use crate::outbox::Outbox;
use crate::random::NoEntropy;
use crate::reload::Reloader;
use crate::runtime::{ServerState, Snapshot};
use crate::store::{self, RecordFile, Store};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::{LineOutput, LineWriter, new_chain};
use crate::upstream;
use crate::{admin, http};
pub use listener::LocalAddress;
use listener::{BoundListener, ConnectionConfig, Listener};
use tasks::Tasks;

/// How long what is being carried to vendors and webhooks may take after the last caller was answered, which is done again by whoever starts
/// next, and how long what has ended may take to be told.
const CARRYING: Duration = Duration::from_secs(2);

/// Why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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
    /// There are no random bytes for the id of the audit log's chain.
    #[error("audit.chain: {0}")]
    Chain(#[from] NoEntropy),
    /// The moderation store can't be opened.
    #[error("[store]: {0}")]
    Store(store::StoreUnavailable),
    /// Other servers can't be asked.
    #[error(transparent)]
    Remote(#[from] upstream::UpstreamError),
    /// The process can't be told to stop.
    #[error("signals can't be received: {0}")]
    Signals(io::Error),
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// All that was begun was finished.
    Orderly,
    /// Something was cut off: the time was up, or a second signal came.
    Cut,
    /// What goes on beside the requests has failed.
    Failed,
}

/// The program, listening.
pub struct Application {
    runtime: Arc<ServerState>,
    main: Listener,
    admin: Listener,
    stop: StopSignal,
    /// What goes on beside the requests, until this is dropped.
    tasks: Tasks,
    /// Closed once what has ended is taken away no more.
    swept: oneshot::Receiver<Infallible>,
}

impl Application {
    /// Opens the audit log and binds both listeners; from here on connections are answered.
    ///
    /// # Errors
    /// If one of these fails.
    pub async fn start(settings: Settings) -> Result<Application, StartError> {
        // First, while a signal still ends the process: opening a file can take long where it lies on a network.
        let audit = open(&settings)?;
        let stop = StopSignal::new().map_err(StartError::Signals)?;
        let moderation = moderation(settings.store.as_ref()).await?;
        let main = BoundListener::new("server.listen", &settings.server.listen).await?;
        let admin = BoundListener::new("admin.listen", &ListenAddress::Tcp(settings.admin.listen)).await?;
        let mut runtime = ServerState::new(Snapshot::new(settings)?, audit, moderation);
        runtime.socket = main.file();
        let runtime = Arc::new(runtime);
        runtime.carry()?;
        let (for_main, for_admin) = (Arc::clone(&runtime), Arc::clone(&runtime));
        let main = main.serve(terms(&runtime), move |peer, request| http::serve(Arc::clone(&for_main), peer, request));
        let admin = admin.serve(terms_of_probes(&runtime), move |_, request| {
            std::future::ready(admin::serve(&for_admin, &request).map(http::ResponseBody::from))
        });
        let (tasks, swept) = keeping(&runtime);
        Ok(Application { runtime, main, admin, stop, tasks, swept })
    }

    /// Has the settings follow the files that they were loaded from.
    ///
    /// # Errors
    /// If hang-ups can't be received.
    pub fn follow(&mut self, path: &Path, sources: SourceFiles, report: &Report) -> Result<(), StartError> {
        let hangup = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        let reload = Reloader::new(Arc::clone(&self.runtime), path.to_owned(), sources, report);
        self.tasks.spawn("following the files", reload.run(hangup));
        Ok(())
    }

    /// Where it listens: the main address and the admin one.
    pub fn addresses(&self) -> (&LocalAddress, &LocalAddress) {
        (&self.main.address, &self.admin.address)
    }

    /// Serves until the process is told to stop (SIGTERM or SIGINT), then winds up; a second signal cuts that short. What goes on beside
    /// the requests fails only of a fault in the program or the system: then it winds up as well, for whoever starts it again.
    pub async fn run(self) -> ExitReason {
        let Application { runtime, main, admin, mut stop, mut tasks, swept } = self;
        let failed = tokio::select! {
            () = stop.signalled() => false,
            task = tasks.failed() => {
                tracing::error!("this has failed: {task}");
                true
            }
        };
        let ShutdownConfig { drain_delay, grace } = runtime.snapshot().settings.shutdown;
        tracing::info!("stopping: finishing what is in progress");
        runtime.drain();
        let orderly = async {
            // Whoever sends requests here gets to see that this is not ready any more.
            main.wind_up();
            sleep(drain_delay).await;
            // What is carried needs not be broken off in the end because a caller takes long.
            runtime.outbox.get().into_iter().for_each(Outbox::wind_up);
            timeout(grace, main.stop()).await.map_or(ExitReason::Cut, |()| ExitReason::Orderly)
        };
        let end = tokio::select! {
            end = orderly => end,
            () = stop.signalled() => ExitReason::Cut,
        };
        admin.abort();
        if let Some(outbox) = runtime.outbox.get().filter(|_| end == ExitReason::Orderly) {
            outbox.stop(CARRYING).await;
        }
        _ = timeout(CARRYING, swept).await;
        runtime.refusals.close(&runtime.audit).await;
        runtime.audit.close().await;
        #[cfg(feature = "otlp")]
        if let Some(spans) = &runtime.snapshot().spans {
            spans.flush().await;
        }
        if failed { ExitReason::Failed } else { end }
    }
}

/// The terms of callers' connections.
fn terms(runtime: &Arc<ServerState>) -> impl Fn() -> ConnectionConfig + Send + 'static {
    let runtime = Arc::clone(runtime);
    move || {
        let Snapshot { settings, limits, .. } = &*runtime.snapshot();
        let (patience, tls) = (settings.server.request_timeout, settings.server.tls.clone());
        ConnectionConfig { cap: limits.connections.clone(), patience, tls }
    }
}

/// The terms of connections to the admin listener.
fn terms_of_probes(runtime: &Arc<ServerState>) -> impl Fn() -> ConnectionConfig + Send + 'static {
    let runtime = Arc::clone(runtime);
    move || {
        let Snapshot { settings, .. } = &*runtime.snapshot();
        ConnectionConfig {
            cap: runtime.probes.clone(),
            patience: settings.server.request_timeout,
            tls: settings.admin.tls.clone(),
        }
    }
}

async fn moderation(settings: Option<&StoreSettings>) -> Result<ModerationReplica, StartError> {
    let Some(settings) = settings else { return Ok(ModerationReplica::none()) };
    let (store, mark) = Store::open_recorded(settings).await.map_err(StartError::Store)?;
    let is_own = store.begins_itself();
    let record = settings.record.clone().map(RecordFile::new);
    let moderation = ModerationReplica::recorded(store, settings.max_staleness, record, mark);
    if is_own {
        // It is at hand, so nobody need be refused because it has not been read yet.
        moderation.catch_up().await;
    }
    Ok(moderation)
}

/// Has the moderation entries kept at what its store holds, without what has ended, and refused requests written; tells once nothing more is taken
/// away, as the program stops.
fn keeping(runtime: &Arc<ServerState>) -> (Tasks, oneshot::Receiver<Infallible>) {
    let (mut tasks, (sweeps, swept)) = (Tasks::default(), oneshot::channel());
    let counting = Arc::clone(runtime);
    tasks.spawn("writing how many requests were refused", async move {
        counting.refusals.write_to(&counting.audit).await;
    });
    if runtime.moderation.store().is_some() {
        let following = Arc::clone(runtime);
        tasks.spawn("following the moderation store", async move { following.moderation.follow().await });
        let probing = Arc::clone(runtime);
        tasks.spawn("probing whether the store takes changes", async move { probing.moderation.probe_writes().await });
        let sweeping = Arc::clone(runtime);
        tasks.spawn("taking away what has ended", async move {
            sweeping.moderation.sweep(&sweeping.audit, || sweeping.plan(), sweeping.drained()).await;
            drop(sweeps);
        });
        let warning = Arc::clone(runtime);
        tasks.spawn("warning of what counts for nothing", async move {
            warning.moderation.been_read().await;
            warning.warn_of_strays();
        });
    }
    (tasks, swept)
}

fn open(settings: &Settings) -> Result<AuditLog, StartError> {
    let (name, opened) = match &settings.audit {
        AuditOutput::Stdout => (PathBuf::from("stdout"), LineOutput::stdout()),
        AuditOutput::File(path) => (path.clone(), LineOutput::at(path)),
    };
    let chain = settings.audit_chain.as_ref().map(|AuditChain { keys }| new_chain(keys.first())).transpose()?;
    let started = opened.and_then(|destination| AuditLog::start(LineWriter::new(destination, chain)));
    started.map_err(|error| StartError::Audit { to: name.display().to_string(), error })
}

/// Tells when the process is to stop.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn new() -> io::Result<StopSignal> {
        // A signal that is once received never ends the process again: a write to a file at its size limit fails like one to a full
        // disk.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(StopSignal { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
