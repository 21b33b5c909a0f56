//! Keeps key sets up to date. Each set has a single task that does all the fetching. Therefore no set is ever fetched
//! twice at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::client::{ClientBuildError, UpstreamClient};
use super::freshness;
use crate::authn::{Endpoint, KeySet, UnusableKey, VerificationKeys};
use crate::clock;
use crate::model::json;

/// The longest key set or discovery document, in bytes.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// The time until the next regular fetch: the shortest, the longest, and the default if the answer names none.
const MIN_REFRESH: Duration = Duration::from_secs(60);
const MAX_REFRESH: Duration = Duration::from_secs(60 * 60);
const DEFAULT_REFRESH: Duration = Duration::from_secs(5 * 60);

/// The time until a failed fetch is repeated: at first, and at most. It doubles with each failure.
const MIN_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(60);

/// How many requests may wait at once for new keys. Strangers can send any number of tokens with invented keys. If an
/// issuer answers slowly, each of them would hold a place for requests in progress.
const MAX_PENDING: usize = 256;

/// The shortest time between two fetches that are caused by unknown keys in tokens.
const MIN_REQUEST_INTERVAL: Duration = Duration::from_secs(30);

/// A task that keeps a key set up to date. Dropping this value ends the task.
pub(super) struct KeySetRefresh {
    refresher: Arc<Refresher>,
    task: JoinHandle<()>,
    room: Semaphore,
}

impl KeySetRefresh {
    /// Starts to fetch this set.
    pub(super) fn start(set: &Arc<KeySet>) -> Result<KeySetRefresh, ClientBuildError> {
        let refresher = Arc::new(Refresher::new(set)?);
        let task = tokio::spawn(Arc::clone(&refresher).run());
        Ok(KeySetRefresh { refresher, task, room: Semaphore::new(MAX_PENDING) })
    }

    /// Returns whether this task fetches the set.
    pub(super) fn is_for(&self, set: &Arc<KeySet>) -> bool {
        Arc::ptr_eq(&self.refresher.set, set)
    }

    /// Waits for a fetch: for the current fetch, or else for a new fetch. Returns at once if an unknown key caused a
    /// fetch a moment ago, or if too many requests already wait.
    pub(super) async fn refresh(&self) {
        let Ok(_place) = self.room.try_acquire() else { return };
        if let Some(mut fetched) = self.refresher.request_fetch() {
            let _ = fetched.changed().await;
        }
    }

    /// Returns the status of the set.
    pub(super) fn status(&self) -> KeySetStatus {
        let Refresher { set, .. } = &*self.refresher;
        let RefreshState { succeeded_at: succeeded, fetched, failed, failures, last_error: flaw, .. } =
            &*self.refresher.state();
        let too_old = if succeeded.is_some() { " are too old to be used any longer" } else { "" };
        let missing = || format!("the keys of {} from {}{too_old}: {flaw}", set.config.name, set.config.endpoint);
        let stale =
            || format!("the keys of {} from {} cannot be refreshed: {flaw}", set.config.name, set.config.endpoint);
        KeySetStatus {
            name: Arc::clone(&set.config.name),
            age: succeeded.map(|succeeded| succeeded.elapsed()),
            keys: set.count(),
            fetched: *fetched,
            failed: *failed,
            error: (!set.is_loaded()).then(missing),
            refresh_error: (set.is_loaded() && *failures > 0).then(stale),
        }
    }

    /// Returns whether the process can be ready: keys were loaded before, or it does not have to wait for them.
    pub(super) fn has_started(&self) -> bool {
        self.refresher.set.config.is_optional || self.refresher.state().succeeded_at.is_some()
    }
}

