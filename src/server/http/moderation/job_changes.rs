//! Retries and closes dead letters, and requests the enforcement of all bans and mutes of an app again.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;

use super::authenticated::AuthenticatedRequest;
use super::enforcements::store;
use super::fields::RequestFields;
use super::job_record::JobRecord;
use super::read::{self, ReadPermission, ReadRequest};
use crate::model::{Action, Pattern};
use crate::moderation::api::{EnforcementCommand, FailedJob, JobReference, JobReply, ModerationParameters};
use crate::moderation::store::{Job, JobState};
use crate::moderation::{ChangeError, EnforcementPass};
use crate::server::http::context::RequestContext;
use crate::server::http::error::ApiError;
use crate::server::http::metrics::CountedDecision;
use crate::server::http::response_body::HttpResponse;
use crate::server::http::{record, render, sign};
use crate::server::limits::AdmissionPermit;
use crate::telemetry::{AuditDecision, AuditRecord, AuditScope};

/// A request with the permission to carry it out.
struct PermittedRequest {
    exchange: RequestContext,
    caller: Arc<crate::model::Caller>,
    command: EnforcementCommand,
    params: ModerationParameters,
    app: Option<Arc<str>>,
    permission: ReadPermission,
    rules: Vec<Arc<str>>,
}

/// A job that a request names, and why it was not changed, if it was not.
struct JobOutcome {
    reference: JobReference,
    job: Option<Job>,
    failure: Option<(&'static str, &'static str)>,
}

/// Answers a request that changes jobs.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    command: EnforcementCommand,
    request: &mut Request<Incoming>,
    place: AdmissionPermit,
) -> Result<HttpResponse, ApiError> {
    read::check_no_query(request)?;
    let (params, place) = sign::read_body_params(visit.exchange, false, request, place).await?;
    params.reject_unknown(accepted_parameters(command))?;
    let params = ModerationParameters::read(&params)?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let reader = ReadRequest::new(visit, fields, None)?;
    match command {
        EnforcementCommand::Retry => fields.jobs()?,
        EnforcementCommand::Close => fields.jobs().and_then(|()| fields.required_reason())?,
        EnforcementCommand::Repeat => fields.enforced_app(&visit.exchange.runtime.change_subscribers())?,
    }
    let (permission, rules) = reader.permit(visit, Action::RetryEnforcement).await?;
    store(visit)?;
    visit.exchange.runtime.audit.health()?;
    let (exchange, caller) = (visit.exchange.clone(), Arc::clone(&visit.caller));
    let permitted = PermittedRequest { exchange, caller, command, params, app: reader.app, permission, rules };
    // The change runs in a task, so that it is completed and recorded even if the caller disconnects.
    let changing = tokio::spawn(async move {
        let changed = permitted.carry_out().await;
        drop(place);
        changed
    });
    changing.await.unwrap_or_else(|_| Err(ApiError::internal("a panic; the log shows its location")))
}

fn accepted_parameters(command: EnforcementCommand) -> &'static [&'static str] {
    match command {
        EnforcementCommand::Retry => &["jobs", "app", "client_id"],
        EnforcementCommand::Close => &["jobs", "reason", "app", "client_id"],
        EnforcementCommand::Repeat => &["app", "after", "client_id"],
    }
}

impl PermittedRequest {
    async fn carry_out(&self) -> Result<HttpResponse, ApiError> {
        match self.command {
            EnforcementCommand::Retry | EnforcementCommand::Close => self.change_jobs().await,
            EnforcementCommand::Repeat => self.repeat().await,
        }
    }

    async fn change_jobs(&self) -> Result<HttpResponse, ApiError> {
        let visit = AuthenticatedRequest { exchange: &self.exchange, caller: Arc::clone(&self.caller) };
        let (store, now) = (store(&visit)?, self.exchange.now);
        let keys = self.params.jobs.iter().map(|job| job.key().unwrap_or_default()).collect();
        let found = store.find_jobs(keys).await?;
        let mut outcomes: Vec<JobOutcome> =
            self.params.jobs.iter().zip(found).map(|(reference, job)| self.check(reference, job)).collect();
        let changed = |job: &Job| match self.command {
            EnforcementCommand::Close => (job.clone(), job.closed(now)),
            EnforcementCommand::Retry | EnforcementCommand::Repeat => (job.clone(), job.retried(now)),
        };
        let fit: Vec<_> = outcomes.iter().filter(|outcome| outcome.failure.is_none()).collect();
        let jobs: Vec<_> = fit.iter().filter_map(|outcome| outcome.job.as_ref()).map(changed).collect();
        let replaced = if jobs.is_empty() { Vec::new() } else { store.replace_jobs(jobs, now).await? };
        let fit = outcomes.iter_mut().filter(|outcome| outcome.failure.is_none());
        for (outcome, _) in fit.zip(replaced).filter(|(_, is_replaced)| !is_replaced) {
            outcome.failure = Some(CHANGED);
        }
        self.record(&outcomes).await?;
        let succeeded = outcomes.iter().filter(|outcome| outcome.failure.is_none());
        let failed = outcomes.iter().filter_map(|JobOutcome { reference, failure, .. }| {
            let (code, reason) = (*failure)?;
            Some(FailedJob { id: reference.id.clone(), code: code.to_owned(), reason: reason.to_owned() })
        });
        let succeeded = succeeded.map(|outcome| outcome.reference.id.clone()).collect();
        Ok(render::json(&JobReply { succeeded, failed: failed.collect() }))
    }

