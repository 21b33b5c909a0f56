//! Delivery targets: the vendors of apps, and webhooks, each with a client and a rate limit.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep};

use super::config::OutboxConfig;
use crate::config::{Enforcement, Webhook};
use crate::moderation::{enforcement_queues, webhook_queues};
use crate::policy::Policy;
use crate::telemetry::outbox::{DeliveryKind, OutboxMetrics};
use crate::upstream::{ClientBuildError, UpstreamClient};
use crate::vendor::moderation::ModerationReach;

/// The maximum number of jobs in progress for an app that concern a user everywhere, if they take many requests. They
/// share the rate limit of the app, so fewer jobs get further.
const MAX_USER_WIDE_JOBS: usize = 2;

/// The maximum number of block events on their way to a webhook. Any user can cause any number of them.
const MAX_BLOCK_EVENTS: usize = 4;

/// How long further failures are not logged after a failure.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// The targets, and the policy.
pub struct DeliveryTargets {
    pub(super) policy: Arc<Policy>,
    pub(super) apps: HashMap<Arc<str>, Arc<DeliveryTarget<Enforcement>>>,
    /// The webhooks, by URL.
    pub(super) webhooks: HashMap<String, Arc<DeliveryTarget<Webhook>>>,
    /// The queues of the targets, with the maximum number of jobs in progress for each queue.
    pub(super) queues: Vec<(String, usize)>,
}

/// A delivery target.
pub(super) struct DeliveryTarget<T> {
    pub(super) settings: Arc<T>,
    /// The label in metrics: the name of the app, or the host of the webhook.
    pub(super) label: Arc<str>,
    pub(super) client: UpstreamClient,
    pub(super) rate_limiter: Arc<RequestPacer>,
}

impl DeliveryTargets {
    /// Creates the targets.
    ///
    /// # Errors
    /// Returns an error if the certificate authorities of a server cannot be used.
    pub fn new(
        policy: &Arc<Policy>,
        enforcements: &[Arc<Enforcement>],
        webhooks: &[Arc<Webhook>],
        terms: &OutboxConfig,
    ) -> Result<DeliveryTargets, ClientBuildError> {
        let mut targets = DeliveryTargets::empty(policy);
        for what in enforcements {
            let [in_one, everywhere] = enforcement_queues(&what.app);
            let most = match what.moderation_api.reach() {
                ModerationReach::User => terms.at_once,
                ModerationReach::Conversation | ModerationReach::ListedConversations(_) => {
                    terms.at_once.min(MAX_USER_WIDE_JOBS)
                }
            };
            targets.queues.extend([(in_one, terms.at_once), (everywhere, most)]);
            let client = UpstreamClient::new(&what.endpoint)?.with_timeout(terms.patience);
            let pace = Arc::new(RequestPacer::new(what.moderation_api.rate()));
            let label = Arc::clone(&what.app);
            targets.apps.insert(
                Arc::clone(&label),
                Arc::new(DeliveryTarget { settings: Arc::clone(what), label, client, rate_limiter: pace }),
            );
        }
        for what in webhooks {
            let client = UpstreamClient::new(&what.endpoint)?.with_timeout(terms.webhook_patience);
            let label = Arc::from(what.endpoint.url.host().unwrap_or("unknown"));
            let pace = RequestPacer::new((what.rate, what.rate));
            let target = DeliveryTarget { settings: Arc::clone(what), label, client, rate_limiter: Arc::new(pace) };
            let url = what.endpoint.url.to_string();
            let [events, background, blocks] = webhook_queues(&url);
            let most = usize::try_from(what.max_in_flight).unwrap_or(usize::MAX);
            targets.queues.extend([(events, most), (background, most), (blocks, most.min(MAX_BLOCK_EVENTS))]);
            targets.webhooks.insert(url, Arc::new(target));
        }
        Ok(targets)
    }

    fn empty(policy: &Arc<Policy>) -> DeliveryTargets {
        let policy = Arc::clone(policy);
        DeliveryTargets { policy, apps: HashMap::new(), webhooks: HashMap::new(), queues: Vec::new() }
    }

    /// Takes over the rate limits of the previous targets that are still present.
    pub(super) fn with_rate_limits_of(mut self, before: &DeliveryTargets) -> DeliveryTargets {
        for (app, target) in &mut self.apps {
            reuse_rate_limiter(target, before.apps.get(app));
        }
        for (url, target) in &mut self.webhooks {
            let before = before.webhooks.get(url).filter(|before| before.settings.rate == target.settings.rate);
            reuse_rate_limiter(target, before);
        }
        self
    }

    /// Returns the kinds of deliveries to the targets.
    pub(super) fn kinds(&self) -> impl Iterator<Item = DeliveryKind> {
        let has = |kind: &DeliveryKind| match kind {
            DeliveryKind::Enforcement => !self.apps.is_empty(),
            DeliveryKind::Webhook => !self.webhooks.is_empty(),
        };
        DeliveryKind::ALL.into_iter().filter(has)
    }

    /// Creates the metrics of each target.
    pub(super) fn create_metrics(&self, counts: &OutboxMetrics) {
        self.apps.values().for_each(|target| counts.create_series(DeliveryKind::Enforcement, &target.label));
        self.webhooks.values().for_each(|target| counts.create_series(DeliveryKind::Webhook, &target.label));
    }
}

fn reuse_rate_limiter<T>(target: &mut Arc<DeliveryTarget<T>>, before: Option<&Arc<DeliveryTarget<T>>>) {
    if let (Some(target), Some(before)) = (Arc::get_mut(target), before) {
        target.rate_limiter = Arc::clone(&before.rate_limiter);
    }
}

/// The rate limit of a target.
pub(super) struct RequestPacer {
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<<MonotonicClock as Clock>::Instant>>,
    /// The time until which further failures are not logged.
    quiet_until: Mutex<Option<Instant>>,
}

impl RequestPacer {
    fn new((per_second, at_once): (u32, u32)) -> RequestPacer {
        let [rate, burst] = [per_second, at_once].map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::per_second(rate).allow_burst(burst);
        RequestPacer { limiter: RateLimiter::direct_with_clock(quota, MonotonicClock), quiet_until: Mutex::new(None) }
    }

    /// Waits until the next request may be sent.
    pub(super) async fn wait(&self) {
        while let Err(until) = self.limiter.check() {
            sleep(until.wait_time_from(MonotonicClock.now())).await;
        }
    }

    /// Returns whether a failure should be logged. A server that is down must not flood the log.
    pub(super) fn should_log(&self) -> bool {
        let mut quiet_until = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_news = quiet_until.is_none_or(|until| until <= now);
        if is_news {
            *quiet_until = Some(now + LOG_PAUSE);
        }
        is_news
    }
}
