//! The running server: its listeners, from binding to the end of the last connection.

mod activity;
mod bound_listener;
mod connection;
mod framing;
mod http_connection;
mod standby;
mod tasks;
mod timeout_stream;
mod tls;
mod unix;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::{admin, http};
use crate::config::{AuditChain, AuditOutput, ListenAddress, LoadResult, Settings, ShutdownConfig, StoreSettings};
use crate::moderation::ModerationReplica;
use crate::moderation::outbox::Outbox;
use crate::moderation::store::{self, RecordFile, Store};
use crate::random::EntropyError;
use crate::server::reload::Reloader;
use crate::server::state::{ServerState, Snapshot};
use crate::telemetry::audit::AuditLog;
use crate::telemetry::{LineOutput, LineWriter, Watchdog, new_chain};
use crate::upstream;
pub use bound_listener::LocalAddress;
use bound_listener::{BoundListener, ConnectionConfig, Listener};
use tasks::{Tasks, spawn_tasks};

/// A time limit at the end of the program, after the last answer to a caller. It applies to calls to vendors and
/// webhooks in progress, which the next start repeats if they are cut off. It applies separately to the removal of
/// expired entries.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The reason why the program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot listen on its address.
    #[error("{listener} can't listen on {address}: {error}")]
    Bind {
        /// `server.listen` or `admin.listen`.
        listener: &'static str,
        /// The configured address.
        address: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The audit log cannot be opened.
    #[error("audit.to: {to} can't be opened: {error}")]
    Audit {
        /// The configured destination.
        to: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The system gives no random bytes for the id of the audit log's hash chain.
    #[error("audit.chain: {0}")]
    Chain(#[from] EntropyError),
    /// The moderation store cannot be opened.
    #[error("[store]: {0}")]
    Store(store::StoreUnavailable),
    /// The client for requests to other servers cannot be created.
    #[error(transparent)]
    Remote(#[from] upstream::UpstreamError),
    /// The socket of the main listener cannot be duplicated.
    #[error("server.listen: the socket can't be used twice: {0}")]
    Duplicate(io::Error),
    /// The handlers for signals cannot be installed.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

/// The way in which the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// All work in progress was finished.
    Finished,
    /// Work was cut off, because the time was up or a second signal came.
    Interrupted,
    /// A background task failed.
    Failed,
}

/// The running server.
pub struct Application {
    runtime: Arc<ServerState>,
    main: Listener,
    admin: Listener,
    stop: StopSignal,
    /// The background tasks. They end when this is dropped.
    tasks: Tasks,
    /// The runtime that serves callers.
    workers: Handle,
    /// Closed when the removal of expired entries has stopped.
    expiry_stopped: oneshot::Receiver<Infallible>,
}

impl Application {
    /// Opens the audit log and the store, and binds both listeners. From here on, the server answers connections. All
    /// of it runs on the current runtime.
    ///
    /// # Errors
    /// Returns an error if one of these steps fails.
    pub async fn start(settings: Settings) -> Result<Application, StartError> {
        Box::pin(Application::start_with(settings, Handle::current(), Watchdog::Absent)).await
    }

    /// Does the same as [`start`](Self::start), but callers are served by the threads of another runtime. The current
    /// runtime receives signals and answers probes, even while those threads hang in a write to the audit log.
    ///
    /// # Errors
    /// Returns an error in the same cases.
    pub async fn start_on(workers: Handle, settings: Settings) -> Result<Application, StartError> {
        Box::pin(Application::start_with(settings, workers, Watchdog::Present)).await
    }

    async fn start_with(settings: Settings, workers: Handle, watchdog: Watchdog) -> Result<Application, StartError> {
        // Open the audit log first, while a signal still ends the process: on a network file system this can take a
        // long time.
        let audit = open_audit_log(&settings, watchdog)?;
        let stop = StopSignal::new().map_err(StartError::Signals)?;
        let moderation = within(&workers, open_moderation(settings.store.as_ref())).await?;
        let main = within(&workers, bind("server.listen", &settings.server.listen)).await?;
        let admin = bind("admin.listen", &ListenAddress::Tcp(settings.admin.listen)).await?;
        let entered = workers.enter();
        let mut runtime = ServerState::new(Snapshot::new(settings)?, audit, moderation);
        runtime.socket = main.file();
        let runtime = Arc::new(runtime);
        runtime.start_outbox()?;
        let standby = main.duplicate().map_err(StartError::Duplicate)?;
        let for_main = Arc::clone(&runtime);
        let handler = move |peer, request| http::serve(Arc::clone(&for_main), peer, request);
        let main = main.serve(main_connection_config(&runtime), handler.clone());
        let (tasks, swept) = spawn_tasks(&runtime);
        drop(entered);
        if watchdog == Watchdog::Present {
            let (hanging, config) = (Arc::clone(&runtime), main_connection_config(&runtime));
            let audit_hangs = move || hanging.audit.hangs();
            tokio::spawn(standby::stand_by(standby, workers.clone(), audit_hangs, config, handler, main.phase()));
        }
        let for_admin = Arc::clone(&runtime);
        let admin = admin.serve(admin_connection_config(&runtime), move |_, request| {
            std::future::ready(admin::serve(&for_admin, &request).map(http::ResponseBody::from))
        });
        Ok(Application { runtime, main, admin, stop, tasks, workers, expiry_stopped: swept })
    }

    /// Reloads the settings when their files change. `loaded` is the result of reading them.
    ///
    /// # Errors
    /// Returns an error if the handler for SIGHUP cannot be installed.
    pub fn reload_on_change(&mut self, path: &Path, loaded: LoadResult) -> Result<(), StartError> {
        let hangup = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
        let reload = Reloader::new(Arc::clone(&self.runtime), path.to_owned(), loaded);
        let _entered = self.workers.enter();
        self.tasks.spawn("following the files", reload.run(hangup));
        Ok(())
    }

    /// Returns the addresses of the main listener and the admin listener.
    pub fn addresses(&self) -> (&LocalAddress, &LocalAddress) {
        (&self.main.address, &self.admin.address)
    }

    /// Serves until the process receives SIGTERM or SIGINT, and then shuts down. A second signal ends the shutdown
    /// early.
    ///
    /// A background task fails only through a fault in the program or the system. Then the server shuts down as well,
    /// so its supervisor can restart it.
    pub async fn run(self) -> ExitReason {
        let Application { runtime, main, admin, mut stop, mut tasks, workers: _, expiry_stopped: swept } = self;
        let cause = tokio::select! {
            cause = stop.wait() => cause,
            task = tasks.next_panic() => {
                tracing::error!("a background task failed: {task}");
                StopCause::Failure
            }
        };
        let ShutdownConfig { drain_delay, grace } = runtime.snapshot().settings.shutdown;
        let drain_delay = if may_skip_drain_delay(cause, &runtime) { Duration::ZERO } else { drain_delay };
        tracing::info!("stopping: finishing the work in progress; {}", cause.how_to_exit_at_once());
        runtime.drain();
        let orderly = async {
            // Load balancers get time to see that the server is not ready.
            main.drain();
            sleep(drain_delay).await;
            // Stop the outbox before the callers, so a slow caller does not cause a cut-off call to a vendor.
            runtime.outbox.get().into_iter().for_each(Outbox::drain);
            timeout(grace, main.stop()).await.map_or(ExitReason::Interrupted, |()| ExitReason::Finished)
        };
        let end = tokio::select! {
            end = orderly => end,
            _ = stop.wait() => ExitReason::Interrupted,
        };
        admin.abort();
        if let Some(outbox) = runtime.outbox.get().filter(|_| end == ExitReason::Finished) {
            outbox.stop(DRAIN_TIMEOUT).await;
        }
        _ = timeout(DRAIN_TIMEOUT, swept).await;
        runtime.refusal_summaries.close(&runtime.audit).await;
        runtime.audit.close().await;
        #[cfg(feature = "otlp")]
        if let Some(spans) = &runtime.snapshot().spans {
            spans.flush().await;
        }
        if cause == StopCause::Failure { ExitReason::Failed } else { end }
    }
}

/// Returns whether nobody needs the time to see that the server is not ready: a person pressed Ctrl-C, nothing observes
/// whether the server is ready, and no request is in progress. An orchestrator sends SIGTERM. It may route requests to
/// the server for some time although it never probed it.
fn may_skip_drain_delay(cause: StopCause, runtime: &ServerState) -> bool {
    let snapshot = runtime.snapshot();
    let in_progress = snapshot.limits.in_flight.in_use() + snapshot.limits.waiting.in_use();
    cause == StopCause::Interrupt && in_progress == 0 && !runtime.was_probed.load(Ordering::Relaxed)
}

/// Binds the address `listen`. `name` is the name of the setting, for error messages.
async fn bind(name: &'static str, listen: &ListenAddress) -> Result<BoundListener, StartError> {
    let bound = BoundListener::bind(listen).await;
    bound.map_err(|error| StartError::Bind { listener: name, address: listen.to_string(), error })
}

/// Runs a future on the current thread. Its sockets, timers and tasks belong to another runtime.
async fn within<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let _entered = runtime.enter();
        future.as_mut().poll(context)
    })
    .await
}

