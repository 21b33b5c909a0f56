//! Bodies.

use std::net::Shutdown;

use crate::abuse::request::{self, bearer, bytes, post};
use crate::bad_input::case::{self, Case, field, malformed, problem, tom};

const LOGIN: &str = "/v1/leancloud/login";
const INVITE: &str = "/v1/leancloud/invite";

fn login(body: impl AsRef<[u8]>) -> Vec<u8> {
    post(LOGIN, &tom(), body)
}

fn invite(body: impl AsRef<[u8]>) -> Vec<u8> {
    post(INVITE, &tom(), body)
}

fn nested(opening: &str, closing: &str) -> String {
    opening.repeat(20_000) + &closing.repeat(20_000)
}

#[test]
fn what_is_no_json_object_is_refused() {
    let object = "must be a JSON object";
    let cases = [
        malformed("unfinished", login("{"), "ends too early"),
        malformed("unfinished string", login(r#"{"client_id": "tom"#), "ends too early"),
        malformed("no value", login(r#"{"client_id": }"#), "not JSON, at line 1"),
        malformed("trailing comma", login(r#"{"client_id": "tom",}"#), "not JSON"),
        malformed("single quotes", login("{'client_id': 'tom'}"), "not JSON"),
        malformed("a comment", login("{} // all"), "not JSON"),
        malformed("two objects", login("{}{}"), "not JSON"),
        malformed("NaN", login(r#"{"client_id": NaN}"#), "not JSON"),
        malformed("a number out of range", login(r#"{"client_id": 1e999}"#), "not JSON"),
        malformed("a lone surrogate", login(r#"{"client_id": "\ud800"}"#), "not JSON"),
        malformed("a raw newline in a string", login("{\"client_id\": \"a\nb\"}"), "not JSON"),
        malformed("a raw NUL", login("\0"), "not JSON"),
        malformed("bytes that are not UTF-8", login(b"{\"client_id\": \"\xff\xfe\"}"), "not JSON"),
        malformed("UTF-16", login(b"{\0}\0"), "not JSON"),
        malformed("a byte order mark", login("\u{feff}{}"), "not JSON"),
        malformed("a form", login("client_id=tom"), "not JSON"),
        malformed("white space alone", login("  \n"), "ends too early"),
        malformed("a list", login("[]"), object),
        malformed("null", login("null"), object),
        malformed("a string", login(r#""tom""#), object),
        malformed("a number", login("42"), object),
        malformed("a name twice", login(r#"{"client_id": "tom", "client_id": "alice"}"#), object),
        malformed("a name twice, once escaped", login(r#"{"client_id": "tom", "client\u005fid": "alice"}"#), object),
        malformed("a name twice further in", login(r#"{"members": [{"a": 1, "a": 2}]}"#), object),
        malformed("20,000 lists", login("[".repeat(20_000)), "not JSON"),
        malformed("20,000 lists, closed", login(nested("[", "]")), "not JSON"),
        malformed("20,000 objects", login(nested("{\"a\":", "}")), "not JSON"),
        malformed("20,000 lists in a field", login(format!("{{\"members\": {}}}", nested("[", "]"))), "not JSON"),
    ];
    case::check(&cases);
}

#[test]
fn fields_have_their_types() {
    let cases = [
        field("an unknown field", login(r#"{"clientid": "tom"}"#), "clientid", "is not known here; the nearest"),
        field("a field of another vendor", login(r#"{"user_id": "tom"}"#), "user_id", "is not known here"),
        field("a field's name in capitals", login(r#"{"Client_ID": "tom"}"#), "Client_ID", "is not known here"),
        field(
            "a name that is no name",
            login(r#"{"a:b": 1}"#),
            "body",
            "has a field that is not known here; known fields: client_id",
        ),
        field("an empty name", login(r#"{"": 1}"#), "", "is not known here"),
        field("a number for the client", login(r#"{"client_id": 42}"#), "client_id", "must be a string, not a number"),
        field("null for the client", login(r#"{"client_id": null}"#), "client_id", "must be a string, not null"),
        field("a list for the client", login(r#"{"client_id": ["tom"]}"#), "client_id", "must be a string, not a list"),
        field(
            "an object for the client",
            login(r#"{"client_id": {}}"#),
            "client_id",
            "must be a string, not an object",
        ),
        field(
            "a boolean for the conversation",
            invite(r#"{"conv_id": true, "members": ["a"]}"#),
            "conv_id",
            "must be a string, not a boolean",
        ),
        field(
            "a string for the members",
            invite(r#"{"conv_id": "c", "members": "mary,bob"}"#),
            "members",
            "must be a list of strings",
        ),
        field(
            "an object for the members",
            invite(r#"{"conv_id": "c", "members": {"0": "mary"}}"#),
            "members",
            "must be a list of strings",
        ),
        field(
            "a number among the members",
            invite(r#"{"conv_id": "c", "members": ["mary", 2]}"#),
            "members[1]",
            "must be a string, not a number",
        ),
    ];
    case::check(&cases);
}

#[test]
fn fields_are_there_where_they_belong() {
    let cases = [
        field("no conversation", invite(r#"{"members": ["mary"]}"#), "conv_id", "must be given"),
        field("no members", invite(r#"{"conv_id": "c"}"#), "members", "must name at least one"),
        field(
            "an empty list of members",
            invite(r#"{"conv_id": "c", "members": []}"#),
            "members",
            "must name at least",
        ),
        field("a conversation too many", login(r#"{"conv_id": "c"}"#), "conv_id", "must be left out"),
        field("members too many", login(r#"{"members": ["mary"]}"#), "members", "must be left out"),
        field(
            "another joins",
            post("/v1/leancloud/join", &tom(), r#"{"conv_id": "c", "members": ["mary"]}"#),
            "members",
            "must be left out or be the client",
        ),
    ];
    case::check(&cases);
}

#[test]
fn sizes_have_bounds() {
    let json = bearer(&tom()) + "content-type: application/json\r\n";
    let chunked = |chunks: &str| {
        let head = format!("POST {LOGIN} HTTP/1.1\r\nhost: localhost\r\n{json}transfer-encoding: chunked\r\n\r\n");
        (head + chunks).into_bytes()
    };
    let long = " ".repeat(150_000);
    let too_large = |name: &str, request| problem(name, request, 413, "too_large", "at most 131072 bytes");
    let promised = format!("POST {LOGIN} HTTP/1.1\r\nhost: localhost\r\n{json}content-length: 9000000000\r\n\r\n{{");
    let cases: Vec<Case> = vec![
        too_large("too long", login(&long)),
        too_large("too long, in chunks", chunked(&format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len()))),
        too_large("promised too long", promised.into_bytes()).closes(),
        too_large(
            "too long, in thousands of chunks",
            chunked(&("20\r\n".to_owned() + &" ".repeat(32) + "\r\n").repeat(5000)),
        )
        .closes(),
    ];
    case::check(&cases);
}

#[test]
fn members_are_counted() {
    let members = |count: usize| (0..count).map(|i| format!("\"m{i}\"")).collect::<Vec<_>>().join(",");
    let invite = |count| invite(format!(r#"{{"conv_id": "c", "members": [{}]}}"#, members(count)));
    case::check(&[
        problem("401 members", invite(401), 403, "denied", "A conversation has at most 400 members."),
        field("501 members", invite(501), "members", "must name at most 500 clients, not 501"),
        field("7000 members", invite(7000), "members", "must name at most 500 clients, not 7000"),
    ]);
    let answer = request::ask(&mut case::server().connect(), &invite(400));
    assert_eq!(answer.status, 200, "and 400 are not too many: {answer:?}");
}

#[test]
fn a_body_that_breaks_off_is_told_so() {
    let server = case::server();
    let mut connection = server.connect();
    let headers = bearer(&tom()) + "content-type: application/json\r\ncontent-length: 9\r\n";
    request::send(&connection, &bytes("POST", LOGIN, &headers, ""));
    request::send(&connection, b"{");
    connection.stream().shutdown(Shutdown::Write).unwrap();
    let answer = connection.read();
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    assert_eq!(answer.json()["detail"], "The body ended too early.");
    assert_eq!(request::ask(&mut server.connect(), &login("{}")).status, 200);
}