impl Drop for KeySetRefresh {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The status of a key set.
#[derive(Clone, Debug)]
pub struct KeySetStatus {
    /// The name of the authenticator that uses the keys, followed by `/` and the tenant if the keys belong to one.
    pub name: Arc<str>,
    /// The time since the last successful fetch, if there was any.
    pub age: Option<Duration>,
    /// How many keys can be used.
    pub keys: usize,
    /// How many fetches succeeded.
    pub fetched: u64,
    /// How many fetches failed.
    pub failed: u64,
    /// The reason why there are no keys, if there are none. The authenticator then cannot identify callers.
    pub error: Option<String>,
    /// The reason why the last fetch failed, if it did and older keys are still used.
    pub refresh_error: Option<String>,
}

/// Fetches a key set.
struct Refresher {
    set: Arc<KeySet>,
    client: UpstreamClient,
    state: Mutex<RefreshState>,
    /// Wakes the task for an immediate fetch.
    wanted: Notify,
    /// Changes whenever a fetch ends.
    fetched: watch::Sender<()>,
}

#[derive(Default)]
struct RefreshState {
    /// Whether a fetch runs or is about to run.
    is_fetching: bool,
    /// The time of the last fetch outside the regular schedule.
    requested_at: Option<Instant>,
    /// The address of the set, if it was found by discovery.
    location: Option<Uri>,
    /// The time of the last successful fetch.
    succeeded_at: Option<Instant>,
    /// How many fetches have failed since then.
    failures: u32,
    /// How many fetches succeeded, and how many failed, in total.
    fetched: u64,
    failed: u64,
    /// The reason of the last failure.
    last_error: String,
    /// The unusable keys of the last fetched set. Each of them was logged once.
    unusable: Vec<UnusableKey>,
}

impl Refresher {
    /// Creates a refresher for this set. It has no keys before it runs.
    fn new(set: &Arc<KeySet>) -> Result<Refresher, ClientBuildError> {
        let client = UpstreamClient::new(&set.config.endpoint)?;
        let state =
            RefreshState { is_fetching: true, last_error: "not fetched yet".to_owned(), ..RefreshState::default() };
        let (fetched, _) = watch::channel(());
        Ok(Refresher { set: Arc::clone(set), client, state: Mutex::new(state), wanted: Notify::new(), fetched })
    }

    /// Fetches the keys, and repeats this whenever a fetch is due or requested. A requested fetch never delays a fetch
    /// that is due. Otherwise strangers could delay it forever.
    async fn run(self: Arc<Self>) {
        let mut due = Instant::now();
        loop {
            let is_due = due <= Instant::now();
            let wait = self.fetch(is_due).await;
            let next = Instant::now() + wait;
            due = if is_due { next } else { due.min(next) };
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.wanted.notified() => {}
            }
        }
    }

    /// Returns a receiver for the end of the fetch to wait for, or `None` if there is no fetch to wait for. Subscribes
    /// under the lock, because otherwise it could miss the end of the fetch.
    fn request_fetch(&self) -> Option<watch::Receiver<()>> {
        let mut state = self.state();
        if !state.is_fetching {
            if state.requested_at.is_some_and(|asked| asked.elapsed() < MIN_REQUEST_INTERVAL) {
                return None;
            }
            state.requested_at = Some(Instant::now());
            state.is_fetching = true;
            self.wanted.notify_one();
        }
        Some(self.fetched.subscribe())
    }

    /// Fetches the keys once and returns the time until the next fetch. If the fetch `is_due`, discovery is repeated.
    async fn fetch(&self, is_due: bool) -> Duration {
        self.state().is_fetching = true;
        let result = self.keys(is_due).await;
        let mut state = self.state();
        let next = match result {
            Ok((keys, lifetime)) => {
                self.succeed(&mut state, keys);
                lifetime.unwrap_or(DEFAULT_REFRESH).clamp(MIN_REFRESH, MAX_REFRESH)
            }
            Err(flaw) => self.fail(&mut state, flaw),
        };
        state.is_fetching = false;
        self.fetched.send_replace(());
        next
    }

