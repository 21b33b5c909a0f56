//! An attempt at a job: its input and its results.

use std::borrow::Cow;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tokio::time::{Instant, sleep_until};

use super::state::OutboxState;
use super::targets::{DeliveryTarget, DeliveryTargets};
use crate::clock;
use crate::config::Enforcement;
use crate::model::Millis;
use crate::moderation::store::{FailureCause, Job, JobFailure, Store, StoreUnavailable};
use crate::upstream::ClientError;
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
    /// The part that this vendor cannot enforce: a sentence. Empty if the job runs again in any case.
    pub(super) unsupported: Option<Cow<'static, str>>,
}

/// Why a job is not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobError {
    /// A temporary failure. The next attempt comes after this delay, or later.
    Later(JobFailure, Option<Duration>),
    /// The time of the job is over, or the process stops. The next holder continues.
    Unfinished,
    /// The job must wait until this time for another job.
    Waiting(Millis),
    /// A permanent failure.
    Never(JobFailure),
    /// Another process holds the job now.
    Lost,
}

impl JobError {
    pub(super) fn temporary(why: impl Into<String>) -> JobError {
        JobError::Later(JobFailure::new(FailureCause::Trouble, why), None)
    }

    pub(super) fn impossible(why: impl Into<String>) -> JobError {
        JobError::Never(JobFailure::new(FailureCause::Impossible, why))
    }
}

impl From<StoreUnavailable> for JobError {
    fn from(unavailable: StoreUnavailable) -> JobError {
        JobError::temporary(unavailable.to_string())
    }
}

impl From<PermanentFailure> for JobError {
    fn from(impossible: PermanentFailure) -> JobError {
        JobError::impossible(impossible.to_string())
    }
}

/// Returns the cause of a failure with this status, or `other` if the status says nothing special.
pub(super) fn cause_of_status(status: StatusCode, other: FailureCause) -> FailureCause {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FailureCause::Refused,
        StatusCode::GONE => FailureCause::Gone,
        _ => other,
    }
}

impl RunningJob<'_> {
    pub(super) fn store(&self) -> Result<&Store, JobError> {
        self.shared.moderation.store().ok_or_else(|| JobError::impossible("no store is configured"))
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
        let now = clock::now();
        let url = format!("{}{}", base.trim_end_matches('/'), moderator.path(call, now));
        *request.uri_mut() = url.parse().map_err(|_| JobError::impossible("its address is too long"))?;
        *request.headers_mut() = moderator.headers(call, now)?;
        let answer = target.client.send(request, MAX_ANSWER_BYTES).await;
        let named = |cause, why: String| JobFailure::new(cause, format!("{}: {why}", moderator.vendor().as_str()));
        let answer = answer.map_err(|trouble| {
            if let ClientError::Long(most) = trouble {
                let path = call.path.split('?').next().unwrap_or_default();
                let why = format!("the answer to {path} is longer than the {most} bytes that are read");
                return JobError::Never(named(FailureCause::Impossible, why));
            }
            JobError::Later(named(FailureCause::Unreachable, trouble.to_string()), None)
        })?;
        match moderator.classify_response(call, answer.status(), answer.headers(), answer.body()) {
            ResponseClass::Done => Ok(Some(answer.into_body())),
            ResponseClass::NotFound => Ok(None),
            ResponseClass::Retry(why, asked) => {
                Err(JobError::Later(named(FailureCause::Trouble, why), asked.map(Duration::from_secs)))
            }
            ResponseClass::Permanent(why) => {
                let cause = cause_of_status(answer.status(), FailureCause::Impossible);
                Err(JobError::Never(named(cause, why)))
            }
        }
    }
}
