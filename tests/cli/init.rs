//! `init`: what it writes is right for every choice of vendors, says what to change, and never replaces what is there.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const VENDORS: [&str; 10] =
    ["leancloud", "talkjs", "ably", "stream", "centrifugo", "livekit", "pusher", "tencent", "agora", "jwt"];

#[test]
fn what_it_writes_is_right_for_every_choice() {
    // Each vendor alone, all pairs, and all together.
    let pairs =
        (0..VENDORS.len()).flat_map(|one| (one..VENDORS.len()).map(move |other| [VENDORS[one], VENDORS[other]]));
    let mut choices: Vec<Vec<_>> = pairs.map(Vec::from).collect();
    choices.iter_mut().for_each(Vec::dedup);
    for chosen in choices.into_iter().chain([VENDORS.to_vec()]) {
        let home = Home::new();
        let wrote = home.init(&chosen);
        let variables = fakes(&wrote["variables"]);
        assert_eq!(variables.len(), chosen.len());

        let report = home.check(&variables);
        assert_eq!((&report["ok"], &report["apps"]), (&json!(true), &json!(chosen.len())), "{chosen:?}: {report:#}");
        let warned: Vec<_> = report["problems"].as_array().unwrap().iter().map(|one| &one["message"]).collect();
        let ids =
            chosen.iter().filter(|vendor| !["ably", "centrifugo", "jwt"].contains(vendor)).map(
                |vendor| match *vendor {
                    "stream" | "livekit" => "`api_key` still says change-me",
                    "tencent" => "`sdk_app_id` is still the number of the examples",
                    "agora" => "`app_id` is still the id of the examples",
                    _ => "`app_id` still says change-me",
                },
            );
        let issuer = ["`issuer` still says change-me", "`audience` still says change-me"];
        assert_eq!(warned, ids.chain(issuer).collect::<Vec<_>>());

        home.edit("change-me.invalid", "id.example.com");
        home.edit("change-me", "fake-app");
        if chosen.contains(&"tencent") {
            home.edit("1400000000", "1400000001");
        }
        if chosen.contains(&"agora") {
            home.edit(&"0".repeat(32), &"0f".repeat(16));
        }
        assert_eq!(home.check(&variables)["problems"], json!([]), "{chosen:?}");
    }
}

#[test]
fn what_is_commented_out_is_right_too() {
    let home = Home::new();
    let variables = fakes(&home.init(&VENDORS)["variables"]);
    home.edit("change-me.invalid", "id.example.com");
    home.edit("change-me", "fake-app");
    home.edit("1400000000", "1400000001");
    home.edit(&"0".repeat(32), &"0f".repeat(16));
    home.edit("# tls = ", "# ");
    home.edit("…\" }]", &format!("{}\" }}]", "0f".repeat(32)));
    for file in ["signer.toml", "policy.toml"] {
        let text = fs::read_to_string(home.0.join(file)).unwrap();
        fs::write(home.0.join(file), text.lines().map(uncommented).collect::<Vec<_>>().join("\n")).unwrap();
    }
    let report = home.check(&variables);
    assert_eq!((&report["problems"], &report["authenticators"]), (&json!([]), &json!(2)), "{report:#}");
}