    fn succeed(&self, state: &mut RefreshState, keys: VerificationKeys) {
        if state.succeeded_at.is_none() || state.failures > 0 {
            tracing::info!("{}: {} keys came from {}", self.set.config.name, keys.len(), self.set.config.endpoint);
        }
        if keys.is_empty() {
            tracing::warn!("{}: {} has no usable key left", self.set.config.name, self.set.config.endpoint);
        }
        for unusable in keys.unusable().iter().filter(|key| !state.unusable.contains(key)) {
            tracing::warn!("{}: a key from {} is not used: {unusable}", self.set.config.name, self.set.config.endpoint);
        }
        state.unusable = keys.unusable().to_vec();
        self.set.replace(Some(keys));
        state.succeeded_at = Some(Instant::now());
        state.fetched += 1;
        state.failures = 0;
    }

    /// Records a failure. The last good keys remain in use for a limited time.
    fn fail(&self, state: &mut RefreshState, flaw: String) -> Duration {
        if state.failures == 0 || state.last_error != flaw {
            tracing::warn!("{}: no keys came from {}: {flaw}", self.set.config.name, self.set.config.endpoint);
        }
        state.last_error = flaw;
        state.location = None;
        let retry = MIN_RETRY.saturating_mul(1 << state.failures.min(10)).min(MAX_RETRY);
        state.failures = state.failures.saturating_add(1);
        state.failed += 1;
        let Some(succeeded) = state.succeeded_at.filter(|_| self.set.is_loaded()) else { return retry };
        let left = self.set.config.stale_if_error.saturating_sub(succeeded.elapsed());
        if left.is_zero() {
            tracing::error!("{}: its keys are too old to be used any longer", self.set.config.name);
            self.set.replace(None);
            return retry;
        }
        retry.min(left)
    }

    /// Returns the keys and how long they are valid.
    async fn keys(&self, is_due: bool) -> Result<(VerificationKeys, Option<Duration>), String> {
        let location = self.location(is_due).await?;
        let answer = self.get(location).await?;
        let keys = VerificationKeys::from_fetched_set(answer.body(), &self.set.config.algorithms)?;
        if keys.is_empty() && self.state().succeeded_at.is_none() {
            return Err("the key set has no key that can be used".to_owned());
        }
        Ok((keys, freshness::lifetime(answer.headers(), clock::now())))
    }

    /// Returns the address of the set. A discovered address is valid until the next regular fetch or until a fetch
    /// fails.
    async fn location(&self, is_due: bool) -> Result<Uri, String> {
        let url = &self.set.config.endpoint.url;
        let Some(issuer) = &self.set.config.discovery else { return Ok(url.clone()) };
        let known = self.state().location.clone().filter(|_| !is_due);
        if let Some(location) = known {
            return Ok(location);
        }
        let answer = self.get(url.clone()).await?;
        let location = parse_jwks_uri(answer.body(), issuer, &self.set.config.endpoint)?;
        self.state().location = Some(location.clone());
        Ok(location)
    }

    async fn get(&self, url: Uri) -> Result<Response<Bytes>, String> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = url;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
        let answer = self.client.send(request, MAX_ANSWER_BYTES).await.map_err(|trouble| trouble.to_string())?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status if status.is_redirection() => Err(format!("it redirects ({status}), which is not followed")),
            status => Err(format!("it answers {status}")),
        }
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        // Every step under the lock leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the address of the key set from an issuer's metadata at the address of the endpoint (OpenID Connect Discovery
/// 1.0, section 4.3).
fn parse_jwks_uri(metadata: &[u8], issuer: &str, endpoint: &Endpoint) -> Result<Uri, String> {
    let metadata =
        json::parse_document(metadata).map_err(|error| format!("the metadata are not a JSON object: {error}"))?;
    if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(
            "the metadata belong to another issuer: `issuer` must equal the configured issuer exactly".to_owned()
        );
    }
    let location = metadata.get("jwks_uri").and_then(Value::as_str).and_then(|text| text.parse::<Uri>().ok());
    location
        .filter(|to| endpoint.may_refer_to(to))
        .ok_or_else(|| "the metadata name no key set: `jwks_uri` must be an https URL".to_owned())
}
