//! Configurations that hold a secret in place, well written and not.

use std::fs;
use std::process::Command;

use crate::abuse::{self, detector::Detector};
use crate::leak::world::{self, CONFIGURATION, KEY};

const CANARY: &str = "NotReal-Axolotl4Bramble8Turbine1Loch";

/// Ways to write a secret where none may stand, for a key of this name. `{it}` is the secret.
const WAYS: [&str; 22] = [
    "{key} = \"{it}\"",
    "{key} = '{it}'",
    "{key} = \"\"\"\n{it}\"\"\"",
    "{key} = {it}",
    "{key} = \"{it}",
    "{key} = [\"{it}\"]",
    "{key} = [{ file = \"old.secret\" }, \"{it}\"]",
    "{key} = { value = \"{it}\" }",
    "{key} = { env = \"{it}\" }",
    "{key} = { file = \"{it}\" }",
    "{key} = { file = \"{it}/x\", env = \"{it}\" }",
    "{key} = { {it} = \"X\" }",
    "{key} = { env = [\"{it}\"] }",
    "{key} = { env = {it} }",
    "{key}.value = \"{it}\"",
    "{key} = { fiel = \"{it}\" }",
    "{key} = \"{it}\" # {it}",
    "{key} = \"{it}\"\n{key} = \"{it}\"",
    "{key} = { file = \"old.secret\" } {it}",
    "{key} \"{it}\"",
    "{key}: {it}",
    "{key} = \"\\q{it}\"",
];

/// The lines with secrets, each with its key.
const SECRETS: [(&str, &str); 4] = [
    ("master_key", "master_key = [{ file = \"leancloud.secret\" }, { file = \"old.secret\" }]"),
    ("secret_key", "secret_key = { file = \"talkjs.secret\" }"),
    ("key", "key = { file = \"ably.secret\" }"),
    ("secret", "secret = { file = \"caller.secret\" }"),
];

/// Further lines with a secret in them, at the end of the file.
const MORE: [&str; 14] = [
    "[facts]\nurl = \"https://user:{it}@app.example.com/facts\"\nbearer = \"{it}\"",
    "[facts]\nurl = \"https://app.example.com/facts\"\nbearer = { value = \"{it}\" }",
    "[store]\ntype = \"redis\"\nurl = \"redis://:{it}@localhost:6379\"",
    "[store]\ntype = \"redis\"\nurl = { env = \"{it}\" }",
    "[[webhooks]]\nurl = \"https://app.example.com/?token={it}\"\nsecret = \"{it}\"",
    "[[authenticators]]\nname = \"lc\"\ntype = \"leancloud-session\"\ncaller = \"user\"\napp = \"leancloud\"\nurl = \"https://x.example\"\napp_key = \"{it}\"",
    "[[authenticators]]\nname = \"keys\"\ntype = \"api-key\"\ncaller = \"service\"\nheader = \"x-key\"\nkeys = [{ id = \"a\", sha256 = \"{it}\" }]",
    "[[authenticators]]\nname = \"keys\"\ntype = \"api-key\"\ncaller = \"service\"\nheader = \"x-key\"\nkeys = [{ id = \"a\", key = \"{it}\" }]",
    "[[authenticators]]\nname = \"keys\"\ntype = \"api-key\"\ncaller = \"service\"\nheader = \"x-key\"\nkeys = [\"{it}\"]",
    "[[authenticators]]\nname = \"keys\"\ntype = \"api-key\"\ncaller = \"service\"\nheader = \"x-key\"\nkeys = \"{it}\"",
    "[[authenticators]]\nname = \"other\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"x\"\naudience = [\"a\"]\nalgorithms = [\"HS256\"]\njwks = { secret = \"{it}\" }",
    "[apps.more]\nvendor = \"leancloud\"\napp_id = \"more\"\nmaster_kye = \"{it}\"",
    "[apps.more]\nvendor = \"ably\"\nkey = \"fakeapp.other:{it}\"",
    "[apps.more]\nvendor = \"talkjs\"\napp_id = \"more\"\npassword = \"{it}\"\ntoken = \"{it}\"\napi_key = \"{it}\"",
];

#[test]
fn a_secret_in_place_is_refused_and_not_repeated() {
    let configuration = CONFIGURATION.replace("{hash}", &abuse::hash(KEY));
    let mut detector = Detector::default();
    detector.forbid("the secret in place", CANARY);
    for (key, line) in SECRETS {
        for way in WAYS {
            let written = way.replace("{key}", key).replace("{it}", CANARY);
            refuse(&detector, &configuration.replace(line, &written), &written);
        }
    }
    for more in MORE {
        let written = more.replace("{it}", CANARY);
        refuse(&detector, &format!("{configuration}\n{written}\n"), &written);
    }
}

/// Has every command read it: they refuse it, and say nothing of the secret.
fn refuse(detector: &Detector, configuration: &str, written: &str) {
    let directory = world::directory_of(configuration);
    for arguments in ["check", "check -o json", "serve --log-level trace", "sign leancloud login --client-id tom"] {
        let output = Command::new(env!("CARGO_BIN_EXE_chat-signer"))
            .args(arguments.split(' '))
            .current_dir(&directory)
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{arguments}: {written}: {said}");
        detector.assert_clean(&format!("{arguments}, of {written},"), &said);
    }
    fs::remove_dir_all(directory).unwrap();
}
