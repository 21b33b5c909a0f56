//! What is alive while the program serves: the settings in force, the audit log, and whether it is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::config::Settings;
use crate::limits::Limits;
use crate::observe::audit::Audit;
use crate::remote::Remote;

/// What all requests share.
pub struct Runtime {
    settings: ArcSwap<Settings>,
    draining: AtomicBool,
    /// The audit log.
    pub audit: Audit,
    /// What keeps abuse cheap, and how much of it there is.
    pub limits: Limits,
    /// What is asked of other servers.
    pub remote: Remote,
}

/// A question that orchestrators ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether the process works at all.
    Live,
    /// Whether it should be sent requests.
    Ready,
    /// Whether it has started.
    Startup,
}

/// Something that readiness depends on, and what is wrong with it.
pub type Check = (&'static str, Result<(), String>);

impl Runtime {
    /// Starts with these settings, ready as soon as `remote` has what it waits for.
    pub fn new(settings: Settings, audit: Audit, remote: Remote) -> Runtime {
        let limits = Limits::new(&settings.limits);
        Runtime { settings: ArcSwap::from_pointee(settings), draining: AtomicBool::new(false), audit, limits, remote }
    }

    /// The settings in force. A request takes them once and keeps them to its end.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Stops being ready, so that no new requests are sent here.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The answer to a probe.
    pub fn probe(&self, probe: Probe) -> Response<Full<Bytes>> {
        let passes = probe != Probe::Ready || self.checks().iter().all(|(_, result)| result.is_ok());
        let (status, body) =
            if passes { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") };
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    }

    /// All that readiness depends on.
    pub fn checks(&self) -> Vec<Check> {
        let serving = if self.draining.load(Ordering::Relaxed) { Err("shutting down".to_owned()) } else { Ok(()) };
        let audit = self.audit.health().map_err(|error| error.to_string());
        let mut checks = vec![("serving", serving), ("audit", audit)];
        if self.remote.has_keys() {
            let waits = self.remote.waits_for();
            checks.push(("keys", if waits.is_empty() { Ok(()) } else { Err(waits.join("; ")) }));
        }
        checks
    }
}

impl Probe {
    /// The probe at this path.
    pub fn at(path: &str) -> Option<Probe> {
        match path {
            "/livez" => Some(Probe::Live),
            "/readyz" => Some(Probe::Ready),
            "/startupz" => Some(Probe::Startup),
            _ => None,
        }
    }
}
