//! What goes wrong is documented, too.

use crate::common::{Answer, Server, Setup, post, request};
use crate::openapi::document::Document;

#[test]
fn every_shape_of_error_is_as_documented() {
    let server = Server::with(Setup { server: "body_limit = \"1KiB\"".to_owned(), ..Setup::default() });
    let document = Document::of(&server);
    let long = format!(r#"{{"client_id": "{}"}}"#, "a".repeat(2000));
    for (path, refused) in [
        ("/v1/leancloud/login", [400, 401, 403, 406, 413, 415]),
        ("/v1/ably/token", [403, 401, 403, 403, 403, 403]),
        ("/sign2", [400, 401, 403, 406, 413, 415]),
    ] {
        let with = |header: &str| post(path, "tom", "{}").replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
        let requests = [
            post(path, "tom", "{"),
            request("POST", path, "", ""),
            post(path, "mallory", "{}"),
            with("accept: image/png"),
            post(path, "tom", &long),
            post(path, "tom", "{}").replace("application/json", "text/csv"),
        ];
        for (request, status) in requests.iter().zip(refused) {
            let answer: Answer = server.ask(request);
            assert_eq!(answer.status, status, "{request}");
            document.check("POST", path, &answer);
        }
    }
}

#[test]
fn a_long_query_and_too_many_requests_are_as_documented() {
    let server = Server::with(Setup::more("[limits]\nper_caller = \"1/s\""));
    let document = Document::of(&server);
    let query = format!("?rnd={}", "1".repeat(17 << 10));
    let (mut long, mut often) = (0, 0);
    for _ in 0..20 {
        for path in ["/v1/talkjs/token", "/v1/ably/token"] {
            let answer = server.ask(&crate::common::get(&format!("{path}{query}"), "tom"));
            document.check("GET", path, &answer);
            long += u32::from(answer.status == 414);
            often += u32::from(answer.status == 429);
        }
    }
    assert!(long > 0 && often > 0, "{long} {often}");
}

#[test]
fn what_is_not_signed_is_as_documented() {
    let server = Server::start();
    let document = Document::of(&server);
    for path in ["/livez", "/readyz", "/startupz", "/v1/openapi.json"] {
        document.check("GET", path, &server.ask(&request("GET", path, "", "")));
    }
    let twice = request("GET", "/v1/openapi.json", "host: localhost\r\n", "");
    document.check("GET", "/v1/openapi.json", &server.ask(&twice));
}
