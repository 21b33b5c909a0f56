//! The state of the running server: the current settings and the objects built from them, the audit log, and readiness.

mod reloads;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::watch;

pub use self::reloads::{ConfigParts, ReloadOutcome, Reloads};
use crate::clock;
use crate::config::Settings;
use crate::files::FileIdentity;
use crate::model::Millis;
use crate::moderation::outbox::{self, DeliveryTargets, Outbox};
use crate::moderation::{ChangeSubscribers, ModerationReplica, orphaned_entries_warning};
use crate::random::{self, EntropyError};
use crate::redaction::KnownSecrets;
use crate::server::limits::{ConcurrencyLimit, Limits, MAX_ADMIN_CONNECTIONS};
use crate::telemetry::RefusalSummaries;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::log;
use crate::telemetry::metric_handles::{AcceptedHandles, OperationHandle};
use crate::telemetry::metrics::Metrics;
#[cfg(feature = "otlp")]
use crate::upstream::SpanExporter;
use crate::upstream::{ClientBuildError, UpstreamError, Upstreams};
use crate::vendor::App;

/// The state that all requests share.
pub struct ServerState {
    current: ArcSwap<Snapshot>,
    draining: watch::Sender<bool>,
    /// The audit log.
    pub audit: AuditLog,
    /// Summaries of refused requests that have no line in the audit log.
    pub refusal_summaries: RefusalSummaries,
    /// The moderation entries, which moderators change at run time.
    pub moderation: Arc<ModerationReplica>,
    /// Delivers changes to vendors and webhooks, if there is a store that keeps the jobs.
    pub outbox: OnceLock<Outbox>,
    /// The counters of requests.
    pub metrics: Metrics,
    /// The limit of open connections to the admin listener.
    pub probe_connections: ConcurrencyLimit,
    /// Whether there was a request to the admin listener. Then something outside observes whether the server is ready.
    pub was_probed: AtomicBool,
    /// The file of the Unix socket, if the server listens on one.
    pub socket: Option<FileIdentity>,
    /// The outcomes of reloads.
    pub reloads: Reloads,
    /// The time at which this state was created, which is some milliseconds after the start of the process.
    pub started: Millis,
}

/// Settings and the objects built from them. A new snapshot shares the unchanged parts with its predecessor.
pub struct Snapshot {
    /// The settings.
    pub settings: Settings,
    /// The limits that protect against abuse, with their current use.
    pub limits: Limits,
    /// The clients for other servers.
    pub upstreams: Upstreams,
    /// The counters of each operation of each app, in the order of the apps and of their operations.
    pub operation_handles: Vec<Vec<OperationHandle>>,
    /// The counters of callers that were accepted.
    pub accepted_handles: AcceptedHandles,
    /// The OpenAPI document for these settings, created on the first request.
    pub openapi_document: OnceLock<Bytes>,
    /// The exporter of spans, if one is configured.
    #[cfg(feature = "otlp")]
    pub spans: Option<Arc<SpanExporter>>,
}

/// A health probe of an orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Liveness: whether the process works.
    Live,
    /// Readiness: whether the server can accept requests.
    Ready,
    /// Startup: whether the server has started.
    Startup,
}

/// A check that readiness depends on, or that an operator should know about.
pub struct ReadinessCheck {
    /// The name of the check.
    pub name: &'static str,
    /// The result of the check.
    pub result: CheckResult,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The check passed.
    Good,
    /// Something is wrong, but requests can be served.
    Notice(String),
    /// Something is wrong, and no requests should be sent to this server.
    Bad(String),
}

impl ServerState {
    /// Creates the state with these settings. The server is ready as soon as its checks pass.
    pub fn new(first: Snapshot, audit: AuditLog, moderation: ModerationReplica) -> ServerState {
        hide_secrets(&audit, Arc::clone(&first.settings.known_secrets));
        let (current, draining) = (ArcSwap::from_pointee(first), watch::channel(false).0);
        let probes = ConcurrencyLimit::new(MAX_ADMIN_CONNECTIONS, "probes beyond the limit of open connections");
        let (metrics, started) = (Metrics::default(), clock::now());
        let (moderation, outbox, reloads) = (Arc::new(moderation), OnceLock::new(), Reloads::new());
        let refusals = RefusalSummaries::default();
        ServerState {
            current,
            draining,
            audit,
            refusal_summaries: refusals,
            moderation,
            outbox,
            metrics,
            probe_connections: probes,
            was_probed: AtomicBool::new(false),
            socket: None,
            reloads,
            started,
        }
    }

