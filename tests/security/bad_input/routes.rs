//! Paths and methods.

use crate::abuse::request::{bearer, bytes, get, post};
use crate::bad_input::case::{self, Case, ably, problem, tom};

#[test]
fn paths_lead_somewhere_or_are_not_found() {
    let at = |name: &str, path: &str, says: &str| problem(name, post(path, &tom(), "{}"), 404, "not_found", says);
    let nothing = "nothing at this path";
    let cases: Vec<Case> = vec![
        at("the root", "/", nothing),
        at("no app", "/v1", nothing),
        at("no operation", "/v1/leancloud", "no such operation. It has: login"),
        at("an empty app", "/v1//login", nothing),
        at("an unknown app", "/v1/slack/login", nothing),
        at("an app in capitals", "/v1/LeanCloud/login", nothing),
        at("another version", "/v2/leancloud/login", nothing),
        at("an empty operation", "/v1/leancloud/", "no such operation. It has: login"),
        at("an unknown operation", "/v1/leancloud/ban", "no such operation. It has: login"),
        at("another vendor's operation", "/v1/leancloud/token", "no such operation"),
        at("an action that is no operation", "/v1/talkjs/login", "It has: token, signature, app-token"),
        at("a slash behind", "/v1/leancloud/login/", "no such operation"),
        at("an escaped letter", "/v1/leancloud/log%69n", "no such operation"),
        at("dots", "/v1/leancloud/../leancloud/login", "no such operation"),
        at("a NUL", "/v1/leancloud/login%00", "no such operation"),
        at("a long path", &format!("/v1/leancloud/{}", "a".repeat(8000)), "no such operation"),
        at("the admin listener's", "/metrics", nothing),
        ably("no operation at Ably", get("/v1/ably?clientId=tom", &tom()), "It has: token, token-request"),
        ably("an unknown operation at Ably", post("/v1/ably/revoke", &tom(), "{}"), "It has: token, token-request"),
    ];
    case::check(&cases);
}

#[test]
fn methods_are_those_of_the_route() {
    let wrong = |name: &str, method: &str, path: &str, says: &str| {
        problem(name, bytes(method, path, &bearer(&tom()), ""), 405, "method_not_allowed", says)
    };
    let login = "/v1/leancloud/login";
    let cases = [
        wrong("GET", "GET", login, "supports only POST."),
        wrong("PUT", "PUT", login, "supports only POST."),
        wrong("DELETE", "DELETE", login, "supports only POST."),
        wrong("OPTIONS", "OPTIONS", login, "supports only POST."),
        wrong("TRACE", "TRACE", login, "supports only POST."),
        wrong("a made-up one", "FROB", login, "supports only POST."),
        wrong("post", "post", login, "supports only POST."),
        wrong("PATCH of a token", "PATCH", "/v1/talkjs/token", "supports only GET, POST."),
        wrong("GET of what never expires", "GET", "/v1/talkjs/signature", "supports only POST."),
        wrong("GET of an app token", "GET", "/v1/talkjs/app-token", "supports only POST."),
        wrong("POST of a probe", "POST", "/livez", "Use GET or HEAD for probes."),
        problem("OPTIONS of everything", bytes("OPTIONS", "*", "", ""), 404, "not_found", "nothing at this path"),
        ably("PUT at Ably", bytes("PUT", "/v1/ably/token", &bearer(&tom()), ""), "supports only GET, POST."),
    ];
    case::check(&cases);
}

#[test]
fn a_query_says_nothing_where_a_body_counts() {
    let by_query = post("/v1/leancloud/invite?conv_id=c&members=mary", &tom(), "{}");
    let cases = [
        case::field("fields in the query", by_query, "conv_id", "must be given"),
        ably(
            "a bad capability in the body, a good one in the query",
            post("/v1/ably/token?capability=%7B%7D", &tom(), r#"{"capability": 1}"#),
            "capability must be an object",
        ),
        ably("a query's body", get("/v1/ably/token?capability=1", &tom()), "capability must be a JSON object"),
    ];
    case::check(&cases);
}
