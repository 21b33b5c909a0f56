//! What of the configuration can change, and what can't.

use std::fs;
use std::path::Path;

use chat_signer::crypto::base64url;
use chat_signer::crypto::mac::HmacSha256;

use crate::common::{CALLER_SECRET, Server, Setup, lay_out, post, request, token_by, until};
use crate::reload::keys::{SigningKey, authenticator};
use crate::reload::{edit, may, replace, until_accepted, until_refused};

#[test]
fn what_holds_from_start_to_end_is_named() {
    let server = Server::with(Setup::more("[audit]\nto = \"audit.log\""));
    let path = server.directory.join("signer.toml");
    let good = fs::read_to_string(&path).unwrap();
    let policy = server.directory.join("policy.toml");
    edit(&policy, "\"join\"", "\"history\"");
    until("the policy has changed", || !may(&server, "join"));
    for (from, to, key) in [
        ("[server]\nlisten = \"127.0.0.1:0\"", "[server]\nlisten = \"127.0.0.1:1\"", "server.listen"),
        ("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:1\"", "admin.listen"),
        ("to = \"audit.log\"", "to = \"other.log\"", "audit.to"),
    ] {
        edit(&policy, "\"history\"", "\"join\"");
        edit(&path, from, to);
        until_refused(&server, &format!("`{key}` can't be changed"));
        until("the policy counts all the same", || may(&server, "join"));
        edit(&policy, "\"join\"", "\"history\"");
        edit(&path, to, from);
        until_accepted(&server);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
    assert!(!server.directory.join("other.log").exists());
}

/// The status of a login with these header lines.
fn login(server: &Server, headers: &str) -> u16 {
    let json = "content-type: application/json\r\n";
    server.ask(&request("POST", "/v1/leancloud/login", &format!("{headers}{json}"), "{}")).status
}

fn bearer(secret: &str) -> String {
    format!("authorization: Bearer {}\r\n", token_by("tom", secret))
}

#[test]
fn secrets_change_with_their_files() {
    let server = Server::start();
    let old = server.ask(&post("/v1/talkjs/token", "tom", "{}")).json()["token"].as_str().unwrap().to_owned();
    let new_secret = "obviously-fake-other-secret-for-tests-0123456789abcdef0123456789abcdef";
    fs::write(server.directory.join("talkjs.secret"), new_secret).unwrap();
    let is_by = |token: &str| {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        base64url(&HmacSha256::new(new_secret.as_bytes()).mac(signed.as_bytes())) == signature
    };
    assert!(!is_by(&old));
    until("it signs with the new one", || {
        is_by(server.ask(&post("/v1/talkjs/token", "tom", "{}")).json()["token"].as_str().unwrap())
    });

    assert_eq!((login(&server, &bearer(CALLER_SECRET)), login(&server, &bearer(new_secret))), (200, 401));
    replace(&server.directory.join("talkjs.secret"), "fake-talkjs-secret-key-0123456789abcdef");
    replace(&server.directory.join("caller.secret"), new_secret);
    until("the new one counts", || login(&server, &bearer(new_secret)) == 200);
    // It was remembered, too.
    assert_eq!(login(&server, &bearer(CALLER_SECRET)), 401);
}

#[test]
fn key_sets_and_public_keys_change_with_their_files() {
    for (jwks, name) in [("file = \"keys\"", "set"), ("public_key = \"keys\"", "pem")] {
        let (one, other) = (SigningKey::new("one"), SigningKey::new("other"));
        let text = |key: &SigningKey| if name == "set" { key.set() } else { key.pem() };
        let server = Server::with(Setup { files: vec![("keys", text(&one))], ..Setup::more(&authenticator(jwks)) });
        assert_eq!((login(&server, &one.bearer()), login(&server, &other.bearer())), (200, 401));
        let path = server.directory.join("keys");
        replace(&path, "{\"keys\": [");
        until_refused(&server, "`");
        assert_eq!((login(&server, &one.bearer()), login(&server, &other.bearer())), (200, 401));
        replace(&path, &text(&other));
        until("the other one counts", || login(&server, &other.bearer()) == 200);
        assert_eq!(login(&server, &one.bearer()), 401, "also if it is remembered");
    }
}

#[test]
fn a_demonstration_stays_one_and_nothing_real_becomes_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let real = Server::start();
    let public = fs::read_to_string(root.join("deploy/demo/caller.secret")).unwrap();
    replace(&real.directory.join("caller.secret"), &public);
    until_refused(&real, "is your own secret, but the configuration accepts the demonstration's");
    assert_eq!((login(&real, &bearer(CALLER_SECRET)), login(&real, &bearer(public.trim_end()))), (200, 401));

    let signer = fs::read_to_string(root.join("signer.toml")).unwrap();
    let signer =
        signer.replace("\"127.0.0.1:7480\"", "\"127.0.0.1:0\"").replace("\"127.0.0.1:7481\"", "\"127.0.0.1:0\"");
    let policy = fs::read_to_string(root.join("policy.toml")).unwrap();
    let names = [
        "leancloud",
        "talkjs",
        "ably",
        "stream",
        "centrifugo",
        "livekit",
        "pusher",
        "tencent",
        "agora",
        "jwt",
        "caller",
    ]
    .map(|name| format!("deploy/demo/{name}.secret"));
    let directory = lay_out(&signer, &policy, &[]);
    fs::create_dir_all(directory.join("deploy/demo")).unwrap();
    for name in &names {
        fs::copy(root.join(name), directory.join(name)).unwrap();
    }
    let demonstration = Server::run(directory, Setup::default());
    replace(&demonstration.directory.join(&names[0]), "fake-leancloud-master-key-of-ones-own");
    until_refused(&demonstration, "is your own secret");
    replace(&demonstration.directory.join(&names[0]), &fs::read_to_string(root.join(&names[0])).unwrap());
    until_accepted(&demonstration);
}

#[test]
fn limits_change() {
    let server = Server::with(Setup::server("body_limit = \"1KiB\""));
    let long = format!("{{{}}}", " ".repeat(2000));
    let status = || server.ask(&post("/v1/leancloud/login", "tom", &long)).status;
    assert_eq!(status(), 413);
    server.change("body_limit = \"1KiB\"", "body_limit = \"4KiB\"");
    assert_eq!(status(), 200);
}
