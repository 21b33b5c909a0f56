//! Commands that open the store themselves.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{run, write};
use crate::common::{Server, Setup, demonstration, request, until};

pub(super) const REDB: &str = "[store]\ntype = \"redb\"\npath = \"moderation.redb\"\n";

pub(super) const BANS: &str = r#"
[[bans]]
user = "eve"
reason = "spam"
by = { kind = "user", subject = "bob", role = "manager" }
at = 2026-11-22T10:00:00Z

[[bans]]
user = "dan"
until = 2099-01-01T00:00:00+08:00
by = { kind = "service", subject = "orders" }
at = 2026-11-22T10:00:00Z
"#;

/// A directory whose configuration has a store in a file, and nobody serving.
pub(super) struct Home(pub(super) PathBuf);

impl Home {
    pub(super) fn new() -> Home {
        Home::with(REDB)
    }

    pub(super) fn with(store: &str) -> Home {
        Home::telling(store, "audit.log")
    }

    /// One whose audit log goes there.
    pub(super) fn telling(store: &str, audit: &str) -> Home {
        let audit = format!("to = \"{audit}\"");
        let home = Home(demonstration(&[("[store]\ntype = \"memory\"\n", store), ("to = \"stdout\"", &audit)]));
        write(&home.0, "bans.toml", BANS);
        home
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(super) fn store(&self, arguments: &[&str]) -> super::Ran {
        run(&self.0, &[&["store"][..], arguments].concat())
    }

    pub(super) fn export(&self) -> String {
        let export = self.store(&["export"]).well();
        let (head, entries) = export.split_once("\n\n").unwrap();
        assert!(head.starts_with("# chat-signer: moderation entries at "), "{head}");
        entries.to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn entries_go_from_one_store_to_another() {
    let (from, to) = (Home::new(), Home::new());
    let imported = from.store(&["import", &from.file("bans.toml")]).well();
    assert_eq!(imported, "set 2, removed 0, unchanged 0\n");
    let file = from.file("out.toml");
    let told = from.store(&["export", &file]).well();
    let counted = "2 bans, 0 mutes, 0 roles, 0 blocks, 0 conversations";
    assert_eq!(told, format!("wrote {file}: {counted}, at change 1\n"));
    to.store(&["import", &file]).well();
    assert_eq!(to.export(), from.export());
    let again = to.store(&["import", &file]).well();
    assert_eq!(again, "set 0, removed 0, unchanged 2\n");
}

#[test]
fn an_export_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    home.store(&["export", &home.file("out.toml")]).well();
    assert_eq!(fs::metadata(home.file("out.toml")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_not_in_the_file_goes_if_all_is_replaced() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    let one = write(&home.0, "one.toml", "[[mutes]]\nuser = \"eve\"\n");
    let replaced = home.store(&["import", &one, "--replace"]).well();
    assert_eq!(replaced, "set 1, removed 2, unchanged 0\n");
    assert!(
        home.export().starts_with("[[mutes]]\nuser = \"eve\"\nby = { kind = \"service\", subject = \"import\" }\n")
    );
}

#[test]
fn what_has_ended_is_left_out_and_counted() {
    let home = Home::new();
    let bans = |more: &str| format!("[[bans]]\nuser = \"perm\"\n{more}[[bans]]\nuser = \"tom\"\n");
    home.store(&["import", &write(&home.0, "held.toml", &bans(""))]).well();
    let file = write(&home.0, "ended.toml", &bans("until = 2020-01-01T00:00:00Z\n"));
    assert_eq!(home.store(&["import", &file]).well(), "set 0, removed 0, unchanged 1; skipped 1 that had ended\n");
    assert!(!home.export().contains("until"));
    let told: Value = serde_json::from_str(&home.store(&["import", &file, "-o", "json"]).well()).unwrap();
    assert_eq!(told, json!({ "set": 0, "gone": 0, "same": 1, "ended": 1 }));
}

#[test]
fn all_is_replaced_by_nothing_only_if_that_is_said() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    let before = home.export();
    let empty = write(&home.0, "empty.toml", "");
    let ended = write(&home.0, "ended.toml", "[[bans]]\nuser = \"eve\"\nuntil = 2020-01-01T00:00:00Z\n");
    for file in [&empty, &ended] {
        let error = home.store(&["import", file, "--replace"]).ill();
        assert!(error.contains("has no entries") && error.contains("add --empty"), "{error}");
    }
    assert_eq!(home.export(), before);
    assert_eq!(home.store(&["import", &empty, "--empty"]).code, 2, "it is about --replace");
    let replaced = home.store(&["import", &empty, "--replace", "--empty"]).well();
    assert_eq!(replaced, "set 0, removed 2, unchanged 0\n");
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let home = Home::new();
    let wrong = write(&home.0, "wrong.toml", &format!("{BANS}\n[[bans]]\nuser = \"*\"\nuntl = 1\n"));
    let report = home.store(&["import", &wrong]).ill();
    assert!(report.contains("`user` can't be everyone") && report.contains("did you mean `until`?"), "{report}");
    let error = home.store(&["export"]).ill();
    assert!(error.ends_with("moderation.redb does not exist yet: the first server creates it\n"), "{error}");
}

#[test]
fn an_empty_store_is_accepted_only_as_one() {
    let home = Home::new();
    let empty = write(&home.0, "empty.toml", "");
    home.store(&["import", &empty]).well();
    let error = home.store(&["accept"]).ill();
    assert!(error.starts_with("error: the store is empty. Accepting it removes every ban. "), "{error}");
    let accepted = home.store(&["accept", "--empty"]).well();
    assert!(accepted.starts_with("accepted: 0 bans, 0 mutes, "), "{accepted}");

    home.store(&["import", &home.file("bans.toml")]).well();
    let accepted: Value = serde_json::from_str(&home.store(&["accept", "-o", "json"]).well()).unwrap();
    assert_eq!((&accepted["accepted"], &accepted["entries"]["bans"]), (&true.into(), &2.into()));
}

#[test]
fn a_store_that_a_server_has_is_not_opened() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    let server = Server::run(home.0.clone(), Setup::default());
    until("it is ready", || server.is_ready());
    for command in [&["accept"][..], &["export"], &["import", &home.file("bans.toml")]] {
        let error = home.store(command).ill();
        assert!(error.contains("a running server locks the file: stop the server, or ask it"), "{error}");
    }
}

#[test]
fn a_server_holds_to_what_was_imported() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    let server = Server::run(home.0.clone(), Setup::default());
    until("it is ready", || server.is_ready());
    let headers = "x-api-key: demo-service-key-not-for-production\r\ncontent-type: application/json\r\n";
    let login = |user: &str| {
        let body = format!(r#"{{"client_id": "{user}"}}"#);
        server.ask(&request("POST", "/v1/leancloud/login", headers, &body)).status
    };
    assert_eq!([login("eve"), login("dan"), login("tom")], [403, 403, 200]);
}

#[test]
fn a_store_in_memory_is_the_servers_alone() {
    let home = Home::with("[store]\ntype = \"memory\"\n");
    let error = home.store(&["export"]).ill();
    assert!(error.contains("in the memory of the server; ask the server"), "{error}");
}

#[test]
fn explain_counts_what_the_store_holds() {
    let home = Home::new();
    let explain = ["explain", "leancloud", "login", "--as", "eve"];
    let before = run(&home.0, &explain);
    assert_eq!(before.code, 0);
    assert!(before.complained.starts_with("note: moderation entries are not counted: "), "{before:?}");
    home.store(&["import", &home.file("bans.toml")]).well();
    let banned = run(&home.0, &explain);
    assert_eq!((banned.code, banned.complained.as_str()), (1, ""));
    assert!(banned.said.contains("by bob (manager) at 2026-11-22T10:00:00.000Z"), "{banned:?}");
}

#[test]
fn explain_counts_an_export() {
    let home = Home::with("");
    let bans = home.file("bans.toml");
    let banned = run(&home.0, &["explain", "leancloud", "login", "--as", "eve", "--entries", &bans]);
    assert_eq!((banned.code, banned.complained.as_str()), (1, ""));
    assert!(banned.said.contains("eve is banned (spam), by bob (manager) at 2026-11-22T10:00:00.000Z"), "{banned:?}");
}
