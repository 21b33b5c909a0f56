//! Changes of which a part cannot be used: that part keeps its earlier values, and the rest takes force.

use std::fs;
use std::path::PathBuf;

use chat_signer::crypto::base64url;
use chat_signer::crypto::mac::HmacSha256;

use crate::common::{CALLER_SECRET, Server, Setup, post, until};
use crate::reload::{edit, may, replace, until_accepted, until_refused};

const TALKJS_SECRET: &str = "fake-talkjs-secret-key-0123456789abcdef";
const OTHER_SECRET: &str = "obviously-fake-other-secret-for-tests-0123456789abcdef0123456789abcdef";

/// A policy in which everyone may log in and do this, but nothing else.
fn policy(action: &str) -> String {
    let rule = format!("[[rules]]\nid = \"only\"\neffect = \"allow\"\nactions = [\"login\", \"{action}\"]\n");
    format!("roles = [\"member\"]\n{rule}")
}

/// A server where tom may log in and join, but not leave.
fn started() -> Server {
    started_with(Setup::default())
}

fn started_with(setup: Setup) -> Server {
    let server = Server::with(setup);
    replace(&file(&server, "policy.toml"), &policy("join"));
    until("the policy has changed", || !may(&server, "leave"));
    server
}

fn file(server: &Server, name: &str) -> PathBuf {
    server.directory.join(name)
}

/// Returns the lines of the admin listener about the parts of the configuration.
fn part_lines(server: &Server) -> Vec<String> {
    let body = server.admin("/readyz?verbose").body;
    body.lines().filter(|line| line.contains('.')).map(str::to_owned).collect()
}

/// Returns whether TalkJS tokens are signed with this secret.
fn signs_with(server: &Server, secret: &str) -> bool {
    let answer = server.ask(&post("/v1/talkjs/token", "tom", "{}")).json();
    let (signed, signature) = answer["token"].as_str().unwrap().rsplit_once('.').unwrap();
    base64url(&HmacSha256::new(secret.as_bytes()).mac(signed.as_bytes())) == signature
}

