//! The events of moderation as a stream: server-sent events (HTML, section 9.2).
//!
//! A stream ends after an hour, when the settings change, when the program stops, and when the reader loses the
//! permission to read. A client that reconnects with the id of the last event continues where it was.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::authenticated::AuthenticatedRequest;
use super::fields::RequestFields;
use super::job_record::JobRecord;
use super::read::{self, ReadPermission, ReadRequest};
use crate::clock;
use crate::model::Caller;
use crate::moderation::outbox::Outbox;
use crate::moderation::store::{ChangesSince, Job, StoreHead, StoredChange};
use crate::server::http::context::RequestContext;
use crate::server::http::error::{ApiError, ErrorCode};
use crate::server::http::response_body::{HttpResponse, ResponseBody};
use crate::server::limits::AdmissionPermit;
use crate::telemetry::outbox::DeliveryKind;

/// The header with the id of the last event that a client received (HTML, section 9.2).
pub(in crate::server::http) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How often a comment is sent if there are no events. It keeps the connection alive for proxies and clients.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The maximum duration of a stream.
const MAX_DURATION: Duration = Duration::from_secs(60 * 60);

/// How long a stream waits for further changes before it reads them. So many changes at once cause few reads of the
/// store.
const BATCH_DELAY: Duration = Duration::from_millis(20);

/// How many pieces can wait to be sent.
const CHANNEL_CAPACITY: usize = 16;

/// Tells proxies such as nginx to forward the stream without buffering.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Answers with a stream of events.
pub(super) async fn answer(
    visit: &AuthenticatedRequest<'_>,
    request: &Request<Incoming>,
) -> Result<HttpResponse, ApiError> {
    let params = read::query(request, &["conversation", "app", "last_event_id", "client_id"])?;
    let fields = RequestFields { params: &params, settings: visit.exchange.settings() };
    let last = match request.headers().get(LAST_EVENT_ID) {
        Some(header) => Some(header.to_str().unwrap_or_default().to_owned()),
        None => params.last_event_id.clone(),
    };
    let place = fields.scope()?.map(|place| place.home_conversation().into_owned());
    let reader = ReadRequest::new(visit, fields, place)?;
    let leave = reader.authorize(visit).await?;
    if visit.exchange.runtime.moderation.store().is_none() {
        return Err(ApiError::no_store());
    }
    let slot = visit.exchange.snapshot.limits.streams.try_acquire().ok_or_else(too_many_streams)?;
    let (sender, pieces) = mpsc::channel(CHANNEL_CAPACITY);
    let (context, caller) = (visit.exchange.clone(), Arc::clone(&visit.caller));
    let position = match last {
        Some(last) => LogPosition::parse(&last),
        None => start_position(visit, &sender),
    };
    tokio::spawn(EventStream { context, caller, reader, permission: leave, sender }.run(position, slot));
    let mut answer = HttpResponse::new(ResponseBody::streamed(pieces));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(answer)
}

/// Starts a stream with the changes from now on. The stream sends an id at once, so that a client that disconnects
/// before the first event can continue, too.
fn start_position(visit: &AuthenticatedRequest<'_>, sender: &mpsc::Sender<Bytes>) -> LogPosition {
    let position = LogPosition::after(&visit.exchange.runtime.moderation.head());
    // The channel is empty, so the send cannot fail because it is full.
    _ = sender.try_send(Bytes::from(format!("id: {position}\n\n")));
    position
}

fn too_many_streams() -> ApiError {
    ApiError::with_same_message(ErrorCode::Overloaded, "Too many event streams are open. Retry later.")
}

/// An open stream.
struct EventStream {
    context: RequestContext,
    caller: Arc<Caller>,
    /// The place and the app whose events are sent.
    reader: ReadRequest,
    permission: ReadPermission,
    sender: mpsc::Sender<Bytes>,
}

/// The position of a reader in the change log of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct LogPosition {
    epoch: String,
    /// The change whose events are sent next. 0 means that the position is unknown.
    version: u64,
    /// How many events of this change have been sent.
    events_sent: usize,
}

/// The stream has ended.
struct StreamEnded;

impl LogPosition {
    /// Returns the position before the first change after `head`.
    fn after(head: &StoreHead) -> LogPosition {
        LogPosition { epoch: head.epoch.clone(), version: head.version + 1, events_sent: 0 }
    }

    /// Reads the id of an event. An invalid id gives the unknown position.
    fn parse(text: &str) -> LogPosition {
        let parts = text.rsplit_once('-').and_then(|(rest, told)| Some((rest.rsplit_once('-')?, told)));
        let read = parts.and_then(|((epoch, version), told)| {
            Some(LogPosition {
                epoch: epoch.to_owned(),
                version: version.parse().ok()?,
                events_sent: told.parse().ok()?,
            })
        });
        read.unwrap_or_default()
    }
}

/// Writes the position as the id of the last event that was sent.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.epoch, self.version, self.events_sent)
    }
}

impl EventStream {
    /// Sends events until the stream ends.
    async fn run(self, from: LogPosition, slot: AdmissionPermit) {
        let end = self.deadline();
        let runtime = Arc::clone(&self.context.runtime);
        tokio::select! {
            StreamEnded = self.stream_until_end(from) => {}
            () = self.sender.closed() => {}
            () = runtime.drained() => {}
            () = sleep_until(end) => {}
        }
        drop(slot);
    }

