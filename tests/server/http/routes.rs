//! What is where, in which shape.

use serde_json::json;

use crate::common::{SERVICE_KEY, Server, Setup, get, post, request, token};

#[test]
fn each_vendor_answers() {
    let server = Server::start();
    let answer = server.ask(&post("/v1/leancloud/login", "tom", "{}"));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["signature"].as_str().unwrap().len(), 40);

    let answer = server.ask(&post("/v1/talkjs/token", "tom", r#"{"ttl": "30m"}"#));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert!(answer.json()["expires_at"].is_u64());

    let answer = server.ask(&post("/v1/ably/token", "tom", r#"{"capability": {"chat:1": ["subscribe", "publish"]}}"#));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jwt")));
    assert!(answer.body.starts_with("eyJ") && !answer.body.ends_with('\n'));

    let answer = server.ask(&post("/v1/ably/token-request", "tom", ""));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json()["keyName"], "fakeapp.fakekey");
}

#[test]
fn every_answer_is_marked() {
    let server = Server::start();
    for request in [
        post("/v1/leancloud/login", "tom", "{}"),
        post("/v1/leancloud/login", "mallory", "{}"),
        post("/v1/leancloud/login", "tom", "{"),
        post("/v1/nothing/login", "tom", "{}"),
        request("POST", "/v1/ably/token", "", ""),
        request("GET", "/livez", "", ""),
        request("GET", "/", "", ""),
    ] {
        let answer = server.ask(&request);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{request}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{request}");
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{request}");
    }
}

#[test]
fn a_sane_request_id_is_taken_over_and_another_is_not() {
    let server = Server::start();
    let answer = server.ask(&request("POST", "/v1/leancloud/login", "x-request-id: trace-1.a_B\r\n", ""));
    assert_eq!(answer.header("x-request-id"), Some("trace-1.a_B"));
    assert_eq!(answer.json()["request_id"], "trace-1.a_B");
    for brought in ["x-request-id: a b\r\n", "x-request-id: a\r\nx-request-id: b\r\n", "x-request-id: {}\r\n"] {
        let answer = server.ask(&request("POST", "/v1/leancloud/login", brought, ""));
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() > 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'), "{id}");
        assert_eq!(answer.json()["request_id"], id);
    }
}

#[test]
fn problems_tell_what_is_wrong() {
    let server = Server::start();
    let answer = server.ask(&post("/v1/leancloud/login", "mallory", "{}"));
    let problem = answer.json();
    assert_eq!((answer.status, answer.code().as_str()), (403, "banned"));
    assert_eq!(problem["ban"], json!({"user": "mallory", "conversation": "*"}));
    assert_eq!(problem["reason"], "spam");
    assert_eq!(
        (&problem["type"], &problem["title"], &problem["status"]),
        (&json!("about:blank"), &json!("Forbidden"), &json!(403))
    );

    let kick = r#"{"conv_id": "5f3c2a1b9e8d7c6b5a493827", "members": ["bob"]}"#;
    let answer = server.ask(&post("/v1/leancloud/kick", "tom", kick));
    assert_eq!((answer.status, answer.code().as_str()), (403, "denied"));
    assert_eq!(answer.json()["rule"], "owners");
    assert_eq!(answer.json()["reason"], "Only owners remove members.");

    let answer = server.ask(&post("/v1/leancloud/login", "tom", r#"{"client_id": 5}"#));
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_field"));
    assert_eq!(answer.json()["field"], "client_id");

    let answer = server.ask(&request("POST", "/v1/leancloud/login", "", ""));
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn a_problem_says_until_when_a_user_is_banned() {
    let policy = "roles = [\"member\"]\n[[rules]]\nid = \"everyone\"\neffect = \"allow\"\nactions = [\"login\"]\n\
                  [[bans]]\nuser = \"mallory\"\nuntil = 2099-01-01T00:00:00Z\n";
    let server = Server::with(Setup { files: vec![("policy.toml", policy.to_owned())], ..Setup::default() });
    let answer = server.ask(&post("/v1/leancloud/login", "mallory", "{}"));
    let ban = json!({"user": "mallory", "conversation": "*", "until": "2099-01-01T00:00:00.000Z"});
    assert_eq!(answer.json()["ban"], ban);
}

#[test]
fn routes_with_errors_of_a_vendor_answer_with_problems_if_accept_names_them() {
    let server = Server::start();
    let ask = |path: &str, accept: &str| {
        let headers = format!("authorization: Bearer {}\r\naccept: {accept}\r\n", token("mallory"));
        server.ask(&request("POST", path, &headers, ""))
    };
    for path in ["/v1/ably/token", "/v1/ably/token-request", "/sign2", "/1.1/functions/signLogin"] {
        let answer = ask(path, "application/json, application/jwt, application/problem+json");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!((answer.status, answer.code().as_str()), (403, "banned"), "{path}");
        for accept in ["*/*", "application/json, application/jwt, application/problem+json;q=0"] {
            assert_eq!(ask(path, accept).header("content-type"), Some("application/json"), "{path}: {accept}");
        }
    }
    let headers = "accept: application/jwt, application/problem+json\r\n";
    let answer = server.ask(&request("POST", "/v1/ably/nothing", headers, ""));
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[test]
fn unknown_paths_are_not_found() {
    let server = Server::start();
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/leancloud",
        "/v1/nothing/login",
        "/v1/leancloud/login/",
        "/v1/leancloud/nothing",
        "/v1//login",
    ] {
        let answer = server.ask(&post(path, "tom", "{}"));
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    let detail = server.ask(&post("/v1/talkjs/login", "tom", "{}")).json()["detail"].clone();
    assert_eq!(detail, "The app talkjs has no such operation. It has: token, signature, app-token.");
}

#[test]
fn other_methods_are_told_which_ones_there_are() {
    let server = Server::start();
    for (method, path, allowed) in [
        ("GET", "/v1/leancloud/login", "POST"),
        ("PUT", "/v1/leancloud/login", "POST"),
        ("OPTIONS", "/v1/leancloud/login", "POST"),
        ("DELETE", "/v1/talkjs/token", "GET, POST"),
        ("GET", "/v1/talkjs/signature", "POST"),
        ("POST", "/livez", "GET, HEAD"),
    ] {
        let answer = server.ask(&request(method, path, "", ""));
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
    let mut connection = server.connect();
    connection.send(&request("HEAD", "/v1/talkjs/token", "", ""));
    assert_eq!(connection.head().status, 405);
}

#[test]
fn other_content_types_are_refused() {
    let server = Server::start();
    let authorization = format!("authorization: Bearer {}\r\n", token("tom"));
    let ask = |path: &str, headers: &str, body: &str| {
        server.ask(&request("POST", path, &format!("{authorization}{headers}"), body))
    };
    for headers in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: application/json; charset=latin1\r\n",
        "content-type: application/json\r\ncontent-type: application/json\r\n",
    ] {
        let answer = ask("/v1/leancloud/login", headers, "{}");
        assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"), "{headers}");
    }
    assert_eq!(ask("/v1/leancloud/login", "content-type: Application/JSON;charset=utf-8\r\n", "{}").status, 200);
    assert_eq!(ask("/v1/leancloud/login", "content-type: application/json\r\n", "").status, 200);
    assert_eq!(ask("/v1/leancloud/login", "", "").status, 200);
}

#[test]
fn talkjs_tokens_come_as_text_where_that_is_preferred() {
    let server = Server::start();
    let authorization = format!("authorization: Bearer {}\r\n", token("tom"));
    let ask = |accept: &str| {
        server.ask(&request("GET", "/v1/talkjs/token?ttl=1800", &format!("{authorization}accept: {accept}\r\n"), ""))
    };
    let answer = ask("text/plain");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert!(answer.body.starts_with("eyJ"));
    assert_eq!(ask("application/json, text/plain, */*").json()["token"].as_str().unwrap().split('.').count(), 3);
    let answer = ask("image/png");
    assert_eq!((answer.status, answer.code().as_str()), (406, "not_acceptable"));
}

#[test]
fn ably_takes_queries_and_forms_as_its_sdks_send_them() {
    let server = Server::start();
    let query = "clientId=tom&capability=%7B%22chat:1%22:%5B%22subscribe%22%5D%7D&rnd=1&rnd=2&own=x";
    let accept = format!("authorization: Bearer {}\r\naccept: application/json, text/plain\r\n", token("tom"));
    let answer = server.ask(&request("GET", &format!("/v1/ably/token-request?{query}"), &accept, ""));
    assert_eq!(answer.json()["capability"], r#"{"chat:1":["subscribe"]}"#);
    let answer = server.ask(&request("GET", &format!("/v1/ably/token?{query}"), &accept, ""));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let form = format!("{accept}content-type: application/x-www-form-urlencoded\r\n");
    let answer = server.ask(&request("POST", "/v1/ably/token-request", &form, query));
    assert_eq!((answer.status, &answer.json()["clientId"]), (200, &json!("tom")));
}

#[test]
fn ably_is_told_to_stop_where_asking_again_is_no_use() {
    let server = Server::start();
    let authorization = format!("authorization: Bearer {}\r\n", token("tom"));
    for request in [
        post("/v1/ably/token", "mallory", ""),
        post("/v1/ably/token", "tom", "{"),
        post("/v1/ably/token", "tom", r#"{"client_id": "alice"}"#),
        post("/v1/ably/token", "tom", &" ".repeat(70_000)),
        post("/v1/ably/nothing", "tom", ""),
        get("/v1/ably/token?ttl=1&ttl=2", "tom"),
        get("/v1/ably/token?ttl=%zz", "tom"),
        request("PUT", "/v1/ably/token", &authorization, ""),
        request("POST", "/v1/ably/token", &format!("{authorization}content-type: text/plain\r\n"), "x"),
        request("GET", "/v1/ably/token", &format!("{authorization}accept: image/png\r\n"), ""),
    ] {
        let answer = server.ask(&request);
        assert_eq!((answer.status, answer.header("x-ably-errorcode")), (403, Some("40300")), "{request}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
        assert_eq!((&error["code"], &error["statusCode"]), (&json!(40300), &json!(403)));
    }
    let answer = server.ask(&request("GET", "/v1/ably/token", "", ""));
    assert_eq!((answer.status, answer.header("x-ably-errorcode")), (401, Some("40100")));
    assert_eq!(answer.json()["error"]["statusCode"], 401);
    let repeated = server.ask(&get("/v1/ably/token?ttl=1&ttl=2", "tom")).json();
    assert_eq!(repeated["error"]["message"], "ttl is in the query more than once");
}

#[test]
fn services_authenticate_by_key() {
    let server = Server::start();
    let headers = format!("x-api-key: {SERVICE_KEY}\r\ncontent-type: application/json\r\n");
    let answer = server.ask(&request("POST", "/v1/leancloud/login", &headers, r#"{"client_id": "tom"}"#));
    assert_eq!((answer.status, answer.code().as_str()), (403, "denied"), "no rule is for services");
}

#[test]
fn probes_answer_on_both_listeners_and_tell_reasons_on_one() {
    let server = Server::start();
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(server.ask(&request("GET", path, "", "")).status, 200, "{path}");
        assert_eq!(server.admin(path).status, 200, "{path}");
        let mut connection = server.connect();
        connection.send(&request("HEAD", path, "", ""));
        assert_eq!(connection.head().status, 200);
    }
    assert_eq!(server.admin("/readyz?verbose").body, "[+] serving: ok\n[+] audit: ok\n");
    assert_eq!(server.ask(&request("GET", "/readyz?verbose", "", "")).body, "ok\n");
    assert_eq!(server.admin("/v1/leancloud/login").status, 404);
}

#[test]
fn the_demonstration_answers_to_loopback_names_alone() {
    let root = env!("CARGO_MANIFEST_DIR");
    let directory = crate::common::directory();
    let text = std::fs::read_to_string(format!("{root}/signer.toml")).unwrap();
    let text = text.replace("127.0.0.1:7480", "127.0.0.1:0").replace("127.0.0.1:7481", "127.0.0.1:0");
    let text = text
        .replace("deploy/demo/", &format!("{root}/deploy/demo/"))
        .replace("\"policy.toml\"", &format!("\"{root}/policy.toml\""));
    let configuration = directory.join("signer.toml");
    std::fs::write(&configuration, text).unwrap();
    let server = Server::run(directory, Setup::default());
    let ask = |host: &str| server.ask(&format!("POST /v1/leancloud/login HTTP/1.1\r\n{host}\r\n"));
    for host in ["host: localhost\r\n", "host: 127.0.0.1:7480\r\n", "host: [::1]:1\r\n"] {
        assert_eq!(ask(host).status, 401, "{host}");
    }
    for host in
        ["", "host: example.com\r\n", "host: localhost.example.com\r\n", "host: localhost\r\nhost: example.com\r\n"]
    {
        assert_eq!(ask(host).status, 403, "{host}");
    }
    let absolute = "POST http://example.com/v1/leancloud/login HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(server.ask(absolute).status, 403);
}
