//! The document is that of the configuration in force.

use serde_json::{Value, json};

use crate::common::{Server, Setup, request};
use crate::openapi::document::Document;

const MORE: &str = r#"
[[authenticators]]
name = "session"
type = "introspection"
caller = "user"
url = "https://app.example.com/me"
forward = { cookies = ["sid"] }
subject = "/id"
apps = ["talkjs"]

[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-forwarded-user"
trusted_proxies = ["192.0.2.1/32"]
apps = ["ably"]
"#;

#[test]
fn it_names_the_credentials_that_each_app_takes() {
    let server = Server::with(Setup::more(MORE));
    let document = Document::of(&server);
    let expected = json!({
        "token": {"type": "http", "scheme": "bearer"},
        "header-x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "cookie-sid": {"type": "apiKey", "in": "cookie", "name": "sid"},
    });
    assert_eq!(document.0["components"]["securitySchemes"], expected);
    let security = |path: &str| document.operation("POST", path)["security"].clone();
    let both = [json!({"token": []}), json!({"header-x-api-key": []})];
    assert_eq!(security("/v1/leancloud/join"), json!(both));
    assert_eq!(security("/sign2"), json!(both));
    assert_eq!(security("/v1/talkjs/token"), json!([both[0], both[1], {"cookie-sid": []}]));
    assert_eq!(security("/v1/ably/token"), json!([both[0], both[1], {}]));
    assert_eq!(document.operation("GET", "/v1/openapi.json")["security"], json!([]));
}

#[test]
fn it_follows_the_configuration() {
    let server = Server::start();
    assert!(Document::of(&server).operation("POST", "/v1/talkjs/token").is_object());
    server.change("[apps.talkjs]", "[apps.support]");
    let changed = Document::of(&server);
    assert!(changed.operation("POST", "/v1/support/token").is_object());
    assert_eq!(*changed.operation("POST", "/v1/talkjs/token"), Value::Null);
}

#[test]
fn without_an_app_for_them_there_are_no_demo_routes() {
    let second = "[apps.second]\nvendor = \"leancloud\"\napp_id = \"fake-second-app\"\nmaster_key = { file = \"second.secret\" }\n";
    let files = vec![("second.secret", "fake-second-master-key".to_owned())];
    let server = Server::with(Setup { files, ..Setup::more(second) });
    let document = Document::of(&server);
    assert_eq!(*document.operation("POST", "/sign2"), Value::Null);
    assert!(document.operation("POST", "/v1/second/join").is_object());
}

#[test]
fn anyone_may_read_it_and_pages_of_listed_origins_too() {
    let server = Server::with(Setup::server("[server.cors]\norigins = [\"https://app.example.com\"]"));
    let answer = server.ask(&request("GET", "/v1/openapi.json", "origin: https://app.example.com\r\n", ""));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://app.example.com")));
    let mut head = server.connect();
    head.send(&request("HEAD", "/v1/openapi.json", "", ""));
    assert_eq!(head.head().status, 200);
    let answer = server.ask(&request("POST", "/v1/openapi.json", "", ""));
    assert_eq!(
        (answer.status, answer.header("allow"), answer.code().as_str()),
        (405, Some("GET, HEAD"), "method_not_allowed")
    );
}
