//! Sends the spans of requests to a collector, with OTLP over HTTP in its JSON encoding
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! No request waits for this. If the collector does not accept spans in time, they are lost.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::client::{ClientBuildError, UpstreamClient};
use crate::authn::Endpoint;
use crate::model::Millis;
use crate::telemetry::metrics::RouteLabel;
use crate::telemetry::trace::TraceContext;

/// How many spans may wait to be sent.
const QUEUE: usize = 2048;

/// How many spans are sent at once, and how long the first span may wait for others.
const BATCH: usize = 512;
const PERIOD: Duration = Duration::from_secs(1);

/// The time limit for the last spans at the end of the program.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest answer of a collector that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// OTLP's number for a server span, and OTLP's status of a failed span.
const SERVER: u8 = 2;
const ERROR: u8 = 2;

/// An answered request as a span of its trace.
#[derive(Debug)]
pub struct Span {
    /// The position of the span in the trace.
    pub trace: Arc<TraceContext>,
    /// The request's method, if it is a common method.
    pub method: &'static str,
    /// The route of the request.
    pub route: RouteLabel,
    /// The status of the answer.
    pub status: u16,
    /// The request id in the answer.
    pub request_id: String,
    /// The time when the request arrived.
    pub began: Millis,
    /// How long the request took.
    pub took: Duration,
}

/// A connection to a collector of spans.
pub struct SpanExporter {
    endpoint: Endpoint,
    queue: mpsc::Sender<SpanMessage>,
}

enum SpanMessage {
    Span(Span),
    Flush(oneshot::Sender<()>),
}

impl SpanExporter {
    /// Starts to send spans to this collector. Queued spans are still sent after this value is dropped.
    ///
    /// # Errors
    /// Returns an error if the collector's certificate authorities cannot be used.
    pub fn start(endpoint: &Endpoint) -> Result<SpanExporter, ClientBuildError> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let sender = SpanSender { client: UpstreamClient::new(endpoint)?, endpoint: endpoint.clone(), lost: 0 };
        tokio::spawn(sender.run(messages));
        Ok(SpanExporter { endpoint: endpoint.clone(), queue })
    }

    /// Returns whether the spans are sent to this endpoint.
    pub fn is_for(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint
    }

    /// Queues a span, if its trace is recorded and the queue has room.
    pub fn record(&self, span: Span) {
        if span.trace.is_sampled {
            let _ = self.queue.try_send(SpanMessage::Span(span));
        }
    }

    /// Waits until the queued spans are sent, but at most for a second.
    pub async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        let flushing = async {
            if self.queue.send(SpanMessage::Flush(done)).await.is_ok() {
                let _ = sent.await;
            }
        };
        let _ = timeout(PATIENCE, flushing).await;
    }
}

struct SpanSender {
    client: UpstreamClient,
    endpoint: Endpoint,
    /// How many spans were lost since the collector last accepted spans.
    lost: usize,
}

impl SpanSender {
    async fn run(mut self, mut messages: mpsc::Receiver<SpanMessage>) {
        while let Some(first) = messages.recv().await {
            let (mut spans, mut flushed) = (Vec::new(), None);
            let mut next = Some(first);
            let _ = timeout(PERIOD, async {
                while let Some(message) = next.take() {
                    match message {
                        SpanMessage::Flush(done) => flushed = Some(done),
                        SpanMessage::Span(span) => spans.push(span),
                    }
                    if flushed.is_none() && spans.len() < BATCH {
                        next = messages.recv().await;
                    }
                }
            })
            .await;
            if !spans.is_empty() {
                self.send(&spans).await;
            }
            if let Some(done) = flushed {
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, spans: &[Span]) {
        let trouble = match self.client.send(self.request(spans), LONGEST).await {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(trouble) => Some(trouble.to_string()),
        };
        match &trouble {
            Some(trouble) if self.lost == 0 => tracing::warn!("no spans are accepted by {}: {trouble}", self.endpoint),
            None if self.lost > 0 => {
                tracing::info!("spans are accepted by {} again; {} spans were lost", self.endpoint, self.lost);
            }
            _ => {}
        }
        self.lost = if trouble.is_some() { self.lost + spans.len() } else { 0 };
    }

    fn request(&self, spans: &[Span]) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::from(export(spans).to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.url.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

/// Returns an `ExportTraceServiceRequest`.
fn export(spans: &[Span]) -> Value {
    let about = [text("service.name", "chat-signer"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let spans: Vec<_> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": about},
        "scopeSpans": [{"scope": {"name": "chat-signer"}, "spans": spans}],
    }]})
}

/// Returns a span with the names of OpenTelemetry's conventions for HTTP servers.
fn span(span: &Span) -> Value {
    let Span { trace, method, route, status, request_id, began, took } = span;
    let began = u128::from(began.0) * 1_000_000;
    let (route, code) = (route.to_string(), status.to_string());
    let outcome = if *status >= 500 { json!({"code": ERROR}) } else { json!({}) };
    json!({
        "traceId": trace.trace_id,
        "spanId": trace.span_id,
        "parentSpanId": trace.parent_id,
        "flags": 1,
        "name": format!("{} {route}", if *method == "_OTHER" { "HTTP" } else { method }),
        "kind": SERVER,
        "startTimeUnixNano": began.to_string(),
        "endTimeUnixNano": (began + took.as_nanos()).to_string(),
        "attributes": [
            text("http.request.method", method),
            text("http.route", &route),
            json!({"key": "http.response.status_code", "value": {"intValue": code}}),
            text("chat_signer.request_id", request_id),
        ],
        "status": outcome,
    })
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}
