//! The keys and scripts in Redis. A script is atomic: no other client sees a part of it or runs a command in between.

use redis::{Cmd, cmd};

/// The names of all keys and of the channel. All keys are in one cluster slot.
pub(super) struct RedisKeys {
    /// The keys, in the order that the scripts expect.
    all: [String; 13],
    pub(super) entries: String,
    pub(super) jobs: String,
    pub(super) notes: String,
    pub(super) channel: String,
    /// The command that reads the head of the store. Only a primary answers it.
    pub(super) head: Cmd,
}

const NAMES: [&str; 13] = [
    "head", "entries", "log", "jobs", "standing", "index", "queues", "queued", "leases", "done", "notes", "aside",
    "lineage",
];

impl RedisKeys {
    pub(super) fn new(prefix: &str) -> RedisKeys {
        let tag = hash_tag(prefix);
        let name = |name: &str| format!("{tag}{name}");
        let all = NAMES.map(name);
        let head = script(HEAD, &all);
        RedisKeys {
            all,
            entries: name("entries"),
            jobs: name("jobs"),
            notes: name("notes"),
            channel: name("hints"),
            head,
        }
    }

    /// Returns the command that runs a script. The caller appends the arguments of the script.
    pub(super) fn script(&self, text: &str) -> Cmd {
        script(text, &self.all)
    }
}

/// Sends the script text and not its hash, because a server that has just become the primary does not know the hash.
fn script(text: &str, keys: &[String]) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(text).arg(keys.len()).arg(keys);
    eval
}

/// Returns the prefix with braces. The text between the braces determines the cluster slot of a key.
fn hash_tag(prefix: &str) -> String {
    if prefix.contains('{') { prefix.to_owned() } else { format!("{{{prefix}}}") }
}

macro_rules! scripts {
    ($($name:ident = $file:literal),*) => {
        $(pub(super) const $name: &str = concat!(include_str!("scripts/prelude.lua"), include_str!($file));)*
    };
}

scripts!(
    HEAD = "scripts/head.lua",
    DURABLE_HEAD = "scripts/durable_head.lua",
    PROBE = "scripts/probe.lua",
    SINCE = "scripts/since.lua",
    BEGIN = "scripts/begin.lua",
    ACCEPT = "scripts/accept.lua",
    HAS = "scripts/has.lua",
    MARK = "scripts/mark.lua",
    COMMIT = "scripts/commit.lua",
    CLAIM = "scripts/claim.lua",
    SETTLE = "scripts/settle.lua",
    JOBS = "scripts/jobs.lua",
    COUNT = "scripts/count.lua",
    REPLACE = "scripts/replace.lua",
    SET_NOTE = "scripts/set_note.lua"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_one_slot() {
        for (prefix, key) in [
            ("chat-signer:", "{chat-signer:}notes"),
            ("{chat}:signer:", "{chat}:signer:notes"),
            ("a{b}c{d}", "a{b}c{d}notes"),
        ] {
            assert_eq!(RedisKeys::new(prefix).notes, key);
        }
    }
}
