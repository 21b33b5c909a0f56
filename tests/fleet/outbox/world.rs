//! A moderation in memory, workers on it, and moderators who change it.

use std::sync::Arc;
use std::time::Duration;

use chat_signer::authn::Endpoint;
use chat_signer::clock;
use chat_signer::config::{Enforcement, Webhook};
use chat_signer::model::{CallerKind, Millis, Pattern};
use chat_signer::moderation::outbox::{DeliveryTargets, Outbox, OutboxConfig};
use chat_signer::moderation::store::{Job, JobState, NewChange, NewJob, Store, queue_name};
use chat_signer::moderation::{ModerationEntry, ModerationReplica};
use chat_signer::policy::{EntryAuthor, EntryOrigin, Policy, PolicyDocument, Sanction};
use chat_signer::secret::Secret;
use chat_signer::telemetry::outbox::OutboxMetrics;
use chat_signer::vendor::moderation::VendorModeration;
use chat_signer::vendor::{ably, agora, centrifugo, leancloud, livekit, pusher, stream, talkjs, tencent};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::vendors::{ABLY_KEYS, AGORA, APP_ID, KEY, TENCENT_ID, Vendor};

/// Longer than anything here takes on the slowest machine; only a test that fails waits so long.
const LONG: Duration = Duration::from_secs(120);

/// What a moderator can impose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Ban,
    Mute,
}

pub(crate) struct World {
    pub(crate) moderation: Arc<ModerationReplica>,
    pub(crate) vendor: Vendor,
    pub(crate) app: &'static str,
    policy: Arc<Policy>,
    webhooks: Vec<Arc<Webhook>>,
}

/// Quick enough for tests: nothing here waits for minutes.
pub(crate) fn brisk() -> OutboxConfig {
    OutboxConfig {
        lease: Duration::from_secs(2),
        patience: Duration::from_secs(1),
        webhook_patience: Duration::from_secs(1),
        backoff: (Duration::from_millis(10), Duration::from_millis(100)),
        poll: Duration::from_millis(10),
        count: Duration::from_millis(10),
        at_once: 8,
        lag: None,
    }
}

impl World {
    pub(crate) async fn new(app: &'static str) -> World {
        World::on(Store::memory().unwrap(), app).await
    }

    pub(crate) async fn on(store: Store, app: &'static str) -> World {
        let moderation = Arc::new(ModerationReplica::with_store(store, Duration::from_secs(600)));
        moderation.sync().await;
        moderation.check_fresh().unwrap();
        let policy = Arc::new(Policy::new(PolicyDocument::default()));
        World { moderation, vendor: Vendor::start().await, app, policy, webhooks: Vec::new() }
    }

    /// Another app with a vendor of its own, and the same moderation.
    pub(crate) async fn beside(&self, app: &'static str) -> World {
        let (moderation, policy) = (Arc::clone(&self.moderation), Arc::clone(&self.policy));
        World { moderation, vendor: Vendor::start().await, app, policy, webhooks: Vec::new() }
    }

    pub(crate) fn with_webhooks(self, webhooks: Vec<Webhook>) -> World {
        World { webhooks: webhooks.into_iter().map(Arc::new).collect(), ..self }
    }

    pub(crate) fn targets(&self, terms: &OutboxConfig) -> DeliveryTargets {
        DeliveryTargets::new(&self.policy, &[self.enforcement()], &self.webhooks, terms).unwrap()
    }

    fn enforcement(&self) -> Arc<Enforcement> {
        self.enforcement_at(&self.vendor.url())
    }

    fn enforcement_at(&self, url: &str) -> Arc<Enforcement> {
        let key = Secret::new(KEY.as_bytes().to_vec());
        let moderator: Box<dyn VendorModeration> = match self.app {
            "talkjs" => Box::new(talkjs::ModerationApi::new(APP_ID.to_owned(), &key)),
            "leancloud" => Box::new(leancloud::ModerationApi::new(APP_ID.to_owned(), key)),
            "pusher" => Box::new(pusher::ModerationApi::new(APP_ID.to_owned(), APP_ID.to_owned(), &key, true)),
            "stream" => Box::new(stream::ModerationApi::new(APP_ID.to_owned(), &key)),
            "tencent" => Box::new(tencent::ModerationApi::new(TENCENT_ID, &key, "administrator".to_owned())),
            "livekit" => Box::new(livekit::ModerationApi::new(APP_ID.to_owned(), &key)),
            "centrifugo" => Box::new(centrifugo::ModerationApi::new(key, false)),
            "centrifugo-proxy" => Box::new(centrifugo::ModerationApi::new(key, true)),
            "agora" => {
                let [id, certificate, org, app] = AGORA.map(str::to_owned);
                Box::new(agora::ModerationApi::new(id, Secret::new(certificate.into_bytes()), org, app))
            }
            _ => Box::new(ably::ModerationApi::new(&ABLY_KEYS.map(|key| Secret::new(key.as_bytes().to_vec())))),
        };
        Arc::new(Enforcement { app: self.app.into(), endpoint: endpoint(url), moderation_api: moderator })
    }

    pub(crate) fn work(&self) -> Outbox {
        self.work_by(brisk())
    }

    pub(crate) fn work_by(&self, terms: OutboxConfig) -> Outbox {
        Outbox::start(Arc::clone(&self.moderation), self.targets(&terms), terms, OutboxMetrics::default()).unwrap()
    }

