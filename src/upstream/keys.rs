//! Keeps a key set up to date: one task for each set, which does all the fetching, so that nothing is ever fetched twice at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::client::{ClientBuildError, UpstreamClient};
use super::freshness;
use crate::authn::{KeySet, UnusableKey, VerificationKeys, is_safe};
use crate::clock;
use crate::model::json;

/// The longest key set or discovery document, in bytes.
const LONGEST: usize = 256 << 10;

/// How soon keys are fetched again at the earliest and at the latest, whatever the answer says, and where it says nothing.
const SOONEST: Duration = Duration::from_secs(60);
const LATEST: Duration = Duration::from_secs(60 * 60);
const USUAL: Duration = Duration::from_secs(5 * 60);

/// How soon a fetch that failed is tried again: at first, doubled each time, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How many requests wait at once for keys that are on their way. Strangers can send any number of tokens with made-up keys; where an
/// issuer is slow, each would keep one of the places for requests in progress.
const AT_ONCE: usize = 256;

/// How soon after a fetch that a token's unknown key caused another such key may cause one.
const REST: Duration = Duration::from_secs(30);

/// A task that keeps one key set up to date. It ends when this is dropped.
pub(super) struct KeySetRefresh {
    refresher: Arc<Refresher>,
    task: JoinHandle<()>,
    room: Semaphore,
}

impl KeySetRefresh {
    /// Begins to fetch this set.
    pub(super) fn start(set: &Arc<KeySet>) -> Result<KeySetRefresh, ClientBuildError> {
        let refresher = Arc::new(Refresher::new(set)?);
        let task = tokio::spawn(Arc::clone(&refresher).run());
        Ok(KeySetRefresh { refresher, task, room: Semaphore::new(AT_ONCE) })
    }

    /// Whether this is its set.
    pub(super) fn is_for(&self, set: &Arc<KeySet>) -> bool {
        Arc::ptr_eq(&self.refresher.set, set)
    }

    /// Returns once the keys are as new as they can be had: after the fetch that is on its way, or after one more; at once if there
    /// was one for the same reason a moment ago, or too many wait already.
    pub(super) async fn refresh(&self) {
        let Ok(_place) = self.room.try_acquire() else { return };
        if let Some(mut fetched) = self.refresher.want() {
            let _ = fetched.changed().await;
        }
    }

    /// How the set is.
    pub(super) fn standing(&self) -> KeySetStatus {
        let Refresher { set, .. } = &*self.refresher;
        let RefreshState { succeeded, fetched, failed, failures, flaw, .. } = &*self.refresher.state();
        let too_old = if succeeded.is_some() { " are too old to be used any longer" } else { "" };
        let missing = || format!("the keys of {} from {}{too_old}: {flaw}", set.authenticator, set.endpoint);
        let stale = || format!("the keys of {} from {} can't be refreshed: {flaw}", set.authenticator, set.endpoint);
        KeySetStatus {
            authenticator: Arc::clone(&set.authenticator),
            age: succeeded.map(|succeeded| succeeded.elapsed()),
            keys: set.count(),
            fetched: *fetched,
            failed: *failed,
            flaw: (!set.is_loaded()).then(missing),
            refresh_flaw: (set.is_loaded() && *failures > 0).then(stale),
        }
    }

    /// Whether keys ever came.
    pub(super) fn has_started(&self) -> bool {
        self.refresher.state().succeeded.is_some()
    }
}

impl Drop for KeySetRefresh {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a key set is.
#[derive(Clone, Debug)]
pub struct KeySetStatus {
    /// The name of the authenticator whose keys these are.
    pub authenticator: Arc<str>,
    /// How long ago the keys were last fetched, if they ever were.
    pub age: Option<Duration>,
    /// How many keys can be used.
    pub keys: usize,
    /// How many fetches were good.
    pub fetched: u64,
    /// How many were not.
    pub failed: u64,
    /// Why there are no keys, where that is so: its callers can't be told from others then.
    pub flaw: Option<String>,
    /// Why the last fetch failed, if it did and older keys serve on.
    pub refresh_flaw: Option<String>,
}

/// Fetches one key set.
struct Refresher {
    set: Arc<KeySet>,
    client: UpstreamClient,
    state: Mutex<RefreshState>,
    /// Tells the task that a fetch is wanted at once.
    wanted: Notify,
    /// Changes with every fetch that ends.
    fetched: watch::Sender<()>,
}

#[derive(Default)]
struct RefreshState {
    /// Whether a fetch is on its way, or about to be.
    is_fetching: bool,
    /// When a fetch was last asked for between the regular ones.
    asked: Option<Instant>,
    /// Where discovery found the set.
    location: Option<Uri>,
    /// When keys last came.
    succeeded: Option<Instant>,
    /// How many fetches have failed since.
    failures: u32,
    /// How many fetches were good, and how many failed, in all.
    fetched: u64,
    failed: u64,
    /// What the last one that failed failed of.
    flaw: String,
    /// The keys that couldn't be used in the set that was fetched last. Each was warned of once.
    unusable: Vec<UnusableKey>,
}

impl Refresher {
    /// For this set, whose keys it will not have before it runs.
    fn new(set: &Arc<KeySet>) -> Result<Refresher, ClientBuildError> {
        let client = UpstreamClient::new(&set.endpoint)?;
        let state = RefreshState { is_fetching: true, flaw: "not fetched yet".to_owned(), ..RefreshState::default() };
        let (fetched, _) = watch::channel(());
        Ok(Refresher { set: Arc::clone(set), client, state: Mutex::new(state), wanted: Notify::new(), fetched })
    }