    /// Checks that a job exists, is the requested one and is a dead letter.
    fn check(&self, reference: &JobReference, job: Option<Job>) -> JobOutcome {
        let is_of_app = |job: &Job| self.app.is_none() || JobRecord::from(job).app.as_deref() == self.app.as_deref();
        let job = job.filter(is_of_app);
        let failure = match &job {
            None => Some(("gone", "there is no such job any more")),
            Some(job) if reference.change.is_some_and(|change| change != job.revision) => Some(CHANGED),
            Some(job) if job.state != JobState::DeadLetter => Some(("not_dead_letter", "the job is not a dead letter")),
            Some(_) => None,
        };
        JobOutcome { reference: reference.clone(), job, failure }
    }

    /// Writes an audit line for each job, and counts the decisions.
    async fn record(&self, outcomes: &[JobOutcome]) -> Result<(), ApiError> {
        let signing_request = self.permission.request()?;
        let closed = self.params.reason.as_ref().map(|reason| format!("closed: {reason}"));
        let mut lines = Vec::new();
        for JobOutcome { job, failure, .. } in outcomes {
            let job = job.as_ref().map(JobRecord::from).unwrap_or_default();
            let app = job.app.as_deref().and_then(|app| self.exchange.settings().engine.app(app));
            let place = job.conversation.clone().map(Pattern::Exact);
            let asked = record::request_record(&self.exchange, app, &self.caller, signing_request);
            let (decision, reason) = match failure {
                Some((_, reason)) => (AuditDecision::Invalid, Some(*reason)),
                None => (AuditDecision::Allow, closed.as_deref()),
            };
            let record = AuditRecord {
                decision,
                reason,
                rules: &self.rules,
                targets: job.user.as_slice(),
                change: (job.change > 0).then_some(job.change),
                conversation: place.as_ref().map(AuditScope).or(asked.conversation),
                ..asked
            };
            lines.extend(record::audit_line(&self.exchange, &record)?);
        }
        self.exchange.runtime.audit.write(&lines).await?;
        for JobOutcome { failure, .. } in outcomes {
            let counted = match failure {
                Some((code, _)) => CountedDecision::rejected(Action::RetryEnforcement, code),
                None => CountedDecision::allowed(Action::RetryEnforcement, AuditDecision::Allow, &self.rules),
            };
            counted.count(&self.exchange, None);
        }
        Ok(())
    }

    /// Requests the enforcement of the next bans and mutes of an app.
    async fn repeat(&self) -> Result<HttpResponse, ApiError> {
        let visit = AuthenticatedRequest { exchange: &self.exchange, caller: Arc::clone(&self.caller) };
        let app = self.app.clone().unwrap_or_default();
        let pass = EnforcementPass { policy: &self.exchange.settings().engine.policy, app: &app };
        let reply = match pass.request_next(&self.exchange.runtime.moderation, self.params.after.as_deref()).await {
            Ok(reply) => reply,
            Err(not_changed) => return Err(self.unchanged(&visit, not_changed).await),
        };
        let signing_request = self.permission.request()?;
        let app = self.exchange.settings().engine.app(&app);
        let asked = record::request_record(&self.exchange, app, &self.caller, signing_request);
        let reason = format!("{} enforcements were requested again", reply.requested);
        let record = AuditRecord { rules: &self.rules, change: reply.change, reason: Some(&reason), ..asked };
        let counted = CountedDecision::allowed(signing_request.action, AuditDecision::Allow, &self.rules);
        record::record_decision(&self.exchange, app, &record, counted).await?;
        Ok(render::json(&reply))
    }

    async fn unchanged(&self, visit: &AuthenticatedRequest<'_>, not_changed: ChangeError) -> ApiError {
        visit.record_undecided(self.app.as_ref(), self.permission.requests(), None, not_changed.into()).await
    }
}

/// The failure of a job that another change or worker was faster with.
const CHANGED: (&str, &str) = ("changed", "the job was requested again or tried meanwhile");
