//! What an operator does to the store by hand is in the audit log.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::keeping::{BANS, Home, REDB};
use super::write;

/// The audit log's lines, each without its time, which is there.
fn told(home: &Home) -> Vec<Value> {
    read(&fs::read_to_string(home.file("audit.log")).unwrap())
}

fn read(log: &str) -> Vec<Value> {
    let mut lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    lines
}

/// Who runs this test, as the operator is called.
fn operator() -> Value {
    let name = Command::new("id").arg("-un").output().unwrap().stdout;
    json!({ "kind": "operator", "subject": String::from_utf8(name).unwrap().trim() })
}

fn digest(text: &str) -> String {
    chat_signer::crypto::hex(&chat_signer::crypto::sha256(text.as_bytes()))
}

#[test]
fn an_import_has_a_line_for_each_entry_and_one_for_the_file() {
    let home = Home::new();
    let file = home.file("bans.toml");
    home.store(&["import", &file]).well();
    let bob = json!({ "kind": "user", "subject": "bob", "role": "manager" });
    let orders = json!({ "kind": "service", "subject": "orders" });
    let (at, until) = ("2026-11-22T10:00:00.000Z", "2098-12-31T16:00:00.000Z");
    let whole = |set: u32, gone: u32, same: u32| {
        json!({
            "event": "store.imported", "caller": operator(), "file": file, "sha256": digest(BANS), "replace": false,
            "quiet": false, "set": set, "gone": gone, "same": same, "ended": 0
        })
    };
    assert_eq!(
        told(&home),
        [
            json!({ "event": "ban.created", "caller": operator(), "conversation": "*", "targets": ["eve"], "change": 1, "reason": "spam", "by": bob, "at": at }),
            json!({ "event": "ban.created", "caller": operator(), "conversation": "*", "targets": ["dan"], "change": 1, "until": until, "by": orders, "at": at }),
            whole(2, 0, 0),
        ]
    );
    home.store(&["import", &file]).well();
    assert_eq!(told(&home)[3..], [whole(0, 0, 2)]);
}

#[test]
fn what_goes_with_an_import_and_what_is_given_by_it_is_told() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    let text = "[[bindings]]\nuser = \"tom\"\nconversation = \"den\"\nrole = \"manager\"\n[[bindings]]\nuser = \"zoe\"\nconversation \
                = \"den\"\nremoved = true\n[[conversations]]\nid = \"hall\"\nkind = \"chatroom\"\nowner = \"alice\"\n[[blocks]]\nuser \
                = \"kim\"\nconversation = \"den\"\napp = \"leancloud\"\n";
    let other = write(&home.0, "other.toml", text);
    home.store(&["import", &other, "--replace", "--quiet"]).well();
    let mut lines = told(&home).split_off(3);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        assert_eq!(line.remove("caller"), Some(operator()));
        if line["event"] != "store.imported" {
            assert_eq!(line.remove("change"), Some(json!(2)));
            assert!(line.remove("by").is_some() && line.remove("at").is_some());
        }
    }
    assert_eq!(
        lines,
        [
            json!({ "event": "role.set", "conversation": "den", "targets": ["tom"], "role": "manager" }),
            json!({ "event": "role.removed", "conversation": "den", "targets": ["zoe"] }),
            json!({ "event": "block.created", "app": "leancloud", "conversation": "den", "targets": ["kim"] }),
            json!({ "event": "conversation.set", "conversation": "hall", "kind": "chatroom", "owner": "alice" }),
            json!({ "event": "ban.lifted", "conversation": "*", "targets": ["dan"], "until": "2098-12-31T16:00:00.000Z" }),
            json!({ "event": "ban.lifted", "conversation": "*", "targets": ["eve"], "reason": "spam" }),
            json!({ "event": "store.imported", "file": other, "sha256": digest(text), "replace": true, "quiet": true, "set": 4, "gone": 2, "same": 0, "ended": 0 }),
        ]
    );
}

#[test]
fn that_a_store_was_accepted_is_told() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    let accepted: Value = serde_json::from_str(&home.store(&["accept", "-o", "json"]).well()).unwrap();
    let entries = json!({ "bans": 2, "mutes": 0, "roles": 0, "blocks": 0, "conversations": 0 });
    assert_eq!(
        told(&home)[3..],
        [
            json!({ "event": "store.accepted", "caller": operator(), "epoch": accepted["epoch"], "change": 1, "entries": entries })
        ]
    );
}

#[test]
fn nothing_is_done_where_the_audit_log_can_not_be_opened() {
    let home = Home::new();
    home.store(&["import", &home.file("bans.toml")]).well();
    fs::remove_file(home.file("audit.log")).unwrap();
    // A pipe that nobody reads.
    assert!(Command::new("mkfifo").arg(home.file("audit.log")).status().unwrap().success());
    let one = write(&home.0, "one.toml", "[[mutes]]\nuser = \"eve\"\n");
    for command in [&["import", &one][..], &["accept"]] {
        let error = home.store(command).ill();
        assert!(error.contains("Nothing was done, because it could not be recorded"), "{error}");
    }
    assert!(!home.export().contains("mutes"));
}

#[test]
fn a_line_that_can_not_be_written_is_told_all_the_same() {
    let home = Home::telling(REDB, "/dev/full");
    let ran = home.store(&["import", &home.file("bans.toml")]);
    assert_eq!((ran.code, ran.said.as_str()), (1, ""));
    let (lines, error): (Vec<&str>, Vec<&str>) = ran.complained.lines().partition(|line| line.starts_with('{'));
    let events: Vec<Value> = read(&lines.join("\n")).iter().map(|line| line["event"].clone()).collect();
    assert_eq!(events, ["ban.created", "ban.created", "store.imported"]);
    assert!(error.join("").contains("the audit log can't be written"), "{error:?}");
}

#[test]
fn where_the_log_goes_to_standard_output_it_goes_to_standard_error_here() {
    let home = Home::telling(REDB, "stdout");
    let ran = home.store(&["import", &home.file("bans.toml")]);
    assert_eq!((ran.code, ran.said.as_str()), (0, "set 2, removed 0, unchanged 0\n"));
    assert_eq!(read(&ran.complained).len(), 3);
}

#[test]
fn each_command_has_a_chain_of_its_own() {
    let home = Home::telling(REDB, "audit.log\"\nchain = true\n# \"");
    home.store(&["import", &home.file("bans.toml")]).well();
    home.store(&["accept"]).well();
    let numbers: Vec<Value> = told(&home).iter().map(|line| line["chain"]["seq"].clone()).collect();
    assert_eq!(numbers, [0, 1, 2, 0]);
    let verified = super::run(&home.0, &["audit", "verify", &home.file("audit.log")]).well();
    assert_eq!(verified, "yes: 4 lines in 2 chains, and none is missing, changed, duplicated or out of order\n");
}
