//! Every vector through the command line: what the rules let in gives the vector's bytes, and what they keep out is refused with the
//! reason.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// A configuration with one app, gone with the value.
struct Setup(PathBuf);

impl Setup {
    fn new(name: &str, app: &str, secret: &str) -> Setup {
        let directory = std::env::temp_dir().join(format!("chat-signer-vectors-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let signer = format!("[policy]\nfile = \"policy.toml\"\n\n[apps.app]\n{app}\n\n{AUTHENTICATOR}");
        fs::write(directory.join("signer.toml"), signer).unwrap();
        fs::write(directory.join("policy.toml"), POLICY).unwrap();
        fs::write(directory.join("app.secret"), secret).unwrap();
        Setup(directory)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let config = self.0.join("signer.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
        command.args(arguments).arg("--config").arg(config).args(["-o", "json"]).output().unwrap()
    }

    /// The answer to `sign`, or why there is none.
    fn sign(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.run(&[&["sign", "app"], arguments].concat());
        match output.status.code() {
            Some(0) => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            Some(2) => Err(String::from_utf8(output.stderr).unwrap()),
            other => panic!("{arguments:?}: {other:?}: {output:?}"),
        }
    }

    fn verifies(&self, arguments: &[&str], signature: &str) -> bool {
        let output = self.run(&[&["verify", "app"], arguments, &["--signature", signature]].concat());
        output.status.success()
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const AUTHENTICATOR: &str = r#"[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }]
"#;

const POLICY: &str =
    "roles = [\"member\"]\n\n[[rules]]\nid = \"enter\"\neffect = \"allow\"\nactions = [\"login\", \"create\"]\n";

fn vectors(vendor: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/{vendor}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn cases<'v>(vectors: &'v Value, list: &str) -> &'v [Value] {
    let cases = vectors[list].as_array().unwrap();
    assert!(!cases.is_empty(), "{list}");
    cases
}

fn text<'v>(case: &'v Value, key: &str) -> &'v str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} of {case}"))
}

fn leancloud_setup(case: &Value) -> Setup {
    let seconds = case["timestamp"].as_u64().unwrap() < 100_000_000_000;
    let order =
        if text(case, "name").starts_with("history_demo_order") { "timestamp-nonce" } else { "nonce-timestamp" };
    let unit = if seconds { "s" } else { "ms" };
    let app = format!(
        "vendor = \"leancloud\"\napp_id = \"{}\"\nmaster_key = {{ file = \"app.secret\" }}\ntimestamp = \"{unit}\"\nhistory_order = \"{order}\"",
        text(case, "appid"),
    );
    Setup::new(text(case, "name"), &app, text(case, "master_key"))
}

/// Our word for the vector's operation.
fn leancloud_action(case: &Value) -> &'static str {
    match text(case, "op") {
        "login" => "login",
        "start" => "create",
        "invite" => "invite",
        "kick" => "kick",
        "history" => "history",
        "conversation-block-clients" => "block-clients",
        "conversation-unblock-clients" => "unblock-clients",
        "client-block-conversations" => "block-conversation",
        "client-unblock-conversations" => "unblock-conversation",
        other => panic!("{other}"),
    }
}