/// Returns a function that builds the configuration of connections to the main listener.
fn main_connection_config(runtime: &Arc<ServerState>) -> impl Fn() -> ConnectionConfig + Send + 'static {
    let runtime = Arc::clone(runtime);
    move || {
        let Snapshot { settings, limits, .. } = &*runtime.snapshot();
        let (patience, tls) = (settings.server.request_timeout, settings.server.tls.clone());
        ConnectionConfig {
            limit: limits.connections.clone(),
            timeout: patience,
            tls,
            refused_certificates: runtime.metrics.refused_certificates.clone(),
        }
    }
}

/// Returns a function that builds the configuration of connections to the admin listener.
fn admin_connection_config(runtime: &Arc<ServerState>) -> impl Fn() -> ConnectionConfig + Send + 'static {
    let runtime = Arc::clone(runtime);
    move || {
        let Snapshot { settings, .. } = &*runtime.snapshot();
        ConnectionConfig {
            limit: runtime.probe_connections.clone(),
            timeout: settings.server.request_timeout,
            tls: settings.admin.tls.clone(),
            refused_certificates: runtime.metrics.refused_certificates.clone(),
        }
    }
}

async fn open_moderation(settings: Option<&StoreSettings>) -> Result<ModerationReplica, StartError> {
    let Some(settings) = settings else { return Ok(ModerationReplica::without_store()) };
    let (store, mark) = Store::open_recorded(settings).await.map_err(StartError::Store)?;
    let is_own = store.can_initialize();
    let record = settings.record.clone().map(RecordFile::new);
    let moderation = ModerationReplica::with_record(store, settings.max_staleness, record, mark);
    if is_own {
        // The store is local and available, so read it before the first request. Otherwise the first requests would be
        // refused.
        moderation.sync().await;
    }
    Ok(moderation)
}

