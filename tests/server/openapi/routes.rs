//! Every route, and no other.

use std::collections::BTreeSet;

use chat_signer::model::Vendor;
use chat_signer::server::routes::{ROUTES, Route, RouteTarget};
use chat_signer::vendor::compat_routes;
use serde_json::Value;

use crate::common::{Server, request};
use crate::openapi::document::{Document, demonstration};

#[test]
fn it_has_every_route_and_no_other() {
    let server = demonstration();
    let document = Document::of(&server);
    let described: BTreeSet<_> = document.0["paths"].as_object().unwrap().keys().cloned().collect();
    let mut known: BTreeSet<_> = fixed_routes().map(|route| route.path.to_owned()).collect();
    known.extend(compat_routes().flat_map(|(_, compat)| compat.routes).map(|route| route.path.to_owned()));
    let apps = [
        ("leancloud", Vendor::LeanCloud),
        ("talkjs", Vendor::TalkJs),
        ("ably", Vendor::Ably),
        ("stream", Vendor::Stream),
        ("centrifugo", Vendor::Centrifugo),
        ("livekit", Vendor::LiveKit),
        ("jwt", Vendor::Jwt),
        ("agora", Vendor::Agora),
        ("tencent", Vendor::Tencent),
        ("pusher", Vendor::Pusher),
    ];
    for (app, vendor) in apps {
        known.extend(vendor.spec().operations.iter().map(|operation| format!("/v1/{app}/{}", operation.name)));
    }
    assert_eq!(described, known);
}

#[test]
fn the_answer_to_an_unknown_path_names_the_known_ones() {
    let server = demonstration();
    let document = Document::of(&server);
    let own = ["/livez", "/readyz", "/startupz", "/sign2", "/v1/openapi.json", "/v1/decide"];
    let described: BTreeSet<_> = document.0["paths"].as_object().unwrap().keys().cloned().collect();
    let mut known: BTreeSet<_> = own.iter().map(|path| (*path).to_owned()).collect();
    known.extend(named(&server, "/v1/leancloud/nothing", "It has: ").map(|name| format!("/v1/leancloud/{name}")));
    known.extend(named(&server, "/v1/talkjs/nothing", "It has: ").map(|name| format!("/v1/talkjs/{name}")));
    known.extend(named(&server, "/v1/ably/nothing", "It has: ").map(|name| format!("/v1/ably/{name}")));
    known.extend(named(&server, "/v1/stream/nothing", "It has: ").map(|name| format!("/v1/stream/{name}")));
    known.extend(named(&server, "/v1/centrifugo/nothing", "It has: ").map(|name| format!("/v1/centrifugo/{name}")));
    known.extend(named(&server, "/v1/tencent/nothing", "It has: ").map(|name| format!("/v1/tencent/{name}")));
    known.extend(named(&server, "/v1/agora/nothing", "It has: ").map(|name| format!("/v1/agora/{name}")));
    known.extend(named(&server, "/v1/jwt/nothing", "It has: ").map(|name| format!("/v1/jwt/{name}")));
    known.extend(named(&server, "/v1/livekit/nothing", "It has: ").map(|name| format!("/v1/livekit/{name}")));
    known.extend(named(&server, "/v1/pusher/nothing", "It has: ").map(|name| format!("/v1/pusher/{name}")));
    known.extend(["/pusher/auth", "/pusher/user-auth"].map(str::to_owned));
    known.extend(["/broadcasting/auth", "/broadcasting/user-auth"].map(str::to_owned));
    known.extend(
        named(&server, "/v1/moderation/nothing", "Moderation has: ").map(|name| format!("/v1/moderation/{name}")),
    );
    known.extend(
        named(&server, "/1.1/functions/nothing", "Known functions: ").map(|name| format!("/1.1/functions/{name}")),
    );
    assert_eq!(described, known);
}

#[test]
fn it_has_every_method_and_no_other() {
    let server = demonstration();
    let document = Document::of(&server);
    for path in document.0["paths"].as_object().unwrap().keys() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = server.ask(&request(method, path, "", ""));
            let text = document.operation(method, path);
            // Ably's clients are told of other methods by a 403.
            let other = answer.header("allow").is_some();
            assert_eq!(other, text.is_null(), "{method} {path}: {answer:?}");
        }
    }
}

#[test]
fn each_operation_has_a_name_of_its_own() {
    let server = demonstration();
    let document = Document::of(&server);
    let names: Vec<_> =
        document.operations().map(|(.., operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    assert!(names.contains(&"ably.token") && names.contains(&"ably.token.by-query"), "{names:?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let server = demonstration();
    let document = Document::of(&server);
    let mut left = vec![&document.0];
    while let Some(value) = left.pop() {
        assert!(document.resolve(value).is_object() || value.get("$ref").is_none());
        match value {
            Value::Object(object) => left.extend(object.values()),
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
}

/// Those rows of the table that every server has for callers. Pages for people are not part of the document.
fn fixed_routes() -> impl Iterator<Item = &'static Route> {
    let is_page = |target| matches!(target, RouteTarget::Console | RouteTarget::Playground(_));
    ROUTES.iter().filter(move |route| route.target != RouteTarget::Metrics && !is_page(route.target))
}

#[test]
fn it_has_the_methods_of_the_table() {
    let server = demonstration();
    let document = Document::of(&server);
    for route in fixed_routes() {
        let described = document.0["paths"][route.path].as_object().unwrap().keys().map(|method| method.to_uppercase());
        // HEAD is the same as GET, and is not described.
        let listed = route.methods.split(", ").filter(|method| *method != "HEAD").map(str::to_owned);
        assert_eq!(described.collect::<BTreeSet<_>>(), listed.collect(), "{}", route.path);
    }
}

/// The names that a server gives for one that it doesn't know.
fn named(server: &Server, path: &str, before: &str) -> impl Iterator<Item = String> {
    let answer = server.ask(&request("POST", path, "", ""));
    let json = answer.json();
    let said = json["detail"].as_str().or(json["error"].as_str()).or(json["error"]["message"].as_str()).unwrap();
    let names = said.split_once(before).unwrap().1.trim_end_matches('.');
    names.split(", ").map(str::to_owned).collect::<Vec<_>>().into_iter()
}