fn leancloud_arguments(case: &Value) -> Vec<String> {
    let given = |flag: &str, value: String| [flag.to_owned(), value];
    let mut arguments = vec![leancloud_action(case).to_owned()];
    arguments.extend(given("--client-id", text(case, "client_id").to_owned()));
    arguments.extend(given("--timestamp", case["timestamp"].to_string()));
    arguments.extend(given("--nonce", text(case, "nonce").to_owned()));
    arguments.extend(case["conv_id"].as_str().map(|id| given("--conv-id", id.to_owned())).into_iter().flatten());
    if let Some(members) = case["members"].as_array() {
        let members: Vec<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
        arguments.extend(given("--members", members.join(",")));
    }
    arguments
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn leancloud_signatures_are_the_vectors() {
    for case in cases(&vectors("leancloud"), "signatures") {
        let (setup, arguments) = (leancloud_setup(case), leancloud_arguments(case));
        let signed = setup.sign(&borrowed(&arguments)).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(signed["signature"], case["signature"], "{case}");
        assert_eq!(signed["timestamp"], case["timestamp"], "{case}");
        assert_eq!(signed["nonce"], case["nonce"], "{case}");
        assert!(setup.verifies(&borrowed(&arguments), text(case, "signature")), "{case}");
    }
}

#[test]
fn leancloud_collisions_are_refused_with_the_reason() {
    let reasons = [
        ("history_demo_order_empty_conv", "--conv-id must not be empty"),
        ("ambiguity_colon_in_client", "--client-id must not hold `:`"),
    ];
    let vectors = vectors("leancloud");
    let cases = cases(&vectors, "must_be_refused");
    assert_eq!(cases.len(), reasons.len());
    for (case, (name, reason)) in cases.iter().zip(reasons) {
        assert_eq!(text(case, "name"), name);
        let error = leancloud_setup(case).sign(&borrowed(&leancloud_arguments(case))).unwrap_err();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

fn talkjs_setup(case: &Value) -> Setup {
    let app = "vendor = \"talkjs\"\napp_id = \"EXAMPLE_APP\"\nsecret_key = { file = \"app.secret\" }\nlegacy_signatures = true";
    Setup::new(&format!("talkjs-{}", text(case, "name")), app, text(case, "secret_key"))
}

#[test]
fn talkjs_signatures_are_the_vectors() {
    for case in cases(&vectors("talkjs"), "signatures") {
        let setup = talkjs_setup(case);
        let arguments = ["signature", "--client-id", text(case, "user_id")];
        let signed = setup.sign(&arguments).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(signed["signature"], case["signature_hex_lower"], "{case}");
        assert!(setup.verifies(&arguments, text(case, "signature_hex_lower")), "{case}");
        assert!(!setup.verifies(&arguments, text(case, "signature_hex_upper")), "{case}");
    }
}

/// The command line makes tokens of one form; the vectors' others, with `iat` and `nbf` or no `exp`, it has no flags for.
#[test]
fn talkjs_tokens_are_the_vectors() {
    let mut made = 0;
    for case in cases(&vectors("talkjs"), "jwts") {
        let claims: Value = serde_json::from_str(text(case, "payload_json")).unwrap();
        let Some(expiry) = claims["exp"].as_u64() else { continue };
        if claims.get("nbf").is_some() {
            continue;
        }
        let user = claims["sub"].as_str();
        let lives = if user.is_some() { 86_400 } else { 30 };
        let timestamp = (expiry - lives).to_string();
        let arguments = match user {
            Some(user) => vec!["token", "--client-id", user, "--ttl", "86400", "--timestamp", &timestamp],
            None => vec!["app-token", "--timestamp", &timestamp],
        };
        let setup = talkjs_setup(case);
        let signed = setup.sign(&arguments).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(signed["token"], case["token"], "{case}");
        assert!(setup.verifies(&arguments, text(case, "token")), "{case}");
        made += 1;
    }
    assert_eq!(made, 3);
}

fn ably_setup(case: &Value) -> Setup {
    let app = "vendor = \"ably\"\nkey = { file = \"app.secret\" }";
    Setup::new(&format!("ably-{}", text(case, "name")), app, text(case, "key"))
}

/// Each has a nonce that starts with a digit, a key without a `.`, no client or no capability, so none may be made; the text and MAC are
/// held to the vectors where they are built.
#[test]
fn ably_token_requests_are_refused_with_the_reason() {
    for case in cases(&vectors("ably"), "token_requests") {
        let (setup, request) = (ably_setup(case), &case["token_request"]);
        let field =
            |name: &str| request[name].as_str().map(str::to_owned).or(request[name].as_u64().map(|n| n.to_string()));
        let given = |flag: &str, name: &str| field(name).map(|value| [flag.to_owned(), value]).into_iter().flatten();
        let mut arguments = vec!["token-request".to_owned()];
        for (flag, name) in [("--client-id", "clientId"), ("--capability", "capability"), ("--ttl", "ttl")] {
            arguments.extend(given(flag, name));
        }
        arguments.extend(given("--timestamp", "timestamp").chain(given("--nonce", "nonce")));
        let output = setup.run(&[&["sign", "app"], borrowed(&arguments).as_slice()].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        let reason = match (text(case, "name"), field("clientId"), field("capability")) {
            ("published_ably_python_test_hmac", ..) => "must have a `.` in its name",
            (_, None, _) => "--client-id must be given",
            (_, _, None) => "--capability must be given",
            _ => "--nonce must start with a letter",
        };
        assert!(!output.status.success() && output.stdout.is_empty(), "{case}");
        assert!(error.contains(reason), "{case}: {error}");
    }
}

/// Tokens without capability or client can't be made, nor any with user claims, which come from a caller's bindings.
#[test]
fn ably_tokens_are_the_vectors() {
    let mut made = 0;
    for case in cases(&vectors("ably"), "jwts") {
        let claims: Value = serde_json::from_str(text(case, "payload_json")).unwrap();
        let setup = ably_setup(case);
        let (Some(capability), Some(client)) =
            (claims["x-ably-capability"].as_str(), claims["x-ably-clientId"].as_str())
        else {
            let error = setup.sign(&["token", "--timestamp", "1700000000"]).unwrap_err();
            assert!(error.contains("--client-id must be given"), "{case}: {error}");
            continue;
        };
        let arguments =
            ["token", "--client-id", client, "--capability", capability, "--ttl", "1h", "--timestamp", "1700000000"];
        let signed = setup.sign(&arguments).unwrap_or_else(|error| panic!("{case}: {error}"));
        if claims.as_object().unwrap().len() == 4 && is_canonical(capability) {
            assert_eq!(signed["token"], case["token"], "{case}");
            made += 1;
        }
        assert!(setup.verifies(&arguments, text(case, "token")), "{case}");
    }
    assert!(made > 0);
}

#[test]
fn ably_capabilities_are_made_canonical() {
    let key = serde_json::json!({ "name": "capabilities", "key": "appid1.keyid1:invented-secret" });
    let setup = ably_setup(&key);
    for case in cases(&vectors("ably"), "capabilities") {
        let input = case["input"].to_string();
        let arguments =
            ["token-request", "--client-id", "alice", "--capability", &input, "--nonce", "n123456789abcdef"];
        match setup.sign(&arguments) {
            Ok(signed) => assert_eq!(signed["capability"], case["canonical"], "{case}"),
            Err(error) => {
                assert_eq!(text(case, "name"), "empty_object");
                assert!(error.contains("--capability must name at least one channel"), "{error}");
            }
        }
    }
}

/// Whether the operations of each channel stand in order.
fn is_canonical(capability: &str) -> bool {
    let channels: serde_json::Map<String, Value> = serde_json::from_str(capability).unwrap();
    channels.values().all(|list| list.as_array().unwrap().is_sorted_by_key(|operation| operation.as_str().unwrap()))
}

fn tencent_setup(vectors: &Value) -> Setup {
    let app = format!(
        "vendor = \"tencent\"\nsdk_app_id = {}\nsecret = {{ file = \"app.secret\" }}\nmax_ttl = \"365d\"",
        vectors["sdkappid"]
    );
    Setup::new("tencent", &app, text(vectors, "secret"))
}

/// Keys with fewer rights than an operator gets are only verified.
#[test]
fn tencent_user_sigs_are_the_vectors() {
    let vectors = vectors("tencent");
    let setup = tencent_setup(&vectors);
    let mut made = 0;
    for case in cases(&vectors, "cases") {
        let inputs = &case["inputs"];
        let room = inputs["roomstr"].as_str().map(str::to_owned).or(inputs["roomid"].as_u64().map(|id| id.to_string()));
        let (clock, ttl) = (vectors["clock"].to_string(), inputs["expire"].to_string());
        let mut arguments = vec![if room.is_some() { "private-map-key" } else { "user-sig" }];
        arguments.extend(["--client-id", text(inputs, "userid"), "--ttl", &ttl, "--timestamp", &clock]);
        arguments.extend(room.as_deref().map(|room| ["--conv-id", room]).into_iter().flatten());
        let reason = match text(case, "name") {
            "administrator" => "--client-id must not be an administrator",
            "hazard_newline_in_user" => "--client-id must be 1 to 32 letters",
            _ => {
                assert!(setup.verifies(&arguments, text(case, "output")), "{case}");
                assert!(!setup.verifies(&arguments, &text(case, "output").replacen("eJ", "eK", 1)), "{case}");
                let signed = setup.sign(&arguments).unwrap_or_else(|error| panic!("{case}: {error}"));
                let document = chat_signer::vendor::tencent::decode(text(&signed, "user_sig")).map(Value::Object);
                if inputs.get("privilegeMap").is_none_or(|map| map == 255) {
                    assert_eq!(document, serde_json::from_str(text(case, "document")).unwrap(), "{case}");
                    made += 1;
                }
                continue;
            }
        };
        let error = setup.sign(&arguments).unwrap_err();
        assert!(error.contains(reason), "{case}: {error}");
    }
    assert_eq!(made, 3);
}

/// The salt of a token comes from a nonce, so the vectors are only verified. What the rules keep out is refused.
#[test]
fn agora_tokens_are_the_vectors() {
    let vectors = vectors("agora");
    let app = format!(
        "vendor = \"agora\"\napp_id = \"{}\"\napp_certificate = {{ file = \"app.secret\" }}",
        text(&vectors, "app_id")
    );
    let setup = Setup::new("agora", &app, text(&vectors, "app_certificate"));
    let mut number = 0;
    for case in cases(&vectors, "cases").iter().filter(|case| case["signing_info_hex"].is_string()) {
        let inputs = &case["inputs"];
        let (at, ttl) = (inputs["issue_ts"].to_string(), inputs["expire"].to_string());
        let user = inputs["user"].as_str().unwrap_or("tom");
        let arguments = ["chat-token", "--client-id", user, "--ttl", &ttl, "--timestamp", &at];
        let is_user_of_chat = text(case, "name").starts_with("chat_user");
        assert_eq!(setup.verifies(&arguments, text(case, "output")), is_user_of_chat, "{case}");
        number += usize::from(is_user_of_chat);
    }
    assert_eq!(number, 2);
    let arguments = ["rtc-token", "--client-id", "tom", "--conv-id", "lobby", "--timestamp", "1800000000"];
    let signed = setup.sign(&arguments).unwrap();
    assert!(setup.verifies(&arguments, text(&signed, "token")));
    let other = ["rtc-token", "--client-id", "tom", "--conv-id", "other", "--timestamp", "1800000000"];
    assert!(!setup.verifies(&other, text(&signed, "token")));
    assert!(setup.sign(&["rtc-token", "--client-id", "0", "--conv-id", "lobby"]).unwrap_err().contains("any user"));
    let wrong = Setup::new("agora-bad", &app, "not-a-certificate");
    let output = wrong.run(&["sign", "app", "chat-token", "--client-id", "tom"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("`app_certificate` must be 32 hex digits"));
}

/// The presets with a secret. Without a nonce of the library, the end of `jti` differs, so tokens are compared by their claims.
#[test]
fn jwt_tokens_are_the_vectors() {
    let vectors = vectors("jwt");
    let mut made = 0;
    for case in cases(&vectors, "cases").iter().filter(|case| case["header"]["alg"] == "HS256") {
        let values: Vec<String> =
            case["values"].as_object().unwrap().iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let name = text(case, "name");
        let values = values.join(", ");
        let app = format!(
            "vendor = \"jwt\"\npreset = \"{name}\"\nvalues = {{ {values} }}\nsecret = {{ file = \"app.secret\" }}"
        );
        let setup = Setup::new(&format!("jwt-{name}"), &app, text(&vectors, "secret"));
        let (clock, ttl) = (vectors["clock"].to_string(), case["ttl"].to_string());
        let channels = format!("channels={}", case["channels"]);
        let mut arguments = vec!["token", "--client-id", text(case, "user"), "--ttl", &ttl, "--timestamp", &clock];
        if case["channels"].is_object() {
            arguments.extend(["--field", &channels]);
        }
        let signed = setup.sign(&arguments).unwrap_or_else(|error| panic!("{case}: {error}"));
        let mut claims = claims_of(text(&signed, "token"));
        if let Some(id) = case["claims"]["jti"].as_str() {
            assert!(claims["jti"].as_str().unwrap().starts_with(id.rsplit_once('-').unwrap().0), "{case}");
            claims["jti"] = id.into();
        }
        assert_eq!(claims, case["claims"], "{case}");
        assert!(setup.verifies(&arguments, text(&signed, "token")), "{case}");
        assert!(setup.verifies(&arguments, text(case, "token")), "{case}");
        arguments[2] = "mary";
        assert!(!setup.verifies(&arguments, text(case, "token")), "{case}");
        made += 1;
    }
    assert_eq!(made, 2);
}

fn claims_of(token: &str) -> Value {
    let payload = chat_signer::crypto::base64url_decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