    /// Fetches the keys, and again whenever that is due or wanted. Being wanted doesn't put off what is due: strangers could do that
    /// for ever.
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

    /// The fetch to wait for, if there is one. Subscribes while nothing can change, so that no other is mistaken for it.
    fn want(&self) -> Option<watch::Receiver<()>> {
        let mut state = self.state();
        if !state.is_fetching {
            if state.asked.is_some_and(|asked| asked.elapsed() < REST) {
                return None;
            }
            state.asked = Some(Instant::now());
            state.is_fetching = true;
            self.wanted.notify_one();
        }
        Some(self.fetched.subscribe())
    }

    /// Fetches the keys once and tells how long to wait before the next time. If it `is_due` regularly, discovery is done again.
    async fn fetch(&self, is_due: bool) -> Duration {
        self.state().is_fetching = true;
        let result = self.keys(is_due).await;
        let mut state = self.state();
        let next = match result {
            Ok((keys, lifetime)) => {
                self.succeed(&mut state, keys);
                lifetime.unwrap_or(USUAL).clamp(SOONEST, LATEST)
            }
            Err(flaw) => self.fail(&mut state, flaw),
        };
        state.is_fetching = false;
        self.fetched.send_replace(());
        next
    }

    fn succeed(&self, state: &mut RefreshState, keys: VerificationKeys) {
        if state.succeeded.is_none() || state.failures > 0 {
            tracing::info!("{}: {} keys came from {}", self.set.authenticator, keys.len(), self.set.endpoint);
        }
        if keys.is_empty() {
            tracing::warn!("{}: {} has no key left that can be used", self.set.authenticator, self.set.endpoint);
        }
        for unusable in keys.unusable().iter().filter(|key| !state.unusable.contains(key)) {
            tracing::warn!("{}: a key from {} is not used: {unusable}", self.set.authenticator, self.set.endpoint);
        }
        state.unusable = keys.unusable().to_vec();
        self.set.replace(Some(keys));
        state.succeeded = Some(Instant::now());
        state.fetched += 1;
        state.failures = 0;
    }

    /// The last good keys go on serving, but not for ever.
    fn fail(&self, state: &mut RefreshState, flaw: String) -> Duration {
        if state.failures == 0 || state.flaw != flaw {
            tracing::warn!("{}: no keys came from {}: {flaw}", self.set.authenticator, self.set.endpoint);
        }
        state.flaw = flaw;
        state.location = None;
        let retry = FIRST_RETRY.saturating_mul(1 << state.failures.min(10)).min(LAST_RETRY);
        state.failures = state.failures.saturating_add(1);
        state.failed += 1;
        let Some(succeeded) = state.succeeded.filter(|_| self.set.is_loaded()) else { return retry };
        let left = self.set.stale_if_error.saturating_sub(succeeded.elapsed());
        if left.is_zero() {
            tracing::error!("{}: its keys are too old to be used any longer", self.set.authenticator);
            self.set.replace(None);
            return retry;
        }
        retry.min(left)
    }

    /// The keys, and for how long they are good.
    async fn keys(&self, is_due: bool) -> Result<(VerificationKeys, Option<Duration>), String> {
        let location = self.location(is_due).await?;
        let answer = self.get(location).await?;
        let keys = VerificationKeys::fetched(answer.body(), &self.set.algorithms)?;
        if keys.is_empty() && self.state().succeeded.is_none() {
            return Err("the key set has no key that can be used".to_owned());
        }
        Ok((keys, freshness::lifetime(answer.headers(), clock::now())))
    }

    /// Where the set is. What discovery said is good until keys are due again, or a fetch fails.
    async fn location(&self, is_due: bool) -> Result<Uri, String> {
        let url = &self.set.endpoint.url;
        let Some(issuer) = &self.set.discovery else { return Ok(url.clone()) };
        let known = self.state().location.clone().filter(|_| !is_due);
        if let Some(location) = known {
            return Ok(location);
        }
        let answer = self.get(url.clone()).await?;
        let location = discovered(answer.body(), issuer, url)?;
        self.state().location = Some(location.clone());
        Ok(location)
    }

    async fn get(&self, url: Uri) -> Result<Response<Bytes>, String> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = url;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
        let answer = self.client.send(request, LONGEST).await.map_err(|trouble| trouble.to_string())?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status if status.is_redirection() => Err(format!("it redirects ({status}), which is not followed")),
            status => Err(format!("it answers {status}")),
        }
    }

    fn state(&self) -> MutexGuard<'_, RefreshState> {
        // What is done under the lock leaves the state whole at every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an issuer's metadata from this address say that its key set is (OpenID Connect Discovery 1.0, section 4.3). Only an issuer on
/// this machine may name another program on it.
fn discovered(metadata: &[u8], issuer: &str, from: &Uri) -> Result<Uri, String> {
    let metadata = json::object(metadata).map_err(|error| format!("the metadata are not a JSON object: {error}"))?;
    if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err("the metadata are another issuer's: `issuer` must be to the letter what is configured".to_owned());
    }
    let location = metadata.get("jwks_uri").and_then(Value::as_str).and_then(|text| text.parse::<Uri>().ok());
    let is_trusted = |to: &Uri| is_safe(to) && [from.scheme(), Some(&Scheme::HTTPS)].contains(&to.scheme());
    location
        .filter(is_trusted)
        .ok_or_else(|| "the metadata name no key set (`jwks_uri`) that is fetched by HTTPS".to_owned())
}
