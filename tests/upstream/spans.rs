//! Who collects traces is told of the requests in them.
#![cfg(feature = "otlp")]

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Server as Program, Setup, post};
use crate::server::{Reply, Server};
use crate::signer::{Signer, until};

const COLLECT: &str = "/v1/traces";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn signer(collector: &Server) -> Signer {
    Signer::start(&format!(
        "[[authenticators]]\nname = \"ingress\"\ntype = \"forwarded\"\ncaller = \"user\"\nheader = \"x-user\"\n\
         trusted_proxies = [\"127.0.0.1/32\"]\n[traces]\nurl = \"{}\"\n",
        collector.url(COLLECT)
    ))
    .await
}

async fn login(signer: &Signer, traceparent: &str) {
    let headers = format!("x-user: tom\r\nx-request-id: one\r\ntraceparent: {traceparent}\r\n");
    assert_eq!(signer.subject(&headers).await, Ok("tom".to_owned()));
}

/// The spans that came so far.
fn spans(collector: &Server) -> Vec<Value> {
    let bodies = collector.seen(COLLECT).into_iter().map(|seen| {
        assert_eq!((seen.method.as_str(), seen.header("content-type")), ("POST", Some("application/json")));
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        let [all] = body["resourceSpans"].as_array().unwrap().as_slice() else { panic!("{body}") };
        assert_eq!(
            all["resource"]["attributes"][0],
            json!({"key": "service.name", "value": {"stringValue": "chat-signer"}})
        );
        all["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    });
    bodies.flatten().collect()
}

#[tokio::test]
async fn a_request_in_a_recorded_trace_is_told_of() {
    let collector = Server::start().await;
    collector.set(COLLECT, Reply::json("{}"));
    let signer = signer(&collector).await;
    login(&signer, &format!("00-{TRACE}-{PARENT}-01")).await;
    for unrecorded in [format!("00-{TRACE}-{PARENT}-00"), "none".to_owned()] {
        login(&signer, &unrecorded).await;
    }
    signer.pass(Duration::from_secs(2)).await;
    until("the span comes", async || !spans(&collector).is_empty()).await;
    let spans = spans(&collector);
    assert_eq!(spans.len(), 1);
    let span = &spans[0];
    let line: Value = serde_json::from_str(signer.audit().lines().next().unwrap()).unwrap();
    assert_eq!((&span["traceId"], &span["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!(span["spanId"], line["span_id"]);
    assert_eq!((&span["name"], &span["kind"]), (&json!("POST /v1/talkjs/token"), &json!(2)));
    let nanos = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(
        nanos("startTimeUnixNano") > 1_700_000_000_000_000_000 && nanos("endTimeUnixNano") > nanos("startTimeUnixNano")
    );
    let attributes = [
        ("http.request.method", json!({"stringValue": "POST"})),
        ("http.route", json!({"stringValue": "/v1/talkjs/token"})),
        ("http.response.status_code", json!({"intValue": "200"})),
        ("chat_signer.request_id", json!({"stringValue": "one"})),
    ];
    assert_eq!(
        span["attributes"],
        attributes.map(|(key, value)| json!({"key": key, "value": value})).into_iter().collect::<Value>()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_queued_when_the_program_is_told_to_stop_is_still_sent() {
    let collector = Server::start().await;
    collector.set(COLLECT, Reply::json("{}"));
    let mut program = Program::with(Setup::more(&format!("[traces]\nurl = \"{}\"\n", collector.url(COLLECT))));
    let traced = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ncontent-type:");
    assert_eq!(program.ask(&post("/v1/leancloud/login", "tom", "{}").replace("content-type:", &traced)).status, 200);
    program.signal("-TERM");
    assert!(program.wait().success());
    assert_eq!(spans(&collector).len(), 1);
}

#[tokio::test]
async fn a_collector_that_is_down_harms_nobody() {
    let mut collector = Server::start().await;
    collector.set(COLLECT, Reply::json("{}"));
    collector.down().await;
    let signer = signer(&collector).await;
    let mut log = String::new();
    login(&signer, &format!("00-{TRACE}-{PARENT}-01")).await;
    signer.pass(Duration::from_secs(2)).await;
    until("the log says so", async || {
        log += &signer.log();
        log.contains("no spans are accepted by")
    })
    .await;
    collector.up().await;
    login(&signer, &format!("00-{TRACE}-{PARENT}-01")).await;
    signer.pass(Duration::from_secs(2)).await;
    until("the log says so", async || {
        log += &signer.log();
        log.contains("again; 1 spans were lost")
    })
    .await;
    assert_eq!(spans(&collector).len(), 1);
}