/// Returns the value of a metric that is a whole number.
fn metric(server: &Server, series: &str) -> u64 {
    let metrics = server.admin("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    let value = line.unwrap_or_else(|| panic!("no {series} in {metrics}")).trim();
    value.trim_end_matches(".0").parse().unwrap()
}

fn changes_policy(server: &Server) {
    replace(&file(server, "policy.toml"), &policy("leave"));
    until("the policy has changed", || may(server, "leave"));
    assert!(!may(server, "join"));
}

#[test]
fn a_secret_that_cannot_be_used_keeps_only_its_own_app() {
    let server = started();
    let kept = r#"chat_signer_reload_kept{part="apps.talkjs"}"#;
    assert_eq!((metric(&server, kept), part_lines(&server)), (0, Vec::new()));
    fs::write(file(&server, "talkjs.secret"), "").unwrap();
    until_refused(&server, "apps.talkjs: the earlier values are in force: ");
    replace(&file(&server, "leancloud.secret"), "fake-other-leancloud-master-key");
    changes_policy(&server);
    assert!(server.is_ready() && signs_with(&server, TALKJS_SECRET));
    let lines = part_lines(&server).join("\n");
    assert!(lines.contains("the secret `secret_key` needs the file \"talkjs.secret\", which is empty"), "{lines}");
    for part in ["signer.toml", "policy.toml", "apps.leancloud", "apps.ably", "authenticators.app-users"] {
        assert!(lines.contains(&format!("[+] {part}: ok")), "{lines}");
        assert_eq!(metric(&server, &format!("chat_signer_reload_kept{{part=\"{part}\"}}")), 0);
    }
    assert_eq!((metric(&server, kept), metric(&server, "chat_signer_reload_failing")), (1, 0));
    assert!(metric(&server, r#"chat_signer_reloads_total{outcome="partial"}"#) >= 1);

    // `signer.toml` can change as well, also after the file was removed.
    fs::remove_file(file(&server, "talkjs.secret")).unwrap();
    until_refused(&server, "which does not exist");
    edit(&file(&server, "signer.toml"), "[shutdown]", "[log]\nlevel = \"debug\"\n[shutdown]");
    until("the level has changed", || {
        may(&server, "join");
        server.said().contains("DEBUG")
    });
    assert!(signs_with(&server, TALKJS_SECRET));

    replace(&file(&server, "talkjs.secret"), OTHER_SECRET);
    until("the new secret is in force", || signs_with(&server, OTHER_SECRET));
    until_accepted(&server);
    assert_eq!((metric(&server, kept), part_lines(&server)), (0, Vec::new()));
    let log = server.log();
    assert!(log.contains("apps.talkjs keeps its earlier values: ") && !log.contains(TALKJS_SECRET), "{log}");
}

#[test]
fn a_kept_app_keeps_all_of_its_section() {
    let server = started();
    let path = file(&server, "signer.toml");
    let new = "secret_key = { file = \"missing.secret\" }\ndefault_ttl = \"10m\"";
    let text = fs::read_to_string(&path).unwrap().replace("secret_key = { file = \"talkjs.secret\" }", new);
    replace(&path, &text.replace("[server]", "[server]\nbody_limit = \"1KiB\""));
    let long = format!("{{{}}}", " ".repeat(2000));
    until("the limit has changed", || server.ask(&post("/v1/leancloud/login", "tom", &long)).status == 413);
    until_refused(&server, "\"missing.secret\", which does not exist");
    let expiry = || server.ask(&post("/v1/talkjs/token", "tom", "{}")).json()["expires_at"].as_u64().unwrap();
    let before = expiry();
    assert!(signs_with(&server, TALKJS_SECRET));
    // The earlier section has the earlier file, which is followed as well.
    replace(&file(&server, "talkjs.secret"), OTHER_SECRET);
    changes_policy(&server);
    assert!(expiry() >= before, "the default of an hour");
    replace(&file(&server, "missing.secret"), CALLER_SECRET.to_uppercase().as_str());
    until("the new section is in force", || signs_with(&server, &CALLER_SECRET.to_uppercase()));
    until_accepted(&server);
    assert!(expiry() < before, "ten minutes");
}

#[test]
fn a_mistake_in_the_main_file_does_not_keep_the_policy() {
    for (to, why) in [
        ("[apps.talkjs", "this is not TOML"),
        ("[apps.talkjs]\nsecret_kye = 1", "`secret_kye` is not a key"),
        (
            "[apps.new]\nvendor = \"stream\"\napi_key = \"fake\"\nsecret = { file = \"none\" }\n[apps.talkjs]",
            "\"none\"",
        ),
    ] {
        let server = started();
        edit(&file(&server, "signer.toml"), "[apps.talkjs]", to);
        until_refused(&server, why);
        assert_eq!(metric(&server, "chat_signer_reload_failing"), 1);
        // A new secret can belong to the new text of `signer.toml`, for example to another app of the vendor.
        replace(&file(&server, "talkjs.secret"), OTHER_SECRET);
        changes_policy(&server);
        until_refused(&server, "configuration: the signer.toml of ");
        until_refused(&server, "apps.talkjs: the earlier values are in force: ");
        assert!(signs_with(&server, TALKJS_SECRET));
        edit(&file(&server, "signer.toml"), to, "[apps.talkjs]");
        until("the secret is in force", || signs_with(&server, OTHER_SECRET));
        until_accepted(&server);
    }
}

#[test]
fn secrets_that_must_not_be_equal_keep_all_secrets_but_not_the_policy() {
    let server = started();
    replace(&file(&server, "talkjs.secret"), CALLER_SECRET);
    until_refused(&server, "`secret` is also the secret of [apps.talkjs]");
    changes_policy(&server);
    assert!(signs_with(&server, TALKJS_SECRET));
    replace(&file(&server, "talkjs.secret"), OTHER_SECRET);
    until("the new secret is in force", || signs_with(&server, OTHER_SECRET));
    until_accepted(&server);
}

#[test]
fn a_mistake_in_the_policy_does_not_keep_secrets() {
    let server = started();
    replace(&file(&server, "policy.toml"), "roles = 7");
    until_refused(&server, "configuration: the policy.toml of ");
    replace(&file(&server, "talkjs.secret"), OTHER_SECRET);
    until("the secret is in force", || signs_with(&server, OTHER_SECRET));
    // A change of `signer.toml` can belong to the change of the policy.
    edit(&file(&server, "signer.toml"), "[server]", "[server]\nbody_limit = \"1KiB\"");
    until_refused(&server, "configuration: the configuration of ");
    assert!(may(&server, "join"));
    replace(&file(&server, "policy.toml"), &policy("leave"));
    until_accepted(&server);
    assert!(may(&server, "leave"));
}

#[test]
fn keys_that_cannot_be_used_keep_their_authenticator() {
    let authenticator = crate::reload::keys::authenticator("file = \"keys\"");
    let key = crate::reload::keys::SigningKey::new("one");
    let server = started_with(Setup { files: vec![("keys", key.set())], ..Setup::more(&authenticator) });
    replace(&file(&server, "keys"), "{\"keys\": [");
    until_refused(&server, "authenticators.asymmetric: the earlier values are in force: ");
    changes_policy(&server);
    let json = "content-type: application/json\r\n";
    let login = crate::common::request("POST", "/v1/talkjs/token", &format!("{}{json}", key.bearer()), "{}");
    assert_eq!(server.ask(&login).status, 200);
}