fn open_audit_log(settings: &Settings, watchdog: Watchdog) -> Result<AuditLog, StartError> {
    let (name, opened) = match &settings.audit {
        AuditOutput::Stdout => (PathBuf::from("stdout"), LineOutput::stdout()),
        AuditOutput::File(path) => (path.clone(), LineOutput::open(path)),
    };
    let chain = settings.audit_chain.as_ref().map(|AuditChain { keys }| new_chain(keys.first())).transpose()?;
    let started = opened.and_then(|destination| AuditLog::start_with(LineWriter::new(destination, chain), watchdog));
    started.map_err(|error| StartError::Audit { to: name.display().to_string(), error })
}

/// Why the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopCause {
    /// SIGTERM.
    Terminate,
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// A background task failed.
    Failure,
}

impl StopCause {
    fn how_to_exit_at_once(self) -> &'static str {
        match self {
            StopCause::Interrupt => "press Ctrl-C again to exit at once",
            StopCause::Terminate | StopCause::Failure => "a second SIGTERM or Ctrl-C exits at once",
        }
    }
}

/// The signals that stop the process.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn new() -> io::Result<StopSignal> {
        // After a handler was installed once, SIGXFSZ does not end the process. A write to a file at its size limit
        // then fails like a write to a full disk.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        Ok(StopSignal { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) -> StopCause {
        tokio::select! {
            _ = self.terminate.recv() => StopCause::Terminate,
            _ = self.interrupt.recv() => StopCause::Interrupt,
        }
    }
}
