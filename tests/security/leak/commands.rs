//! What the command line says.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::abuse::detector::Detector;
use crate::abuse::token::{claims, hs256};
use crate::leak::world::{self, CALLERS, ISSUER, KEY, SECRETS, detector, forbid_signed, token};

/// What a command said: its standard output, its standard error, and whether it ended with a yes.
struct Said {
    out: String,
    err: String,
    yes: bool,
}

fn run(directory: &Path, arguments: &[&str]) -> Said {
    run_with(directory, arguments, "")
}

fn run_with(directory: &Path, arguments: &[&str], input: &str) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { out: text(output.stdout), err: text(output.stderr), yes: output.status.success() }
}

/// Runs a command whose result may hold nothing either, in both forms.
fn run_clean(directory: &Path, detector: &Detector, arguments: &[&str]) {
    for form in [&[][..], &["-o", "json"]] {
        let said = run(directory, &[arguments, form].concat());
        detector.assert_clean(&arguments.join(" "), &(said.out + &said.err));
    }
}

const NONCE: [&str; 4] = ["--timestamp", "1800000000000", "--nonce", "n1"];

#[test]
fn only_what_was_asked_for_is_said() {
    let (directory, mut detector) = (world::directory(), detector());
    let tom = ["--client-id", "tom"];
    for arguments in [
        ["sign", "leancloud", "login"],
        ["sign", "talkjs", "token"],
        ["sign", "talkjs", "signature"],
        ["sign", "ably", "token"],
        ["sign", "ably", "token-request"],
    ] {
        for form in [&[][..], &["-o", "json"]] {
            let said = run(&directory, &[&arguments[..], &tom, form].concat());
            assert!(said.yes, "{arguments:?}: {}", said.err);
            SECRETS.assert_clean("a signature's surroundings", &(said.out.clone() + &said.err));
            forbid_signed(&mut detector, said.out.trim_end());
            detector.assert_clean("what is beside the result", &said.err);
        }
    }
    assert!(detector.find(&run(&directory, &["sign", "talkjs", "signature", "--client-id", "tom"]).out).is_some());
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn verifying_does_not_say_what_would_have_been_right() {
    let (directory, mut detector) = (world::directory(), detector());
    let asked = ["leancloud", "invite", "--client-id", "tom", "--conv-id", "den", "--members", "mary,ann"];
    let right = run(&directory, &[&["sign"], &asked[..], &NONCE, &["-o", "json"]].concat()).out;
    let right: Value = serde_json::from_str(&right).unwrap();
    let right = right["signature"].as_str().unwrap();
    let verify = |signature: &str| {
        let given = ["--signature", signature];
        run(&directory, &[&["verify"], &asked[..], &NONCE, &given].concat())
    };
    assert!(verify(right).yes);
    detector.forbid_text("the right signature", right);
    for wrong in [&"0".repeat(40), "AAAA", "", &chat_signer::crypto::base64(&[7; 20]), world::KEY] {
        let said = verify(wrong);
        assert!(!said.yes, "{}", said.out);
        detector.assert_clean("verify", &(said.out + &said.err));
    }
    let other = run(&directory, &["sign", "ably", "token", "--client-id", "tom"]).out;
    detector.forbid_token("a token", other.trim_end());
    let forged = hs256(b"another-secret", &claims(ISSUER, "chat", "tom", &serde_json::json!({})));
    for (app, token) in [("ably", forged.as_str()), ("talkjs", other.trim_end()), ("ably", "a.b.c")] {
        run_clean(&directory, &detector, &["verify", app, "token", "--client-id", "tom", "--signature", token]);
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn explaining_does_not_repeat_the_token() {
    let (directory, mut detector) = (world::directory(), detector());
    let good = token("tom");
    let mut cut = good.clone();
    cut.truncate(good.len() - 3);
    let expired = hs256(CALLERS.as_bytes(), &claims(ISSUER, "chat", "tom", &serde_json::json!({"exp": 1})));
    let forged = hs256(b"another-secret", &claims(ISSUER, "chat", "tom", &serde_json::json!({})));
    for token in [&good, &cut, &expired, &forged] {
        detector.forbid_token("a caller's token", token);
    }
    for token in [&good, &cut, &expired, &forged, KEY, &format!("Bearer {good}"), "", "é"] {
        for (app, action) in [("leancloud", "login"), ("talkjs", "app-token"), ("ably", "token")] {
            run_clean(&directory, &detector, &["explain", app, action, "--token", token]);
        }
    }
    assert!(run(&directory, &["explain", "leancloud", "login", "--token", &good]).yes, "and the good one is taken");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_other_commands_say_nothing_secret() {
    let (directory, detector) = (world::directory(), detector());
    let case = "[[cases]]\nname = \"one\"\nas = \"tom\"\napp = \"leancloud\"\naction = \"login\"\nexpect = \"deny\"\n";
    fs::write(directory.join("cases.toml"), case).unwrap();
    let mixed_up = fs::read_to_string(directory.join("signer.toml")).unwrap().replace("policy.toml", "caller.secret");
    fs::write(directory.join("mixed-up.toml"), mixed_up).unwrap();
    for arguments in [
        &["check"][..],
        &["test", "cases.toml"],
        &["test", "leancloud.secret"],
        &["test", "signer.toml"],
        &["check", "--config", "leancloud.secret"],
        &["check", "--config", "mixed-up.toml"],
        &["check", "--config", "caller.secret"],
        &["sign", "leancloud", "login", "--config", "talkjs.secret"],
        &["token", "--sub", "tom"],
        &["explain", "leancloud", "login", "--as", "tom"],
        &["explain", "ably", "token", "--service", "orders", "--client-id", "tom"],
        &["probe", "--admin", "127.0.0.1:1"],
    ] {
        run_clean(&directory, &detector, arguments);
    }
    for form in [&[][..], &["-o", "json"]] {
        let said = run_with(&directory, &[&["hash-key", "--stdin"], form].concat(), KEY);
        assert!(said.yes && said.out.contains(&crate::abuse::hash(KEY)), "{}", said.err);
        detector.assert_clean("hash-key", &(said.out + &said.err));
    }
    fs::remove_dir_all(directory).unwrap();
}
