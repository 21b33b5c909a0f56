//! Moderation from the command line: the real program asks the real server, and opens its store when no server runs.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asking;
mod following;
mod keeping;
mod shared;
mod trail;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const POLICY: &str = r#"
roles = ["guest", "member", "manager", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "invite", "block-conversation", "unblock-conversation"]

[[rules]]
id = "managers-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute", "set-role"]
roles = ["manager", "owner"]
targets = "outranked"
reason = "Managers moderate those whom they outrank."

[[rules]]
id = "services-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute", "set-role", "manage-conversation", "read-moderation", "retry-enforcement", "block-conversation", "unblock-conversation"]
callers = ["service"]
client = "any"

[[conversations]]
id = "den"
owner = "alice"
managers = ["bob"]
members = ["tom", "kim"]

[[bans]]
user = "mallory"
"#;

/// The program, which knows nothing of its caller but what is set here.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    for variable in ["CHAT_SIGNER_SERVER", "CHAT_SIGNER_API_KEY", "CHAT_SIGNER_TOKEN"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// Runs it with the configuration in this directory.
fn run(directory: &Path, arguments: &[&str]) -> Ran {
    Ran::of(program(arguments).arg("--config").arg(directory.join("signer.toml")).output().unwrap())
}

/// These files, and the policy.
fn files(more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let more = more.iter().map(|(name, text)| (*name, (*text).to_owned()));
    more.chain([("policy.toml", POLICY.to_owned())]).collect()
}

/// What it did.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    code: i32,
    said: String,
    complained: String,
}

impl Ran {
    fn of(Output { status, stdout, stderr }: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: status.code().unwrap(), said: text(stdout), complained: text(stderr) }
    }

    /// What it said, having succeeded.
    #[track_caller]
    fn well(self) -> String {
        assert_eq!((self.code, self.complained.as_str()), (0, ""), "{self:?}");
        self.said
    }

    /// What it complained of, having failed.
    #[track_caller]
    fn ill(self) -> String {
        assert_eq!((self.code, self.said.as_str()), (1, ""), "{self:?}");
        self.complained
    }
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}
