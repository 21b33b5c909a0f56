//! One attempt at a job: what it has at hand, and what can come of it.

use std::borrow::Cow;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::time::{Instant, sleep_until};

use super::OutboxState;
use super::targets::{DeliveryTarget, DeliveryTargets};
use crate::clock;
use crate::config::Enforcement;
use crate::model::Millis;
use crate::store::{Job, Store, StoreUnavailable};
use crate::vendor::moderation::{PermanentFailure, ResponseClass, VendorCall};

/// The longest answer of a vendor that is read, in bytes: thirty conversations with hundreds of participants each.
const LONGEST: usize = 4 << 20;

/// A job that is being done.
pub(super) struct RunningJob<'a> {
    pub(super) shared: &'a OutboxState,
    pub(super) targets: &'a DeliveryTargets,
    pub(super) job: &'a Job,
    /// When nothing more may be sent: the answer to it would come after the lease.
    pub(super) until: Instant,
    /// When what is imposed must be imposed once more: until then another process may not know of it. `None`: this is the last time.
    pub(super) once_more: Option<Millis>,
}

/// What is done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReconcileResult {
    /// When there is more to do.
    pub(super) again: Option<Millis>,
    /// What can't be had from this vendor.
    pub(super) lacking: Option<Cow<'static, str>>,
    /// Until when it may yet come to nothing, if so: something that was sent before may come after it, or another process doesn't know of
    /// what is imposed.
    pub(super) doubtful_until: Option<Millis>,
}

/// Why a job is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum JobError {
    /// Something went wrong that may go well another time; not before this has passed.
    Later(String, Option<Duration>),
    /// The time is up, or the process ends: whoever comes next goes on.
    Unfinished,
    /// It will not succeed.
    Never(String),
    /// It belongs to another by now.
    Lost,
}

impl JobError {
    pub(super) fn later(why: String) -> JobError {
        JobError::Later(why, None)
    }
}

impl From<StoreUnavailable> for JobError {
    fn from(unavailable: StoreUnavailable) -> JobError {
        JobError::later(unavailable.to_string())
    }
}

impl From<PermanentFailure> for JobError {
    fn from(impossible: PermanentFailure) -> JobError {
        JobError::Never(impossible.to_string())
    }
}

impl RunningJob<'_> {
    pub(super) fn store(&self) -> Result<&Store, JobError> {
        self.shared.moderation.store().ok_or_else(|| JobError::Never("there is no store".to_owned()))
    }

    /// Waits for this, but not longer than the job may take and the process goes on.
    pub(super) async fn in_time<T>(&self, doing: impl Future<Output = T>) -> Result<T, JobError> {
        let mut stopping = self.shared.stopping.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|is_stopping| *is_stopping) => Err(JobError::Unfinished),
            () = sleep_until(self.until) => Err(JobError::Unfinished),
            done = doing => Ok(done),
        }
    }

    /// Makes a request of a vendor when it is its turn. `None`: there is nothing of that name.
    pub(super) async fn send(
        &self,
        target: &DeliveryTarget<Enforcement>,
        call: &VendorCall,
    ) -> Result<Option<Bytes>, JobError> {
        let Enforcement { endpoint, moderator, .. } = &*target.what;
        self.in_time(target.pace.turn()).await?;
        let base = endpoint.url.to_string();
        let mut request = Request::new(Full::from(call.body.clone().unwrap_or_default()));
        *request.method_mut() = call.method.clone();
        let url = format!("{}{}", base.trim_end_matches('/'), call.path);
        *request.uri_mut() = url.parse().map_err(|_| JobError::Never("its address is too long".to_owned()))?;
        *request.headers_mut() = moderator.headers(call, clock::now())?;
        let answer = target.client.send(request, LONGEST).await;
        let answer =
            answer.map_err(|trouble| JobError::later(format!("{}: {trouble}", moderator.vendor().as_str())))?;
        let named = |why: String| format!("{}: {why}", moderator.vendor().as_str());
        match moderator.hear(call, answer.status(), answer.headers(), answer.body()) {
            ResponseClass::Done => Ok(Some(answer.into_body())),
            ResponseClass::Absent => Ok(None),
            ResponseClass::Later(why, asked) => Err(JobError::Later(named(why), asked.map(Duration::from_secs))),
            ResponseClass::Never(why) => Err(JobError::Never(named(why))),
        }
    }
}
