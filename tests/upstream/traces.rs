//! Traces, of which a request to the program may be a part, and then what others are asked for it, too.

use serde_json::{Value, json};

use crate::server::{Reply, Seen, Server};
use crate::signer::{Key, Signer, set, until};

const SET: &str = "/jwks.json";
const ME: &str = "/me";
const FACTS: &str = "/chat-facts";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

async fn signer(backend: &Server) -> Signer {
    Signer::start(&format!(
        "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"{}\"\n\
         forward = {{ cookies = [\"sid\"] }}\nsubject = \"/id\"\n\
         [[authenticators]]\nname = \"app-users\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"https://id\"\n\
         audience = [\"chat\"]\nalgorithms = [\"EdDSA\"]\njwks = {{ url = \"{}\" }}\n\
         [facts]\nurl = \"{}\"\n",
        backend.url(ME),
        backend.url(SET),
        backend.url(FACTS)
    ))
    .await
}

/// A backend that knows everyone as tom, who owns everything.
async fn backend() -> Server {
    let backend = Server::start().await;
    backend.set(ME, Reply::json(json!({"id": "tom"})));
    backend.set(FACTS, Reply::json(json!({"roles": {"tom": "owner"}})));
    backend.set(SET, Reply::json(set(&[&Key::new("one")])));
    backend
}

/// Has mary removed on these further header lines, and returns what the audit log says of it.
async fn kick(signer: &Signer, headers: &str) -> Value {
    let body = json!({"conv_id": "den", "members": ["mary"]}).to_string();
    let answer = signer.post("/v1/leancloud/kick", &format!("cookie: sid=1\r\n{headers}"), &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(signer.audit().lines().last().unwrap()).unwrap()
}

fn headers(seen: &Seen) -> [Option<&str>; 2] {
    ["traceparent", "tracestate"].map(|name| seen.header(name))
}

#[tokio::test]
async fn what_is_asked_for_a_request_is_a_part_of_it() {
    let backend = backend().await;
    let signer = signer(&backend).await;
    let line =
        kick(&signer, &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n")).await;
    assert_eq!((line["trace_id"].as_str(), line["parent_span_id"].as_str()), (Some(TRACE), Some(PARENT)));
    let own = line["span_id"].as_str().unwrap();
    assert!(own.len() == 16 && own != PARENT, "{own}");
    let passed_on = format!("00-{TRACE}-{own}-01");
    for path in [ME, FACTS] {
        assert_eq!(headers(&backend.seen(path)[0]), [Some(passed_on.as_str()), Some("a=1,b=2")], "{path}");
    }
    // The keys are everyone's.
    until("the keys are fetched", async || backend.count(SET) == 1).await;
    assert_eq!(headers(&backend.seen(SET)[0]), [None, None]);
}

#[tokio::test]
async fn a_trace_that_is_none_is_nowhere() {
    let backend = backend().await;
    let signer = signer(&backend).await;
    for header in ["", &format!("traceparent: 00-{TRACE}-{PARENT}-01-evil\r\ntracestate: a=1\r\n")] {
        let line = kick(&signer, header).await;
        for field in ["trace_id", "span_id", "parent_span_id"] {
            assert_eq!(line.get(field), None, "{line}");
        }
    }
    assert!(backend.seen(ME).iter().chain(&backend.seen(FACTS)).all(|seen| headers(seen) == [None, None]));
}