    /// A worker for which the vendor is there.
    pub(crate) fn work_at(&self, url: &str, terms: OutboxConfig) -> Outbox {
        let targets = DeliveryTargets::new(&self.policy, &[self.enforcement_at(url)], &[], &terms).unwrap();
        Outbox::start(Arc::clone(&self.moderation), targets, terms, OutboxMetrics::default()).unwrap()
    }

    /// A worker that counts here.
    pub(crate) fn work_counted(&self, counts: OutboxMetrics) -> Outbox {
        let terms = brisk();
        Outbox::start(Arc::clone(&self.moderation), self.targets(&terms), terms, counts).unwrap()
    }

    /// A worker for both.
    pub(crate) fn work_with(&self, other: &World, terms: OutboxConfig) -> Outbox {
        let enforcements = [self.enforcement(), other.enforcement()];
        let targets = DeliveryTargets::new(&self.policy, &enforcements, &self.webhooks, &terms).unwrap();
        Outbox::start(Arc::clone(&self.moderation), targets, terms, OutboxMetrics::default()).unwrap()
    }

    pub(crate) fn store(&self) -> &Store {
        self.moderation.store().unwrap()
    }

    /// Imposes something until then, for good where that is not said.
    pub(crate) async fn impose(&self, what: What, user: &str, place: Option<&str>, until: Option<Millis>) {
        let record = self.record(what, user, place, until);
        let put = (record.key().to_string(), Some(record.value()));
        self.commit(put, self.job(user, place)).await;
    }

    pub(crate) async fn lift(&self, what: What, user: &str, place: Option<&str>) {
        let put = (self.record(what, user, place, None).key().to_string(), None);
        self.commit(put, self.job(user, place)).await;
    }

    /// Has something done because of a change that has no part in it.
    pub(crate) async fn ask_for(&self, job: NewJob) {
        let record = self.record(What::Ban, "nobody", None, None);
        self.commit((record.key().to_string(), Some(record.value())), job).await;
    }

    async fn commit(&self, put: (String, Option<String>), job: NewJob) {
        let commit = |_: &_, _: &_| {
            let (puts, jobs) = (vec![put.clone()], vec![job.clone()]);
            (NewChange { puts, events: Vec::new(), jobs, request: None }, ())
        };
        self.moderation.change(commit).await.unwrap();
    }

    fn record(&self, what: What, user: &str, place: Option<&str>, until: Option<Millis>) -> ModerationEntry {
        let author = EntryAuthor { kind: CallerKind::Service, subject: "orders".to_owned(), role: None };
        let sanction = Sanction {
            user: user.to_owned(),
            scope: Pattern::parse(place.unwrap_or("*")).unwrap(),
            app: Some(self.app.into()),
            until,
            reason: Some("spam".to_owned()),
            origin: EntryOrigin::Runtime { author: Arc::new(author), at: clock::now() },
        };
        match what {
            What::Ban => ModerationEntry::Ban(sanction),
            What::Mute => ModerationEntry::Mute(sanction),
        }
    }

    fn job(&self, user: &str, place: Option<&str>) -> NewJob {
        let exact = place.filter(|place| !place.ends_with(":*"));
        let body = json!({ "app": self.app, "user": user, "conversation": exact }).to_string();
        NewJob { key: self.key(user, exact.unwrap_or("*")), body }
    }

    pub(crate) fn key(&self, user: &str, place: &str) -> String {
        let encoded = |text: &str| text.replace('%', "%25").replace(':', "%3A").replace('/', "%2F");
        let place = if place == "*" { place.to_owned() } else { encoded(place) };
        format!("enforce:{}:{}:{place}", self.app, encoded(user))
    }

    pub(crate) async fn jobs(&self, state: JobState) -> Vec<Job> {
        self.store().list_jobs(state, "", "", 1000).await.unwrap()
    }

    /// Takes the first of the jobs that wait, as another worker does.
    pub(crate) async fn claim(&self, worker: &str, lease: Duration) -> Vec<Job> {
        let waiting = self.jobs(JobState::Pending).await;
        for queue in waiting.iter().map(|job| queue_name(&job.key)) {
            let claimed = self.store().claim(worker, Millis(clock::now().0 + 1), lease, &[(queue, 1)]).await.unwrap();
            if !claimed.is_empty() {
                return claimed;
            }
        }
        Vec::new()
    }

    /// Waits until nothing is left to do.
    pub(crate) async fn settled(&self) {
        until(async || self.jobs(JobState::Pending).await.is_empty()).await;
    }

    /// Waits until all that is left is to be tried again after this time.
    pub(crate) async fn postponed(&self, after: Millis) {
        until(async || {
            let waiting = self.jobs(JobState::Pending).await;
            !waiting.is_empty() && waiting.iter().all(|job| job.due > after && job.error.is_none())
        })
        .await;
    }

    /// Waits until something became a dead letter, and says why.
    pub(crate) async fn dead_letter(&self) -> String {
        until(async || !self.jobs(JobState::DeadLetter).await.is_empty()).await;
        self.jobs(JobState::DeadLetter).await.remove(0).error.unwrap()
    }

    /// What is noted of a user somewhere.
    pub(crate) async fn note(&self, user: &str, place: &str) -> Option<Value> {
        let note = self.store().checkpoint(&self.key(user, place)).await.unwrap()?;
        serde_json::from_str(&note).unwrap()
    }
}

pub(crate) fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url.parse().unwrap())
}

/// Waits until this holds.
pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    let waiting = async {
        while !holds().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("it didn't happen within {:?}", began.elapsed()));
}

/// In so many seconds.
pub(crate) fn in_seconds(seconds: u64) -> Millis {
    Millis(clock::now().0 + 1000 * seconds)
}
