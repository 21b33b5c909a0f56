//! Queries, forms, and the times to live in them.

use serde_json::{Value, json};

use crate::abuse::request::{form, get, post};
use crate::bad_input::case::{self, Case, ably, field, malformed, problem, tom};

const TALKJS: &str = "/v1/talkjs/token";
const ABLY: &str = "/v1/ably/token";

#[test]
fn queries_are_well_encoded() {
    let ask = |query: &str| get(&format!("{TALKJS}?{query}"), &tom());
    let encoded = |name, query: &str| malformed(name, ask(query), "The query is not well encoded");
    let cases: Vec<Case> = vec![
        encoded("no hex digits", "ttl=%zz"),
        encoded("one hex digit", "ttl=%4"),
        encoded("no digit", "ttl=%"),
        encoded("a sign among the digits", "ttl=%+1"),
        encoded("a byte that is not UTF-8", "user_id=%ff"),
        encoded("a name that is not UTF-8", "%c3%28=1"),
        encoded("a lone surrogate", "user_id=%ed%a0%80"),
        encoded("an overlong slash", "user_id=%c0%af"),
        field("a name twice", ask("ttl=600&ttl=600"), "ttl", "is in the query more than once"),
        field(
            "a name twice, once encoded",
            ask("user_id=tom&%75ser_id=alice"),
            "user_id",
            "is in the query more than once",
        ),
        field("a NUL in an id", ask("user_id=to%00m"), "user_id", "must not hold control characters"),
        field("a newline in an id", ask("user_id=to%0Am"), "user_id", "must not hold control characters"),
        field("an empty id", ask("user_id="), "user_id", "must not be empty"),
        field("a padded id", ask("user_id=+tom"), "user_id", "must not begin or end with white space"),
        field("another's id", ask("user_id=*"), "user_id", "must name one client"),
        problem("a long query", ask(&format!("x={}", "1".repeat(20_000))), 414, "too_large", "at most 16384 bytes"),
        ably("no hex digits at Ably", get(&format!("{ABLY}?ttl=%zz"), &tom()), "The query is not well encoded"),
        ably(
            "a name twice at Ably",
            get(&format!("{ABLY}?clientId=tom&clientId=alice"), &tom()),
            "is in the query more than once",
        ),
        ably("two names for one", get(&format!("{ABLY}?clientId=tom&client_id=alice"), &tom()), "must be the same as"),
        ably("a long query at Ably", get(&format!("{ABLY}?x={}", "1".repeat(20_000)), &tom()), "at most 16384 bytes"),
    ];
    case::check(&cases);
}

#[test]
fn forms_are_well_encoded() {
    let ask = |body: &[u8]| form(ABLY, &tom(), body);
    let cases = [
        ably("no hex digits in a form", ask(b"ttl=%zz"), "The form is not well encoded"),
        ably("a form that is not UTF-8", ask(b"clientId=\xff"), "The form is not UTF-8"),
        ably("a name twice in a form", ask(b"ttl=60000&ttl=1"), "ttl is in the form more than once"),
        ably("JSON as a form", ask(br#"{"capability": {"a": ["subscribe"]}}"#), "The form contains JSON"),
        ably("JSON as a form, indented", ask(b"\n  {\"clientId\": \"alice\"}"), "The form contains JSON"),
        ably("a form as JSON", post(ABLY, &tom(), "ttl=60000"), "not JSON"),
        problem(
            "a form for a TalkJS token",
            form(TALKJS, &tom(), "ttl=600"),
            415,
            "unsupported_media_type",
            "must be application/json",
        ),
    ];
    case::check(&cases);
}

#[test]
fn times_to_live_are_times() {
    let talkjs = |ttl: Value| post(TALKJS, &tom(), json!({"ttl": ttl}).to_string());
    let ably_token = |ttl: Value| post(ABLY, &tom(), json!({"ttl": ttl}).to_string());
    let (seconds, milliseconds) = ("must be a whole number of seconds", "ttl must be a number of milliseconds");
    let short = "must be at least 10 minutes";
    let cases = [
        field("nothing", talkjs(json!(0)), "ttl", short),
        field("under ten minutes", talkjs(json!(599)), "ttl", short),
        field("under ten minutes, in words", talkjs(json!("9m")), "ttl", short),
        field("a negative one", talkjs(json!(-600)), "ttl", seconds),
        field("a fraction", talkjs(json!(600.5)), "ttl", seconds),
        field("a float", talkjs(json!(1e300)), "ttl", seconds),
        field("digits in a string", talkjs(json!("600")), "ttl", seconds),
        field("a word", talkjs(json!("soon")), "ttl", seconds),
        field("a unit alone", talkjs(json!("m")), "ttl", seconds),
        field("a space before the unit", talkjs(json!("10 m")), "ttl", seconds),
        field("an unknown unit", talkjs(json!("2w")), "ttl", seconds),
        field("other digits", talkjs(json!("٣h")), "ttl", seconds),
        field("true", talkjs(json!(true)), "ttl", seconds),
        field("null", talkjs(json!(null)), "ttl", seconds),
        field("an empty one in a query", get(&format!("{TALKJS}?ttl="), &tom()), "ttl", seconds),
        field("a signed one in a query", get(&format!("{TALKJS}?ttl=%2B600"), &tom()), "ttl", seconds),
        ably("a negative one at Ably", ably_token(json!(-1)), milliseconds),
        ably("a list at Ably", ably_token(json!([60_000])), milliseconds),
        ably("an exponent in a query at Ably", get(&format!("{ABLY}?ttl=1e6"), &tom()), milliseconds),
        ably("two points in a query at Ably", get(&format!("{ABLY}?ttl=3600.0.0"), &tom()), milliseconds),
        ably("no decimals behind the point at Ably", get(&format!("{ABLY}?ttl=3600."), &tom()), milliseconds),
    ];
    case::check(&cases);
}
