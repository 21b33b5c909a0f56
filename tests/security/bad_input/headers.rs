//! Headers that are missing, repeated or strange.

use crate::abuse::request::{self, bearer, bytes};
use crate::bad_input::case::{self, KEY, ably_unauthenticated, malformed, problem, tom, unauthenticated};

const LOGIN: &str = "/v1/leancloud/login";
const JSON: &str = "content-type: application/json\r\n";

fn login(headers: &str) -> Vec<u8> {
    bytes("POST", LOGIN, &format!("{headers}{JSON}"), "{}")
}

#[test]
fn there_is_one_credential() {
    let good = bearer(&tom());
    let key = format!("x-api-key: {KEY}\r\n");
    let ably_token = |headers: &str| bytes("POST", "/v1/ably/token", &format!("{headers}{JSON}"), "{}");
    let two = "there more than once";
    let scheme = "must be `Bearer <token>`";
    let cases = [
        unauthenticated("no credential", login(""), "there is no credential: send"),
        unauthenticated("the same token twice", login(&good.repeat(2)), two),
        unauthenticated("a good token and a bad one", login(&format!("{good}authorization: Bearer x\r\n")), two),
        unauthenticated("a bad token and a good one", login(&format!("authorization: x\r\n{good}")), two),
        unauthenticated("a token and an API key", login(&format!("{good}{key}")), "two credentials"),
        unauthenticated("an API key and an empty token", login(&format!("{key}authorization:\r\n")), "two credentials"),
        unauthenticated("two API keys", login(&key.repeat(2)), two),
        unauthenticated("an unknown API key", login("x-api-key: fake\r\n"), "the API key in `x-api-key` is not known"),
        unauthenticated("an empty API key", login("x-api-key:\r\n"), "is not known"),
        unauthenticated("an API key's end", login(&format!("x-api-key: {}\r\n", &KEY[1..])), "is not known"),
        unauthenticated(
            "an API key's hash",
            login(&format!("x-api-key: {}\r\n", crate::abuse::hash(KEY))),
            "not known",
        ),
        unauthenticated("two API keys in one", login(&format!("x-api-key: {KEY}, {KEY}\r\n")), "is not known"),
        unauthenticated("another scheme", login("authorization: Basic dG9tOnRvbQ==\r\n"), scheme),
        unauthenticated("a bare token", login(&format!("authorization: {}\r\n", tom())), scheme),
        unauthenticated("a scheme alone", login("authorization: Bearer\r\n"), scheme),
        unauthenticated("nothing for a token", login("authorization:\r\n"), scheme),
        unauthenticated("a tab for a space", login(&format!("authorization: Bearer\t{}\r\n", tom())), scheme),
        unauthenticated(
            "two tokens in one",
            login(&format!("authorization: Bearer {0}, Bearer {0}\r\n", tom())),
            "the token",
        ),
        unauthenticated("more than ASCII", login("authorization: Bearer été\r\n"), "more than ASCII"),
        unauthenticated("an API key for a token", login(&bearer(KEY)), "three parts"),
        unauthenticated("a token for an API key", login(&format!("x-api-key: {}\r\n", tom())), "is not known"),
        ably_unauthenticated("no credential at Ably", ably_token(""), "there is no credential"),
        ably_unauthenticated("two credentials at Ably", ably_token(&good.repeat(2)), two),
    ];
    case::check(&cases);
}

#[test]
fn a_credential_elsewhere_is_none() {
    let none = "there is no credential";
    let token = tom();
    let form = format!("access_token={token}");
    let cases = [
        unauthenticated("in the query", bytes("POST", &format!("{LOGIN}?access_token={token}"), JSON, "{}"), none),
        unauthenticated(
            "in a form",
            bytes("POST", LOGIN, "content-type: application/x-www-form-urlencoded\r\n", form),
            none,
        ),
        unauthenticated("in a cookie", login(&format!("cookie: authorization=Bearer {token}\r\n")), none),
        unauthenticated("for a proxy", login(&format!("proxy-authorization: Bearer {token}\r\n")), none),
        unauthenticated("forwarded", login("x-forwarded-user: tom\r\nx-forwarded-groups: owner\r\n"), none),
        unauthenticated("in another session", login("x-lc-session: fake\r\n"), none),
    ];
    case::check(&cases);
}

