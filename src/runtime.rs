//! What is alive while the program serves: the settings in force with what was built from them, the audit log, and whether it is ready.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::watch;

use crate::clock;
use crate::config::Settings;
use crate::files::FileIdentity;
use crate::limits::{ConcurrencyLimit, Limits, PROBES};
use crate::model::Millis;
use crate::moderation::{ChangeSubscribers, ModerationReplica, strays};
use crate::outbox::{self, DeliveryTargets, Outbox};
use crate::random::{self, NoEntropy};
use crate::redaction::KnownSecrets;
use crate::telemetry::RefusalSummaries;
use crate::telemetry::audit::AuditLog;
use crate::telemetry::log;
use crate::telemetry::metrics::Metrics;
#[cfg(feature = "otlp")]
use crate::upstream::SpanExporter;
use crate::upstream::{ClientBuildError, UpstreamError, Upstreams};

/// What all requests share.
pub struct ServerState {
    current: ArcSwap<Snapshot>,
    draining: watch::Sender<bool>,
    /// The audit log.
    pub audit: AuditLog,
    /// Refused requests that have no line of their own in it.
    pub refusals: RefusalSummaries,
    /// What moderators change while the program serves.
    pub moderation: Arc<ModerationReplica>,
    /// Carries those changes to vendors and webhooks, where there is a store that remembers what is to be carried.
    pub outbox: OnceLock<Outbox>,
    /// What is counted while requests are answered.
    pub metrics: Metrics,
    /// How many connections the admin listener may have at once.
    pub probes: ConcurrencyLimit,
    /// The file of the Unix socket on which callers are served, if it is one.
    pub socket: Option<FileIdentity>,
    /// What became of attempts to replace the settings.
    pub reloads: ReloadCounts,
    /// When it was made, which is when the process started but for some milliseconds.
    pub started: Millis,
}

/// Settings, and what was built from them. What they are replaced by shares with them what need not change.
pub struct Snapshot {
    /// All that the program believes.
    pub settings: Settings,
    /// What keeps abuse cheap, and how much of it there is.
    pub limits: Limits,
    /// What is asked of other servers.
    pub remote: Upstreams,
    /// The interface's description for these settings, once it has been asked for.
    pub description: OnceLock<Bytes>,
    /// Who collects what requests were in their traces, if anyone does.
    #[cfg(feature = "otlp")]
    pub spans: Option<Arc<SpanExporter>>,
}

/// How often the settings were replaced, and how often that failed.
#[derive(Debug)]
pub struct ReloadCounts {
    succeeded: AtomicU64,
    failed: AtomicU64,
    /// When settings were last put in force, in milliseconds since 1970.
    last: AtomicU64,
    /// Why the last attempt failed, if it did.
    failure: Mutex<Option<String>>,
}

/// A question that orchestrators ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Whether the process works at all.
    Live,
    /// Whether it should be sent requests.
    Ready,
    /// Whether it has started.
    Startup,
}

/// Something that readiness depends on, or that whoever looks should know.
pub struct ReadinessCheck {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub finding: CheckResult,
}

/// How something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// As it should be.
    Good,
    /// Not as it should be, though requests can be served.
    Notice(String),
    /// Such that no requests should be sent here.
    Bad(String),
}

impl ServerState {
    /// Starts with these settings, ready as soon as they have what they wait for.
    pub fn new(first: Snapshot, audit: AuditLog, moderation: ModerationReplica) -> ServerState {
        hide(&audit, Arc::clone(&first.settings.known_secrets));
        let (current, draining) = (ArcSwap::from_pointee(first), watch::channel(false).0);
        let probes = ConcurrencyLimit::new(PROBES, "probes beyond those that can be answered");
        let (metrics, started) = (Metrics::default(), clock::now());
        let (moderation, outbox, reloads) = (Arc::new(moderation), OnceLock::new(), ReloadCounts::new());
        let refusals = RefusalSummaries::default();
        ServerState {
            current,
            draining,
            audit,
            refusals,
            moderation,
            outbox,
            metrics,
            probes,
            socket: None,
            reloads,
            started,
        }
    }

