//! `retry`, `close` and `enforce`: commands about the jobs of the outbox.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::super::common::{CommandError, CommonArguments, escape_line, exit_code, print_error};
use super::answer::{check_status, list_page, unexpected_answer};
use super::server::{ServerArguments, ServerRequest};
use crate::moderation::api::{
    EnforcementCommand, FailedJob, JobReference, JobReply, ModerationParameters, ModerationResource, RepeatReply,
};

/// The maximum number of jobs in one request, and of entries in one page.
const JOBS_PER_REQUEST: usize = 100;
const ENTRIES_PER_PAGE: &str = "1000";

/// How long `enforce` waits while too many jobs wait at the server.
const PAUSE: Duration = Duration::from_secs(1);

/// A filter of jobs.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct JobFilterArguments {
    /// Only jobs of this kind: enforcement or webhook.
    #[arg(long)]
    kind: Option<String>,
    /// Only events for this webhook: its address without the path, or its host.
    #[arg(long, value_name = "ORIGIN")]
    webhook: Option<String>,
    /// Only jobs that failed for this cause: unreachable, trouble, refused, gone or impossible.
    #[arg(long)]
    cause: Option<String>,
    /// Only jobs whose error contains this text.
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
}

/// Dead letters, by their ids or by a filter.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct JobArguments {
    /// The ids of dead letters, as `list enforcements` shows them.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only jobs about this app.
    #[arg(long)]
    app: Option<String>,
    /// Only jobs about this user.
    #[arg(long)]
    user: Option<String>,
    /// Only jobs about this conversation.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    #[command(flatten)]
    filter: JobFilterArguments,
    /// Change all dead letters that the filter selects. Without it, the command only shows their number.
    #[arg(long)]
    yes: bool,
    /// The user on whose behalf a service acts. Default: the service acts for itself.
    #[arg(long = "as", value_name = "USER")]
    client: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// `close`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CloseArguments {
    #[command(flatten)]
    jobs: JobArguments,
    /// The reason, for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// `enforce`'s own arguments.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct EnforceArguments {
    /// The app.
    #[arg(long)]
    app: String,
    /// Continue an interrupted pass: the cursor that it showed.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// The user on whose behalf a service acts. Default: the service acts for itself.
    #[arg(long = "as", value_name = "USER")]
    client: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

impl JobFilterArguments {
    /// Returns the parameters of the filter.
    pub(super) fn parameters(&self) -> ModerationParameters {
        let JobFilterArguments { kind, webhook, cause, error } = self;
        let (kind, webhook, cause, error) = (kind.clone(), webhook.clone(), cause.clone(), error.clone());
        ModerationParameters { cause, error, kind, webhook, ..ModerationParameters::default() }
    }
}

pub(super) fn retry(common: &CommonArguments, jobs: &JobArguments) -> Result<ExitCode, CommandError> {
    jobs.run(common, EnforcementCommand::Retry, None)
}

pub(super) fn close(common: &CommonArguments, arguments: &CloseArguments) -> Result<ExitCode, CommandError> {
    arguments.jobs.run(common, EnforcementCommand::Close, Some(&arguments.reason))
}

impl JobArguments {
    fn run(
        &self,
        common: &CommonArguments,
        command: EnforcementCommand,
        reason: Option<&String>,
    ) -> Result<ExitCode, CommandError> {
        let filter = self.filter();
        let is_filtered = filter != ModerationParameters::default();
        let jobs = self.jobs(common, &filter)?;
        if is_filtered && !self.yes {
            let text = || format!("{} dead letters are selected. To change them, add --yes", jobs.len());
            common.print(text, || json!({ "selected": jobs.len() }).to_string())?;
            return Ok(exit_code(jobs.is_empty()));
        }
        if is_filtered {
            print_error(&format!("{} dead letters are selected", jobs.len()));
        }
        let reply = self.change_all(common, command, reason, &jobs)?;
        common.print(|| describe(command, &reply), || json!(reply).to_string())?;
        Ok(exit_code(reply.failed.is_empty()))
    }

    /// Returns the jobs that the arguments name, or that their filter selects.
    fn jobs(&self, common: &CommonArguments, filter: &ModerationParameters) -> Result<Vec<JobReference>, CommandError> {
        match (self.ids.is_empty(), *filter != ModerationParameters::default()) {
            (false, false) => Ok(self.ids.iter().map(|id| JobReference { id: id.clone(), change: None }).collect()),
            (true, true) => self.select(common, filter),
            (true, false) | (false, true) => {
                let usage = "name either the ids of dead letters, or a filter such as --app or --cause";
                Err(CommandError::Usage(usage.to_owned()))
            }
        }
    }

    /// Changes the jobs in several requests, because a request has a maximum number of jobs.
    fn change_all(
        &self,
        common: &CommonArguments,
        command: EnforcementCommand,
        reason: Option<&String>,
        jobs: &[JobReference],
    ) -> Result<JobReply, CommandError> {
        let mut reply = JobReply { succeeded: Vec::new(), failed: Vec::new() };
        for part in jobs.chunks(JOBS_PER_REQUEST) {
            let JobReply { succeeded, failed } = self.change(common, command, reason, part)?;
            reply.succeeded.extend(succeeded);
            reply.failed.extend(failed);
        }
        Ok(reply)
    }