    /// Returns the current settings and the objects built from them. A request takes the snapshot once and keeps it to
    /// its end.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces the settings, for requests that arrive from now on.
    ///
    /// # Errors
    /// Returns an error if something that the new settings need cannot be built. In this case nothing changes.
    pub fn replace(&self, settings: Settings) -> Result<(), UpstreamError> {
        let next = self.snapshot().with_settings(settings)?;
        if let (Some(store), Some(settings)) = (self.moderation.store(), &next.settings.store) {
            store.use_credentials(settings)?;
        }
        if let Some(outbox) = self.outbox.get() {
            outbox.configure(delivery_targets(&next.settings)?);
        }
        // Earlier secrets are still kept out of the logs, although they are no longer valid.
        let before = &self.snapshot().settings.known_secrets;
        hide_secrets(&self.audit, Arc::new(next.settings.known_secrets.union(before)));
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// Starts the outbox, which delivers changes of the moderation entries to vendors and webhooks, if there is a
    /// store.
    ///
    /// # Errors
    /// Returns an error if the certificate authorities of a server cannot be used, or if the operating system provides
    /// no random bytes.
    pub fn start_outbox(&self) -> Result<(), UpstreamError> {
        if self.moderation.store().is_some() {
            let (targets, counts) = (delivery_targets(&self.snapshot().settings)?, self.metrics.outbox.clone());
            let terms = outbox::OutboxConfig::for_replica(&self.moderation);
            let outbox = Outbox::start(Arc::clone(&self.moderation), targets, terms, counts)?;
            _ = self.outbox.set(outbox);
        }
        Ok(())
    }

    /// Ends readiness, so that no new requests are sent to this server.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until the server is draining.
    pub async fn drained(&self) {
        // The sender exists as long as `self`, so this cannot fail.
        _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Returns the vendors and webhooks that receive changes of the moderation entries, for the current settings.
    pub fn change_subscribers(&self) -> ChangeSubscribers {
        ChangeSubscribers::from_settings(&self.snapshot().settings)
    }

    /// Returns the answer to a probe.
    pub fn probe(&self, probe: ProbeKind) -> Response<Full<Bytes>> {
        let passes = probe != ProbeKind::Ready || self.checks().iter().all(ReadinessCheck::passes);
        let (status, body) =
            if passes { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    }

    /// Runs the checks of readiness and the checks that only inform.
    pub fn checks(&self) -> Vec<ReadinessCheck> {
        let draining = *self.draining.borrow();
        let serving = if draining { CheckResult::Bad("shutting down".to_owned()) } else { CheckResult::Good };
        let audit =
            self.audit.health().map_or_else(|error| CheckResult::Bad(error.to_string()), |()| CheckResult::Good);
        let mut checks =
            vec![ReadinessCheck { name: "serving", result: serving }, ReadinessCheck { name: "audit", result: audit }];
        let remote = &self.snapshot().upstreams;
        if remote.has_keys() {
            checks.push(ReadinessCheck { name: "keys", result: keys_check(remote) });
        }
        if self.moderation.store().is_some() {
            checks.push(ReadinessCheck { name: "moderation", result: self.moderation_check() });
        }
        if let Some(lost) = self.socket.as_ref().filter(|socket| !draining && !socket.is_unchanged()) {
            let flaw =
                format!("the file at {} is no longer the socket of this program: restart it", lost.path.display());
            checks.push(ReadinessCheck { name: "socket", result: CheckResult::Notice(flaw) });
        }
        if let Some(failure) = self.reloads.failure() {
            checks.push(ReadinessCheck { name: "configuration", result: CheckResult::Notice(failure) });
        }
        checks
    }

    fn moderation_check(&self) -> CheckResult {
        match (self.moderation.check_fresh(), self.moderation.last_error()) {
            (Err(stale), _) => CheckResult::Bad(stale.to_string()),
            (Ok(()), Some(trouble)) => changes_impossible(&trouble),
            (Ok(()), None) => match self.moderation.write_failure() {
                Some(failure) => changes_impossible(&failure.message),
                None => self.orphaned_entries().map_or(CheckResult::Good, CheckResult::Notice),
            },
        }
    }

    /// Logs a warning if there are moderation entries for apps that the current settings do not have.
    pub fn warn_of_orphaned_entries(&self) {
        if let Some(strays) = self.orphaned_entries() {
            tracing::warn!("moderation: {strays}");
        }
    }

    fn orphaned_entries(&self) -> Option<String> {
        orphaned_entries_warning(&self.moderation.read_any_age(), &self.snapshot().settings.engine)
    }
}

/// Keeps these secrets out of the audit log and the program's log.
fn hide_secrets(audit: &AuditLog, known: Arc<KnownSecrets>) {
    audit.redact_secrets(Arc::clone(&known));
    log::redact_secrets(known);
}

fn delivery_targets(settings: &Settings) -> Result<DeliveryTargets, ClientBuildError> {
    let terms = outbox::OutboxConfig::default();
    DeliveryTargets::new(&settings.engine.policy, &settings.enforcements, &settings.webhooks, &terms)
}

fn changes_impossible(why: &str) -> CheckResult {
    CheckResult::Notice(format!(
        "signing continues with the known entries, but changes such as bans are not possible: {why}"
    ))
}

fn keys_check(remote: &Upstreams) -> CheckResult {
    let flaws: Vec<String> = remote.key_sets().filter_map(|set| set.error.or(set.refresh_error)).collect();
    match flaws.join("; ") {
        _ if flaws.is_empty() => CheckResult::Good,
        flaws if remote.has_started() => CheckResult::Notice(flaws),
        flaws => CheckResult::Bad(flaws),
    }
}

impl Snapshot {
    /// Creates the snapshot of the first settings.
    ///
    /// # Errors
    /// Returns an error if a client for another server cannot be built, or if the operating system provides no random
    /// bytes.
    pub fn new(settings: Settings) -> Result<Snapshot, UpstreamError> {
        let settings = with_token_cache(settings)?;
        let remote = Upstreams::start(&settings.engine)?;
        Ok(Snapshot {
            limits: Limits::new(&settings.limits),
            upstreams: remote,
            operation_handles: operation_handles(&settings),
            accepted_handles: accepted_handles(&settings),
            openapi_document: OnceLock::new(),
            #[cfg(feature = "otlp")]
            spans: spans(&settings, None)?,
            settings,
        })
    }

    /// Creates the snapshot of new settings, which keeps the state that is still valid.
    fn with_settings(&self, settings: Settings) -> Result<Snapshot, UpstreamError> {
        let mut settings = with_token_cache(settings)?;
        settings.engine.authenticators.reuse_state_from(&self.settings.engine.authenticators);
        let remote = self.upstreams.with_engine(&settings.engine)?;
        Ok(Snapshot {
            limits: self.limits.with_settings(&settings.limits),
            upstreams: remote,
            operation_handles: operation_handles(&settings),
            accepted_handles: accepted_handles(&settings),
            openapi_document: OnceLock::new(),
            #[cfg(feature = "otlp")]
            spans: spans(&settings, self.spans.as_ref())?,
            settings,
        })
    }
}

/// Returns the exporter of spans: the previous one if its endpoint is unchanged.
#[cfg(feature = "otlp")]
fn spans(settings: &Settings, before: Option<&Arc<SpanExporter>>) -> Result<Option<Arc<SpanExporter>>, UpstreamError> {
    let Some(endpoint) = &settings.traces else { return Ok(None) };
    match before.filter(|before| before.is_for(endpoint)) {
        Some(same) => Ok(Some(Arc::clone(same))),
        None => Ok(Some(Arc::new(SpanExporter::start(endpoint)?))),
    }
}

fn operation_handles(settings: &Settings) -> Vec<Vec<OperationHandle>> {
    let of_app = |app: &App| {
        let operations = app.vendor().spec().operations.iter();
        operations.map(|operation| OperationHandle::new(app.name(), operation.name)).collect()
    };
    settings.engine.apps.iter().map(of_app).collect()
}

fn accepted_handles(settings: &Settings) -> AcceptedHandles {
    let all = settings.engine.authenticators.all().iter();
    AcceptedHandles::new(all.map(|authenticator| &authenticator.common().name))
}

/// Gives the authenticators a new token cache. Tokens that were cached under other settings are not used.
fn with_token_cache(mut settings: Settings) -> Result<Settings, EntropyError> {
    settings.engine.authenticators = settings.engine.authenticators.with_token_cache(&random::bytes()?);
    Ok(settings)
}

impl ReadinessCheck {
    /// Returns true unless the result makes the server not ready.
    pub fn passes(&self) -> bool {
        !matches!(self.result, CheckResult::Bad(_))
    }
}