    /// The settings in force and what was built from them. A request takes them once and keeps them to its end.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts other settings in force, for requests that come from now on.
    ///
    /// # Errors
    /// If what they need can't be built. Then nothing changes.
    pub fn replace(&self, settings: Settings) -> Result<(), UpstreamError> {
        let next = self.snapshot().renewed(settings)?;
        if let Some(outbox) = self.outbox.get() {
            outbox.configure(targets(&next.settings)?);
        }
        // The secrets so far stay secret, though they count no more.
        let before = &self.snapshot().settings.known_secrets;
        hide(&self.audit, Arc::new(next.settings.known_secrets.with(before)));
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// Begins to carry changes of the moderation entries to vendors and webhooks, if there is a store.
    ///
    /// # Errors
    /// If a server's certificate authorities can't be used, or the operating system gives no random bytes.
    pub fn carry(&self) -> Result<(), UpstreamError> {
        if self.moderation.store().is_some() {
            let (targets, counts) = (targets(&self.snapshot().settings)?, self.metrics.outbox.clone());
            let terms = outbox::OutboxConfig::of(&self.moderation);
            let outbox = Outbox::start(Arc::clone(&self.moderation), targets, terms, counts)?;
            _ = self.outbox.set(outbox);
        }
        Ok(())
    }

    /// Stops being ready, so that no new requests are sent here.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Returns once it is no longer ready because it stops.
    pub async fn drained(&self) {
        // The sender is there as long as this.
        _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Where changes of the moderation entries are carried out and told, by the settings in force.
    pub fn plan(&self) -> ChangeSubscribers {
        ChangeSubscribers::of(&self.snapshot().settings)
    }

    /// The answer to a probe.
    pub fn probe(&self, probe: ProbeKind) -> Response<Full<Bytes>> {
        let passes = probe != ProbeKind::Ready || self.checks().iter().all(ReadinessCheck::passes);
        let (status, body) =
            if passes { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    }

    /// All that readiness depends on, and what else should be known.
    pub fn checks(&self) -> Vec<ReadinessCheck> {
        let draining = *self.draining.borrow();
        let serving = if draining { CheckResult::Bad("shutting down".to_owned()) } else { CheckResult::Good };
        let audit =
            self.audit.health().map_or_else(|error| CheckResult::Bad(error.to_string()), |()| CheckResult::Good);
        let mut checks = vec![
            ReadinessCheck { name: "serving", finding: serving },
            ReadinessCheck { name: "audit", finding: audit },
        ];
        let remote = &self.snapshot().remote;
        if remote.has_keys() {
            checks.push(ReadinessCheck { name: "keys", finding: keys(remote) });
        }
        if self.moderation.store().is_some() {
            checks.push(ReadinessCheck { name: "moderation", finding: self.moderation_found() });
        }
        if let Some(lost) = self.socket.as_ref().filter(|socket| !draining && !socket.is_the_same()) {
            let flaw = format!("there is no longer this program's at {}: restart it", lost.path.display());
            checks.push(ReadinessCheck { name: "socket", finding: CheckResult::Notice(flaw) });
        }
        if let Some(failure) = self.reloads.failure() {
            checks.push(ReadinessCheck { name: "configuration", finding: CheckResult::Notice(failure) });
        }
        checks
    }

    fn moderation_found(&self) -> CheckResult {
        match (self.moderation.check(), self.moderation.trouble()) {
            (Err(stale), _) => CheckResult::Bad(stale.to_string()),
            (Ok(()), Some(trouble)) => no_changes(&trouble),
            (Ok(()), None) => match self.moderation.write_failure() {
                Some(failure) => no_changes(&failure.message),
                None => self.strays().map_or(CheckResult::Good, CheckResult::Notice),
            },
        }
    }

    /// Warns of entries of the moderation entries for apps that the settings in force don't have.
    pub fn warn_of_strays(&self) {
        if let Some(strays) = self.strays() {
            tracing::warn!("moderation: {strays}");
        }
    }

    fn strays(&self) -> Option<String> {
        strays(&self.moderation.look(), &self.snapshot().settings.engine)
    }
}

/// Keeps these secrets out of both logs.
fn hide(audit: &AuditLog, known: Arc<KnownSecrets>) {
    audit.hide(Arc::clone(&known));
    log::hide(known);
}

fn targets(settings: &Settings) -> Result<DeliveryTargets, ClientBuildError> {
    let terms = outbox::OutboxConfig::default();
    DeliveryTargets::new(&settings.engine.policy, &settings.enforcements, &settings.webhooks, &terms)
}

fn no_changes(why: &str) -> CheckResult {
    CheckResult::Notice(format!(
        "signing goes on by what is known, but nobody can be banned and nothing else changed: {why}"
    ))
}

fn keys(remote: &Upstreams) -> CheckResult {
    let flaws: Vec<String> = remote.key_sets().filter_map(|set| set.flaw.or(set.refresh_flaw)).collect();
    match flaws.join("; ") {
        _ if flaws.is_empty() => CheckResult::Good,
        flaws if remote.has_started() => CheckResult::Notice(flaws),
        flaws => CheckResult::Bad(flaws),
    }
}

impl Snapshot {
    /// From the first settings.
    ///
    /// # Errors
    /// If other servers that they name can't be asked, or the operating system gives no random bytes.
    pub fn new(settings: Settings) -> Result<Snapshot, UpstreamError> {
        let settings = remembering(settings)?;
        let remote = Upstreams::start(&settings.engine)?;
        Ok(Snapshot {
            limits: Limits::new(&settings.limits),
            remote,
            description: OnceLock::new(),
            #[cfg(feature = "otlp")]
            spans: spans(&settings, None)?,
            settings,
        })
    }

    /// From further settings, with what goes on of these.
    fn renewed(&self, settings: Settings) -> Result<Snapshot, UpstreamError> {
        let mut settings = remembering(settings)?;
        settings.engine.authenticators.take_over(&self.settings.engine.authenticators);
        let remote = self.remote.renew(&settings.engine)?;
        Ok(Snapshot {
            limits: self.limits.renewed(&settings.limits),
            remote,
            description: OnceLock::new(),
            #[cfg(feature = "otlp")]
            spans: spans(&settings, self.spans.as_ref())?,
            settings,
        })
    }
}

/// Who is to collect spans: the same as before, if that is so.
#[cfg(feature = "otlp")]
fn spans(settings: &Settings, before: Option<&Arc<SpanExporter>>) -> Result<Option<Arc<SpanExporter>>, UpstreamError> {
    let Some(endpoint) = &settings.traces else { return Ok(None) };
    match before.filter(|before| before.is_for(endpoint)) {
        Some(same) => Ok(Some(Arc::clone(same))),
        None => Ok(Some(Arc::new(SpanExporter::start(endpoint)?))),
    }
}

/// Has the authenticators remember tokens. What they remembered under other settings doesn't count.
fn remembering(mut settings: Settings) -> Result<Settings, NoEntropy> {
    settings.engine.authenticators = settings.engine.authenticators.remembering(&random::bytes()?);
    Ok(settings)
}

impl ReadinessCheck {
    /// Whether it is no reason not to be ready.
    pub fn passes(&self) -> bool {
        !matches!(self.finding, CheckResult::Bad(_))
    }
}

impl ReloadCounts {
    fn new() -> ReloadCounts {
        let (succeeded, failed, last) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(clock::now().0));
        ReloadCounts { succeeded, failed, last, failure: Mutex::new(None) }
    }

    /// Notes that other settings are in force.
    pub fn succeed(&self) {
        self.succeeded.fetch_add(1, Ordering::Relaxed);
        self.last.store(clock::now().0, Ordering::Relaxed);
        *self.lock() = None;
    }

    /// Notes why the settings stay as they were.
    pub fn fail(&self, reason: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.lock() = Some(reason);
    }

    /// How often the settings were replaced.
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// How often they were to be replaced and stayed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// When settings were last put in force, at first by the start.
    pub fn last(&self) -> Millis {
        Millis(self.last.load(Ordering::Relaxed))
    }

    /// Why the last attempt failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProbeKind {
    /// The probe at this path.
    pub fn at(path: &str) -> Option<ProbeKind> {
        match path {
            "/livez" => Some(ProbeKind::Live),
            "/readyz" => Some(ProbeKind::Ready),
            "/startupz" => Some(ProbeKind::Startup),
            _ => None,
        }
    }

    /// The path that it is at.
    pub fn path(self) -> &'static str {
        match self {
            ProbeKind::Live => "/livez",
            ProbeKind::Ready => "/readyz",
            ProbeKind::Startup => "/startupz",
        }
    }
}