    /// Returns the filter, without the state and the paging.
    fn filter(&self) -> ModerationParameters {
        let (app, user, conversation) = (self.app.clone(), self.user.clone(), self.conversation.clone());
        ModerationParameters { app, conversation, user, ..self.filter.parameters() }
    }

    /// Returns the dead letters that the filter selects.
    fn select(
        &self,
        common: &CommonArguments,
        filter: &ModerationParameters,
    ) -> Result<Vec<JobReference>, CommandError> {
        let (mut jobs, mut after) = (Vec::new(), None);
        loop {
            let parameters = ModerationParameters { after, client_id: self.client.clone(), ..dead_letters(filter) };
            let resource = ModerationResource::Enforcements;
            let answer = self.server.ask(common, &ServerRequest { method: Method::GET, resource, parameters })?;
            check_status(common, &answer)?;
            let page = list_page(&answer)?;
            jobs.extend(page.entries.iter().filter_map(job_reference));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(jobs),
            }
        }
    }

    fn change(
        &self,
        common: &CommonArguments,
        command: EnforcementCommand,
        reason: Option<&String>,
        jobs: &[JobReference],
    ) -> Result<JobReply, CommandError> {
        let (jobs, reason, client_id) = (jobs.to_vec(), reason.cloned(), self.client.clone());
        let parameters = ModerationParameters { client_id, jobs, reason, ..ModerationParameters::default() };
        post(common, &self.server, command, parameters)
    }
}

/// Returns the parameters that list the dead letters of this filter.
fn dead_letters(filter: &ModerationParameters) -> ModerationParameters {
    let (state, limit) = (Some("dead-letter".to_owned()), Some(ENTRIES_PER_PAGE.to_owned()));
    ModerationParameters { limit, state, ..filter.clone() }
}

/// Returns the reference to a job in a list.
fn job_reference(entry: &Map<String, Value>) -> Option<JobReference> {
    let id = entry.get("id")?.as_str()?.to_owned();
    Some(JobReference { id, change: entry.get("change").and_then(Value::as_u64) })
}

fn post<T: DeserializeOwned>(
    common: &CommonArguments,
    server: &ServerArguments,
    command: EnforcementCommand,
    parameters: ModerationParameters,
) -> Result<T, CommandError> {
    let resource = ModerationResource::EnforcementCommand(command);
    let answer = server.ask(common, &ServerRequest { method: Method::POST, resource, parameters })?;
    check_status(common, &answer)?;
    T::deserialize(&answer.body).map_err(|_| unexpected_answer(&answer))
}

fn describe(command: EnforcementCommand, JobReply { succeeded, failed }: &JobReply) -> String {
    let done = if command == EnforcementCommand::Close { "closed" } else { "due now" };
    let mut text = String::new();
    for FailedJob { id, code, reason } in failed {
        // Writing to a string does not fail.
        let _ = writeln!(text, "✗ {}: {} ({})", escape_line(id), escape_line(reason), escape_line(code));
    }
    let count = succeeded.len();
    let mark = if failed.is_empty() { "✓ " } else { "" };
    let _ = writeln!(text, "{mark}{count} of {} dead letters are {done}", count + failed.len());
    text
}

pub(super) fn enforce(common: &CommonArguments, arguments: &EnforceArguments) -> Result<ExitCode, CommandError> {
    let (mut requested, mut after) = (0, arguments.after.clone());
    loop {
        let reply = repeat(common, arguments, after.as_ref())?;
        requested += reply.requested;
        let Some(next) = reply.next else { break };
        let (waiting, cursor) = (reply.waiting, escape_line(&next));
        print_error(&format!("{requested} requested, {waiting} wait at the server; next: {cursor}"));
        // The server requests nothing while too many jobs wait.
        if after.as_ref() == Some(&next) || reply.change.is_none() && reply.waiting > 0 {
            sleep(PAUSE);
        }
        after = Some(next);
    }
    let text = || format!("✓ {requested} enforcements at {} are requested again", escape_line(&arguments.app));
    common.print(text, || json!({ "app": arguments.app, "requested": requested }).to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Requests the enforcements after this cursor again. After an error, says how to continue there.
fn repeat(
    common: &CommonArguments,
    arguments: &EnforceArguments,
    after: Option<&String>,
) -> Result<RepeatReply, CommandError> {
    let (app, client_id) = (Some(arguments.app.clone()), arguments.client.clone());
    let parameters = ModerationParameters { app, after: after.cloned(), client_id, ..ModerationParameters::default() };
    let reply = post(common, &arguments.server, EnforcementCommand::Repeat, parameters);
    reply.inspect_err(|_| {
        if let Some(cursor) = after.filter(|cursor| !cursor.is_empty()) {
            print_error(&format!("to continue, add --after '{}'", escape_line(cursor)));
        }
    })
}