    /// Returns the time at which the stream ends at the latest: after [`MAX_DURATION`], or when the caller's token expires.
    fn deadline(&self) -> Instant {
        let token = self.context.snapshot.settings.engine.authenticators.token_end(&self.caller);
        let left = token.map_or(MAX_DURATION, |end| Duration::from_millis(end.0.saturating_sub(clock::now().0)));
        Instant::now() + MAX_DURATION.min(left)
    }

    async fn stream_until_end(&self, from: LogPosition) -> StreamEnded {
        let Err(over) = self.stream_events(from).await;
        over
    }

    async fn stream_events(&self, mut position: LogPosition) -> Result<Infallible, StreamEnded> {
        let mut changes = self.context.runtime.moderation.version();
        let outbox = self.context.runtime.outbox.get().filter(|_| self.reader.includes_everything());
        let mut attempts = outbox.map(Outbox::subscribe_attempts);
        loop {
            changes.borrow_and_update();
            self.check_permission()?;
            self.send_new_events(&mut position).await?;
            tokio::select! {
                _ = changes.changed() => sleep(BATCH_DELAY).await,
                job = next_attempt(&mut attempts) => self.send_job(&job).await?,
                () = sleep(HEARTBEAT) => self.send(":\n\n".to_owned()).await?,
            }
        }
    }

    /// Returns an error if the stream must end: if the settings have changed since its start, or if the policy no
    /// longer allows the reader to read.
    fn check_permission(&self) -> Result<(), StreamEnded> {
        let is_current = Arc::ptr_eq(&self.context.runtime.snapshot(), &self.context.snapshot);
        let holds = || self.permission.holds(&self.context, &self.caller, clock::now());
        if is_current && holds() { Ok(()) } else { Err(StreamEnded) }
    }

    /// Sends all events after the position.
    async fn send_new_events(&self, position: &mut LogPosition) -> Result<(), StreamEnded> {
        let moderation = &self.context.runtime.moderation;
        let (Some(store), head) = (moderation.store(), moderation.head()) else { return Err(StreamEnded) };
        if position.epoch != head.epoch || !(1..=head.version + 1).contains(&position.version) {
            return self.send_reset(position, &head).await;
        }
        while position.version <= head.version {
            // The client reconnects and continues from its last id.
            let since = store.changes_since(position.version - 1).await.map_err(|_| StreamEnded)?;
            let Some(changes) = changes_from(position.version, since) else {
                return self.send_reset(position, &head).await;
            };
            for change in changes.iter().take_while(|change| change.version <= head.version) {
                self.send_change(position, change).await?;
            }
            self.check_permission()?;
        }
        Ok(())
    }

    async fn send_change(&self, position: &mut LogPosition, change: &StoredChange) -> Result<(), StreamEnded> {
        for event in change.events.iter().skip(position.events_sent) {
            position.events_sent += 1;
            let told: Value = serde_json::from_str(event).unwrap_or_default();
            if !self.reader.includes_event(&told) {
                continue;
            }
            let name = told.get("type").and_then(Value::as_str).unwrap_or("message");
            self.send(format!("id: {position}\nevent: {name}\ndata: {event}\n\n")).await?;
        }
        (position.version, position.events_sent) = (change.version + 1, 0);
        Ok(())
    }

    /// Sends the new state of a job for a vendor. This event has no id, because it is not in the log.
    async fn send_job(&self, job: &Job) -> Result<(), StreamEnded> {
        let JobRecord { id, kind, app, user, conversation, stage, change, .. } = JobRecord::from(job);
        if kind != DeliveryKind::Enforcement.as_str() {
            return Ok(());
        }
        let mut data = json!({ "id": id, "app": app, "user": user, "stage": stage, "change": change });
        if let Some(conversation) = conversation {
            data["conversation"] = conversation.into();
        }
        let event = json!({ "type": "job", "time": clock::now().to_string(), "data": data });
        self.send(format!("event: job\ndata: {event}\n\n")).await
    }

    /// Sends a reset: events may be missing, so the client must read all entries again.
    async fn send_reset(&self, position: &mut LogPosition, head: &StoreHead) -> Result<(), StreamEnded> {
        *position = LogPosition::after(head);
        let data = json!({ "id": position.to_string(), "type": "reset", "time": clock::now().to_string(), "data": {} });
        self.send(format!("id: {position}\nevent: reset\ndata: {data}\n\n")).await
    }

    async fn send(&self, piece: String) -> Result<(), StreamEnded> {
        self.sender.send(Bytes::from(piece)).await.map_err(|_| StreamEnded)
    }
}

/// Returns the next job that was attempted. Waits forever if there is no outbox.
async fn next_attempt(attempts: &mut Option<broadcast::Receiver<Arc<Job>>>) -> Arc<Job> {
    loop {
        match attempts {
            None => pending::<()>().await,
            Some(receiver) => match receiver.recv().await {
                Ok(job) => return job,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => *attempts = None,
            },
        }
    }
}

/// Returns the changes from this version on, if the store still has them.
fn changes_from(version: u64, since: ChangesSince) -> Option<Vec<StoredChange>> {
    match since {
        ChangesSince::Changes(changes) if changes.first()?.version == version => Some(changes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_to_go_on() {
        let position = LogPosition { epoch: "an-epoch".to_owned(), version: 7, events_sent: 2 };
        assert_eq!(LogPosition::parse(&position.to_string()), position);
        for nothing in ["", "-", "7-2", "epoch-7-", "epoch-x-2", "epoch-7--2", "epoch-99999999999999999999-1"] {
            assert_eq!(LogPosition::parse(nothing), LogPosition::default(), "{nothing}");
        }
    }
}