#[test]
fn the_policy_decides_as_it_says() {
    let home = Home::new();
    let variables = fakes(&home.init(&VENDORS)["variables"]);
    let allowed = |arguments: &[&str]| {
        let explain = [&["explain"], arguments, &["--as", "tom"]].concat();
        home.run(&explain, &variables).status.success()
    };
    assert!(allowed(&["leancloud", "login"]));
    assert!(allowed(&["talkjs", "token"]));
    let pusher = |channel: &'static str| ["pusher", "channel-auth", "--field", "socket_id=1.2", "--field", channel];
    assert!(allowed(&pusher("channel_name=presence-chat.42")) && allowed(&pusher("channel_name=private-user.tom")));
    assert!(!allowed(&pusher("channel_name=private-user.alice")) && !allowed(&pusher("channel_name=private-x")));
    assert!(allowed(&["tencent", "user-sig"]) && allowed(&["tencent", "private-map-key", "--conv-id", "meeting-1"]));
    assert!(!allowed(&["tencent", "private-map-key", "--conv-id", "1234"]));
    assert!(allowed(&["agora", "chat-token"]) && allowed(&["agora", "rtc-token", "--conv-id", "meeting-1"]));
    assert!(!allowed(&["agora", "rtm-token", "--field", r#"channels={"secret": ["publish"]}"#]));
    assert!(allowed(&["jwt", "token"]) && !allowed(&["jwt", "token", "--client-id", "alice"]));
    assert!(allowed(&["livekit", "token", "--field", "room_name=meeting:a"]));
    assert!(!allowed(&["livekit", "token", "--field", "room_name=secret"]));
    assert!(allowed(&["centrifugo", "subscription-token", "--field", "channel=chat:lobby"]));
    assert!(!allowed(&["centrifugo", "subscription-token", "--field", "channel=secret"]));
    assert!(allowed(&["stream", "token", "--field", r#"call_cids=["default:a"]"#]));
    assert!(!allowed(&["stream", "token", "--client-id", "alice"]));
    assert!(allowed(&["ably", "token", "--capability", r#"{"chat:lobby": ["publish"], "user:tom": ["subscribe"]}"#]));
    assert!(!allowed(&["leancloud", "login", "--client-id", "alice"]));
    assert!(!allowed(&["leancloud", "kick", "--conv-id", "5f3c2a1b9e8d7c6b5a493827", "--members", "bob"]));
    assert!(!allowed(&["ably", "token", "--capability", r#"{"user:alice": ["subscribe"]}"#]));
}

#[test]
fn what_is_there_stays() {
    for there in ["signer.toml", "policy.toml"] {
        let home = Home::new();
        fs::create_dir_all(&home.0).unwrap();
        std::os::unix::fs::symlink("nowhere", home.0.join(there)).unwrap();
        let output = home.run(&["init", "ably"], &[]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            complaint,
            format!(
                "error: {there} exists already, so nothing was written: move the old files away, or choose another --dir\n"
            )
        );
        let names: Vec<_> = fs::read_dir(&home.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [there]);
    }
}

#[test]
fn a_second_time_changes_nothing() {
    let home = Home::new();
    home.init(&["talkjs"]);
    let before = home.texts();
    let output = home.run(&["init", "ably"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: policy.toml and signer.toml exist already"));
    assert_eq!(home.texts(), before);
}

#[test]
fn a_directory_that_can_not_be_made_is_named() {
    let home = Home::new();
    fs::create_dir_all(&home.0).unwrap();
    fs::write(home.0.join("file"), "").unwrap();
    let output = home.run(&["init", "ably", "--dir", "file/below"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("error: cannot create file/below: "));
}

/// A line without the `# ` that keeps it from counting. Sentences are no lines of TOML.
fn uncommented(line: &str) -> &str {
    let Some(code) = line.strip_prefix("# ") else { return line };
    let key = code.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    if key || code.starts_with('[') { code } else { line }
}

/// Fake secrets in these variables.
fn fakes(variables: &Value) -> Vec<(String, String)> {
    let names = variables.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let fake = |name: &str| match name {
        "AGORA_CERTIFICATE" => "fa4e0123456789abcdef0123456789fa".to_owned(),
        _ => format!("fakeapp.fakekey:fake-secret-of-{name}"),
    };
    names.map(|name| (name.to_owned(), fake(name))).collect()
}

/// A directory of one test's own, which `init` makes.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        Home(crate::common::directory().join("new"))
    }

    fn init(&self, vendors: &[&str]) -> Value {
        let output = self.run(&[&["init", "-o", "json"], vendors].concat(), &[]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn check(&self, variables: &[(String, String)]) -> Value {
        serde_json::from_slice(&self.run(&["check", "-o", "json"], variables).stdout).unwrap()
    }

    fn run(&self, arguments: &[&str], variables: &[(String, String)]) -> Output {
        fs::create_dir_all(&self.0).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
        command.current_dir(&self.0).envs(variables.iter().cloned()).args(arguments).output().unwrap()
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.0.join("signer.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    fn texts(&self) -> Vec<Vec<u8>> {
        ["signer.toml", "policy.toml"].map(|name| fs::read(self.0.join(name)).unwrap()).into()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let parent: &Path = self.0.parent().unwrap();
        let _ = fs::remove_dir_all(parent);
    }
}