#[test]
fn there_is_one_content_type() {
    let ask = |headers: &str| bytes("POST", LOGIN, &(bearer(&tom()) + headers), "{}");
    let unsupported = |name, headers: &str| {
        problem(name, ask(headers), 415, "unsupported_media_type", "Content-Type must be application/json, in UTF-8")
    };
    let coded = format!("{}{JSON}content-encoding: gzip\r\n", bearer(&tom()));
    let coded_body = |body: &[u8]| bytes("POST", LOGIN, &coded, body);
    let cases = [
        unsupported("none", ""),
        unsupported("an empty one", "content-type:\r\n"),
        unsupported("text", "content-type: text/plain\r\n"),
        unsupported("a form", "content-type: application/x-www-form-urlencoded\r\n"),
        unsupported("a form in parts", "content-type: multipart/form-data; boundary=x\r\n"),
        unsupported("problems", "content-type: application/problem+json\r\n"),
        unsupported("Latin-1", "content-type: application/json; charset=iso-8859-1\r\n"),
        unsupported("two in one", "content-type: application/json, application/json\r\n"),
        unsupported("the same twice", &JSON.repeat(2)),
        unsupported("two", &format!("{JSON}content-type: text/plain\r\n")),
        unsupported("more than ASCII", "content-type: application/jsön\r\n"),
        problem("a coded body", coded_body(b"\x1f\x8b\x08"), 415, "unsupported_media_type", "must not be compressed"),
        problem(
            "a body that is coded in name",
            coded_body(b"{}"),
            415,
            "unsupported_media_type",
            "without Content-Encoding",
        ),
    ];
    case::check(&cases);
}

#[test]
fn what_nobody_can_answer_is_not_acceptable() {
    let ask = |accept: &str| login(&format!("{}accept: {accept}\r\n", bearer(&tom())));
    let says = "Accept excludes all media types of this path: application/json";
    let cases = [
        problem("an image", ask("image/png"), 406, "not_acceptable", says),
        problem("all but JSON", ask("*/*, application/json;q=0"), 406, "not_acceptable", says),
        problem("nonsense", ask("json"), 406, "not_acceptable", says),
    ];
    case::check(&cases);
}

#[test]
fn there_is_one_host() {
    let (auth, one) = (bearer(&tom()), "exactly one Host");
    let ask = |hosts: &str| format!("POST {LOGIN} HTTP/1.1\r\n{hosts}{auth}{JSON}\r\n").into_bytes();
    let whole =
        |hosts: &str| format!("POST http://localhost:80{LOGIN} HTTP/1.1\r\n{hosts}{auth}{JSON}\r\n").into_bytes();
    let cases = [
        malformed("no host", ask(""), one),
        malformed("two hosts", ask("host: localhost\r\nhost: example.com\r\n"), one),
        malformed("the same host twice", ask("host: localhost\r\nHost: localhost\r\n"), one),
        malformed("no host beside a whole address", whole(""), one),
        malformed("another host beside a whole address", whole("host: example.com\r\n"), one),
        malformed("another port beside a whole address", whole("host: localhost:81\r\n"), one),
    ];
    case::check(&cases);
    let server = case::server();
    assert_eq!(request::ask(&mut server.connect(), &whole("host: LOCALHOST:80\r\n")).status, 200);
}

#[test]
fn a_strange_request_id_is_not_taken_over() {
    let server = case::server();
    for brought in [
        "x-request-id: a\r\nx-request-id: b\r\n",
        "x-request-id: a b\r\n",
        "x-request-id: \"}{\"\r\n",
        "x-request-id: <script>\r\n",
        &format!("x-request-id: {}\r\n", "a".repeat(129)),
        "x-request-id:\r\n",
    ] {
        let answer = request::ask(&mut server.connect(), &login(brought));
        let (id, problem) = (answer.header("x-request-id").unwrap().to_owned(), answer.json());
        assert_eq!((answer.status, problem["request_id"].as_str()), (401, Some(id.as_str())));
        assert!(id.len() > 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'), "{brought}: {id}");
        assert_eq!(request::ask(&mut server.connect(), &login(&bearer(&tom()))).status, 200);
    }
}
