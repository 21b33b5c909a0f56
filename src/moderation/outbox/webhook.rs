//! Sends events to a webhook, according to Standard Webhooks:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::job::{JobError, ReconcileResult, RunningJob, cause_of_status};
use crate::clock;
use crate::crypto::base64;
use crate::crypto::mac::HmacSha256;
use crate::model::Millis;
use crate::moderation::store::{FailureCause, Job, JobFailure, JobState, queue_name, subject};
use crate::vendor::moderation::retry_after;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The maximum number of bytes of an answer that are read. The body is ignored.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// How long an event waits before it looks again whether an earlier event was sent.
const ORDER_PAUSE: Duration = Duration::from_millis(100);

/// How long after an event it is sent, in milliseconds.
const MAX_EVENT_AGE_MS: u64 = 3 * 24 * 3_600_000;

/// The content of a webhook job.
#[derive(Debug, Deserialize)]
pub(super) struct WebhookJob {
    pub(super) webhook: String,
    event: Value,
}

impl WebhookJob {
    /// Reads the body of a job.
    pub(super) fn parse(body: &str) -> Result<WebhookJob, JobError> {
        serde_json::from_str(body).map_err(|_| JobError::impossible("the event cannot be read"))
    }

    /// Returns the id of the event.
    pub(super) fn id(&self) -> &str {
        self.event_field("id")
    }

    fn event_field(&self, name: &str) -> &str {
        self.event.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns whether the event is so old that it is not tried again.
    fn is_old(&self, now: Millis) -> bool {
        let time = self.event_field("time").parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_millisecond);
        now.0.saturating_sub(u64::try_from(time).unwrap_or_default()) > MAX_EVENT_AGE_MS
    }

    fn request(&self, keys: &[HmacSha256], now: Millis) -> Result<Request<Full<Bytes>>, JobError> {
        let (id, timestamp, body) = (self.id(), now.seconds().to_string(), self.event.to_string());
        let signature = signature(keys, id, &timestamp, &body);
        let malformed = || JobError::impossible("the id of the event is not valid in a header");
        let header = |text: &str| HeaderValue::from_str(text).map_err(|_| malformed());
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ID, header(id)?);
        headers.insert(TIMESTAMP, header(&timestamp)?);
        let mut signature = header(&signature)?;
        signature.set_sensitive(true);
        headers.insert(SIGNATURE, signature);
        Ok(request)
    }
}

/// Returns the part of a webhook's URL that cannot hold a secret: scheme, host and port.
pub fn origin(url: &str) -> String {
    let url: Uri = url.parse().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme_str().unwrap_or_default(), url.host().unwrap_or_default())
}

/// Returns a signature for each key. Receivers can change from one key to the next.
fn signature(keys: &[HmacSha256], id: &str, timestamp: &str, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures: Vec<_> = keys.iter().map(|key| format!("v1,{}", base64(&key.mac(signed.as_bytes())))).collect();
    signatures.join(" ")
}

impl RunningJob<'_> {
    /// Sends the event once, after all earlier events about the same user.
    pub(super) async fn send_event(&self, message: &WebhookJob) -> Result<ReconcileResult, JobError> {
        self.check_order().await?;
        let unknown = || JobError::impossible("this webhook is not configured");
        let target = self.targets.webhooks.get(&message.webhook).ok_or_else(unknown)?;
        self.with_deadline(target.rate_limiter.wait()).await?;
        let now = clock::now();
        let mut request = message.request(&target.settings.keys, now)?;
        *request.uri_mut() = target.settings.endpoint.url.clone();
        let (failure, asked) = match target.client.send_ignoring_body(request, MAX_ANSWER_BYTES).await {
            Ok(answer) if answer.status().is_success() => return Ok(ReconcileResult::default()),
            Ok(answer) if answer.status() == StatusCode::GONE => {
                let message = "it answers 410: it no longer wants events";
                return Err(JobError::Never(JobFailure::new(FailureCause::Gone, message)));
            }
            Ok(answer) => {
                let cause = cause_of_status(answer.status(), FailureCause::Trouble);
                let message = format!("it answers {}", answer.status().as_u16());
                (JobFailure::new(cause, message), retry_after(answer.headers()))
            }
            Err(trouble) => (JobFailure::new(FailureCause::Unreachable, trouble.to_string()), None),
        };
        if message.is_old(now) {
            let message = format!("delivery was tried for three days: {}", failure.message);
            return Err(JobError::Never(JobFailure { message, ..failure }));
        }
        Err(JobError::Later(failure, asked.map(Duration::from_secs)))
    }
}

impl RunningJob<'_> {
    /// Checks that no earlier event about the same user waits for the same webhook. If one waits in the queue for events
    /// that others overtake, it is moved to the front.
    async fn check_order(&self) -> Result<(), JobError> {
        let subject = subject(&self.job.key);
        if subject == self.job.key {
            return Ok(());
        }
        let first = self.store()?.list_jobs(JobState::Pending, &format!("{subject}:"), "", 1).await?;
        let Some(earlier) = first.into_iter().next().filter(|first| first.key < self.job.key) else { return Ok(()) };
        let due = earlier.due.max(clock::now().after(ORDER_PAUSE));
        if earlier.error.is_none() && queue_name(&earlier.key) != queue_name(&self.job.key) {
            let next = Job { due: Millis(0), ..earlier.clone() };
            self.store()?.replace_jobs(vec![(earlier, next)], clock::now()).await?;
        }
        Err(JobError::Waiting(due))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::crypto::base64_decode;

    /// The example in the README of the reference libraries of the specification.
    #[test]
    fn signs_as_the_reference_libraries_do() {
        let key = HmacSha256::new(&base64_decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let body = r#"{"test": 2432232314}"#;
        let made = signature(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn origin_hides_secrets_of_a_url() {
        for (url, shown) in [
            ("https://hooks.example.com/services/canary?key=canary", "https://hooks.example.com"),
            ("http://canary:canary@[::1]:8080/canary#canary", "http://[::1]:8080"),
            ("canary canary", "://"),
        ] {
            assert_eq!(origin(url), shown);
        }
    }

    #[test]
    fn each_key_signs() {
        let keys = [b"one".as_slice(), b"two"].map(HmacSha256::new);
        let both = signature(&keys, "id", "1", "{}");
        let each = keys.map(|key| signature(&[key], "id", "1", "{}"));
        assert_eq!(both, each.join(" "));
    }

    #[test]
    fn old_events_are_not_retried() {
        let message = |time: &str| WebhookJob { webhook: String::new(), event: serde_json::json!({ "time": time }) };
        let now = Millis(MAX_EVENT_AGE_MS + 1001);
        assert!(message("1970-01-01T00:00:01.000Z").is_old(now));
        assert!(!message("1970-01-01T00:00:01.001Z").is_old(now));
        assert!(message("yesterday").is_old(now), "an event without a valid time is old");
    }
}
