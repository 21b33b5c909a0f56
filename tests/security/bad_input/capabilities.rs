//! Capabilities. All are answered in Ably's shape, so that its SDKs stop asking.

use serde_json::{Map, Value, json};

use crate::abuse::request::{get, post};
use crate::abuse::token::{self, claims};
use crate::bad_input::case::{self, Case, ISSUER, SECRET, ably, tom};

fn ask(capability: &Value) -> Vec<u8> {
    post("/v1/ably/token", &tom(), json!({ "capability": capability }).to_string())
}

fn case(name: &str, capability: &Value, says: &str) -> Case {
    ably(name, ask(capability), &format!("capability {says}"))
}

#[test]
fn capabilities_are_objects_of_lists() {
    let cases = [
        case("a list", &json!(["subscribe"]), "must be an object"),
        case("a number", &json!(1), "must be an object"),
        case("JSON that is broken", &json!("{\"a\":"), "must be a JSON object"),
        case("JSON that is a list", &json!("[]"), "must be a JSON object"),
        case("JSON in JSON", &json!("\"{}\""), "must be a JSON object"),
        case("a channel twice", &json!(r#"{"a": ["subscribe"], "a": ["publish"]}"#), "must be a JSON object"),
        case("20,000 lists", &json!("[".repeat(20_000)), "must be a JSON object"),
        case("20,000 lists in a channel", &json!(format!("{{\"a\":{}", "[".repeat(20_000))), "must be a JSON object"),
        case("nothing", &json!({}), "must name at least one channel"),
        case(
            "an operation that is no list",
            &json!({"a": "subscribe"}),
            "has, for the channel `a`, a value that is not a list",
        ),
        case(
            "a number for an operation",
            &json!({"a": [1]}),
            "has, for the channel `a`, an operation that is not a string",
        ),
        case("an empty list", &json!({"a": []}), "has, for the channel `a`, no operations"),
        case(
            "a list in a list",
            &json!({"a": [["subscribe"]]}),
            "has, for the channel `a`, an operation that is not a string",
        ),
        ably(
            "a channel twice in the body",
            post("/v1/ably/token", &tom(), r#"{"capability": {"a": ["subscribe"], "a": ["publish"]}}"#),
            "no object in it may have a duplicate member",
        ),
        ably(
            "an unfinished one in a query",
            get("/v1/ably/token-request?capability=%7B%22a%22", &tom()),
            "capability must be a JSON object",
        ),
    ];
    case::check(&cases);
}

#[test]
fn operations_are_those_of_ably() {
    let unknown = "has, for the channel `a`, the unknown operation";
    let odd = "has, for the channel `a`, an operation that is not known";
    let cases = [
        case(
            "a misspelt one",
            &json!({"a": ["subscibe"]}),
            "has, for the channel `a`, the unknown operation `subscibe`; the nearest known operation is `subscribe`",
        ),
        case("one in capitals", &json!({"a": ["Subscribe"]}), unknown),
        case("a padded one", &json!({"a": ["subscribe "]}), odd),
        case("an empty one", &json!({"a": [""]}), unknown),
        case("two in one", &json!({"a": ["subscribe,publish"]}), odd),
        case("one of another vendor", &json!({"a": ["kick"]}), unknown),
        case("one of the policy", &json!({"a": ["login"]}), unknown),
        case("one in two lines", &json!({"a": ["publish\nsubscribe"]}), odd),
        case(
            "a star beside others",
            &json!({"a": ["*", "subscribe"]}),
            "has, for the channel `a`, `*` beside other operations",
        ),
        case("two stars", &json!({"a": ["*", "*"]}), "has, for the channel `a`, `*` beside other operations"),
    ];
    case::check(&cases);
}

#[test]
fn channels_are_names_or_patterns() {
    let on = |name: &str, channel: &str, says: &str| case(name, &json!({channel: ["subscribe"]}), says);
    let star = "may hold a `*` only alone or as the last segment";
    let cases = [
        on("a star in a segment", "chat*", &format!("has the channel `chat*`, which {star}")),
        on("a star in front", "*:chat", &format!("has the channel `*:chat`, which {star}")),
        on("a star in the middle", "a:*:b", &format!("has the channel `a:*:b`, which {star}")),
        on("two stars", "a:*:*", &format!("has the channel `a:*:*`, which {star}")),
        on("everything, metachannels too", "[*]*", &format!("has the channel `[*]*`, which {star}")),
        on("every qualifier", "[*]chat", &format!("has the channel `[*]chat`, which {star}")),
        on("a namespace without a name", ":*", "has the channel `:*`, which must name the namespace"),
        on("no name", "", "has the channel ``, which must not be empty"),
        on("a colon in front", ":chat", "has the channel `:chat`, which must not start with `:`"),
        on("a newline", "a\nb", "has the channel `a\\nb`, which must not hold control characters"),
        on("a newline behind", "a\n", "has the channel `a\\n`, which must not hold control characters"),
        on("a NUL", "a\0", "has the channel `a\\0`, which must not hold control characters"),
        on("a space behind", "a ", "has the channel `a `, which must not begin or end with white space"),
        on("256 characters", &"x".repeat(256), "has the channel"),
    ];
    case::check(&cases);
}

#[test]
fn pairs_are_counted() {
    let channels = |count: usize, operations: Value| {
        Value::Object((0..count).map(|i| (format!("c{i}"), operations.clone())).collect::<Map<_, _>>())
    };
    let most = "at most 100 may be asked for";
    let cases = [
        case(
            "101 channels",
            &channels(101, json!(["subscribe"])),
            &format!("has 101 pairs of channel and operation; {most}"),
        ),
        case(
            "six channels with all operations",
            &channels(6, json!(["*"])),
            &format!("has 102 pairs of channel and operation; {most}"),
        ),
        case(
            "thousands of channels",
            &channels(5000, json!(["*"])),
            &format!("has 85000 pairs of channel and operation; {most}"),
        ),
    ];
    case::check(&cases);
}

#[test]
fn a_token_that_ably_would_not_take_is_not_made() {
    let named = claims(ISSUER, "chat", "tom", &json!({"name": "x".repeat(5000)}));
    let request = post("/v1/ably/token", &token::hs256(SECRET, &named), "{}");
    let no_default = post("/v1/ably/token", &token::hs256(SECRET, &claims(ISSUER, "chat", "a:b", &json!({}))), "{}");
    let cases = [
        ably("a claim that makes it over 6 KB", request, "capability makes a token of"),
        ably("no capability, and none that fits", no_default, "capability must be given"),
    ];
    case::check(&cases);
}
