//! An attempt at a job: its input and its results.

use std::borrow::Cow;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::time::{Instant, sleep_until};

use super::state::OutboxState;
use super::targets::{DeliveryTarget, DeliveryTargets};
use crate::clock;
use crate::config::Enforcement;
use crate::model::Millis;
use crate::moderation::store::{Job, Store, StoreUnavailable};
use crate::vendor::moderation::{PermanentFailure, ResponseClass, VendorCall};

/// The longest answer of a vendor that is read, in bytes: 30 conversations with hundreds of participants each.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// A job in progress.
pub(super) struct RunningJob<'a> {
    pub(super) shared: &'a OutboxState,
    pub(super) targets: &'a DeliveryTargets,
    pub(super) job: &'a Job,
    /// The time after which nothing more may be sent, because the answer would arrive after the lease.
    pub(super) send_deadline: Instant,
    /// The time at which a sanction must be enforced again. Until then another process possibly does not know it.
    /// `None`: this is the last time.
    pub(super) repeat_at: Option<Millis>,
}

/// The result of an attempt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReconcileResult {
    /// The time at which there is more to do.
    pub(super) requeue_at: Option<Millis>,
    /// The part that this vendor cannot enforce: a sentence.
    pub(super) unsupported: Option<Cow<'static, str>>,
    /// The time until which the result can still be undone, if it can: an earlier request may arrive later, or another
    /// process does not know the sanction yet.
    pub(super) uncertain_until: Option<Millis>,
}

/// Why a job is not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobError {
    /// A temporary failure. The next attempt comes after this delay, or later.
    Later(String, Option<Duration>),
    /// The time of the job is over, or the process stops. The next holder continues.
    Unfinished,
    /// A permanent failure.
    Never(String),
    /// Another process holds the job now.
    Lost,
}

impl JobError {
    pub(super) fn temporary(why: String) -> JobError {
        JobError::Later(why, None)
    }
}

impl From<StoreUnavailable> for JobError {
    fn from(unavailable: StoreUnavailable) -> JobError {
        JobError::temporary(unavailable.to_string())
    }
}

impl From<PermanentFailure> for JobError {
    fn from(impossible: PermanentFailure) -> JobError {
        JobError::Never(impossible.to_string())
    }
}

impl RunningJob<'_> {
    pub(super) fn store(&self) -> Result<&Store, JobError> {
        self.shared.moderation.store().ok_or_else(|| JobError::Never("no store is configured".to_owned()))
    }

    /// Waits for the future. Stops if the time of the job is over or the process stops.
    pub(super) async fn with_deadline<T>(&self, doing: impl Future<Output = T>) -> Result<T, JobError> {
        let mut stopping = self.shared.stopping.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|is_stopping| *is_stopping) => Err(JobError::Unfinished),
            () = sleep_until(self.send_deadline) => Err(JobError::Unfinished),
            done = doing => Ok(done),
        }
    }

    /// Sends a request to a vendor when the rate limit permits it. `None`: the vendor does not know the named object.
    pub(super) async fn send(
        &self,
        target: &DeliveryTarget<Enforcement>,
        call: &VendorCall,
    ) -> Result<Option<Bytes>, JobError> {
        let Enforcement { endpoint, moderation_api: moderator, .. } = &*target.settings;
        self.with_deadline(target.rate_limiter.wait()).await?;
        let base = endpoint.url.to_string();
        let mut request = Request::new(Full::from(call.body.clone().unwrap_or_default()));
        *request.method_mut() = call.method.clone();
        let url = format!("{}{}", base.trim_end_matches('/'), call.path);
        *request.uri_mut() = url.parse().map_err(|_| JobError::Never("its address is too long".to_owned()))?;
        *request.headers_mut() = moderator.headers(call, clock::now())?;
        let answer = target.client.send(request, MAX_ANSWER_BYTES).await;
        let answer =
            answer.map_err(|trouble| JobError::temporary(format!("{}: {trouble}", moderator.vendor().as_str())))?;
        let named = |why: String| format!("{}: {why}", moderator.vendor().as_str());
        match moderator.classify_response(call, answer.status(), answer.headers(), answer.body()) {
            ResponseClass::Done => Ok(Some(answer.into_body())),
            ResponseClass::NotFound => Ok(None),
            ResponseClass::Retry(why, asked) => Err(JobError::Later(named(why), asked.map(Duration::from_secs))),
            ResponseClass::Permanent(why) => Err(JobError::Never(named(why))),
        }
    }
}
