//! How `explain` and `test` explain decisions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::commands::chat_signer;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The first line of the standard output.
fn first_line(output: &Output) -> String {
    text(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// Writes a file of cases, and tests the demonstration's policy with it.
fn test_cases(name: &str, cases: &str, more: &[&str]) -> Output {
    let file = scratch(name).join("cases.toml");
    fs::write(&file, cases).unwrap();
    chat_signer(&["test", file.to_str().unwrap()]).args(more).output().unwrap()
}

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("explain-{name}"));
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn a_denial_names_the_scope_of_the_ban() {
    let capability = r#"{"chat:lobby": ["subscribe"]}"#;
    let output =
        chat_signer(&["explain", "ably", "token", "--as", "mallory", "--capability", capability]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        first_line(&output),
        r#"denied: mallory may not log in with {"chat:lobby":["subscribe"]}: mallory is banned in chat:* (spam)"#
    );
    assert!(text(&output.stdout).contains("subscribe in chat:lobby: denied, as mallory is banned in chat:* (spam)"));
}

#[test]
fn a_line_of_each_vendor_is_explained_from_the_audit_log() {
    let line = |id: &str, app: &str, rest: &str| {
        format!(
            r#"{{"time":"2027-01-01T00:00:00.000Z","request_id":"{id}","decision":"deny","authenticator":"demo","caller":{{"kind":"user","subject":"tom"}},"app":"{app}","vendor":"{app}","client":"tom",{rest}}}"#
        )
    };
    let file = scratch("vendors").join("audit.log");
    let lines = [
        line("live", "livekit", r#""action":"publish","conversation":"chat:lobby","asked":{"chat:lobby":["publish"]}"#),
        line("live-login", "livekit", r#""action":"login","asked":{"chat:lobby":["publish"]}"#),
        line("ably", "ably", r#""action":"publish","conversation":"chat:x","asked":{"chat:x":["publish"]}"#),
        line("call", "stream", r#""action":"join","conversation":"default:a""#),
        line("calls", "stream", r#""action":"login""#),
        line("cut", "leancloud", r#""action":"invite","conversation":"r","targets":["bob"],"targets_count":25"#),
        line("cut-channels", "ably", r#""action":"publish","asked":{"a":["publish"]},"asked_count":30"#),
    ];
    // Other bytes in the file do not matter.
    fs::write(&file, [&b"\xff\n"[..], lines.join("\n").as_bytes()].concat()).unwrap();
    let ask = |id: &str| {
        let output = chat_signer(&["explain", "--request", id, "--audit", file.to_str().unwrap()]).output().unwrap();
        (first_line(&output), text(&output.stderr))
    };
    for id in ["live", "live-login"] {
        let (said, noted) = ask(id);
        assert!(said.contains(": tom may have a token for chat:lobby"), "{id}: {said} {noted}");
        assert!(!noted.contains("complete request"), "{noted}");
    }
    for id in ["cut", "cut-channels"] {
        let (said, noted) = ask(id);
        assert_eq!(said, "", "{noted}");
        assert!(
            noted.contains(&format!("the line of {id} has no complete list of the members or channels")),
            "{noted}"
        );
    }
    let (said, noted) = ask("ably");
    assert!(said.contains(r#"tom may log in with {"chat:x":["publish"]}"#), "{said} {noted}");
    for (id, action) in [("call", "join"), ("calls", "login")] {
        let (said, noted) = ask(id);
        assert!(said.contains("tom may"), "{said}");
        let note =
            format!("the audit line does not have the complete request: this explains the action {action} alone");
        assert!(noted.contains(&note), "{noted}");
    }
}

#[test]
fn a_failing_case_names_the_failed_condition() {
    let cases = r#"
[[cases]]
name = "a member removes the owner"
as = "carol"
app = "leancloud"
action = "kick"
conv_id = "5f3c2a1b9e8d7c6b5a493827"
members = ["alice"]
expect = "allow"

[[cases]]
name = "another rule decides"
as = "zoe"
app = "leancloud"
action = "join"
conv_id = "5f3c2a1b9e8d7c6b5a493827"
expect = "allow"
rule = "managers-kick"

[[cases]]
name = "a rule that is gone decides"
as = "zoe"
app = "leancloud"
action = "join"
conv_id = "5f3c2a1b9e8d7c6b5a493827"
expect = "allow"
rule = "everyone-comes"
"#;
    let output = test_cases("unmet", cases, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let place = "5f3c2a1b9e8d7c6b5a493827";
    let role =
        format!("managers-kick for kick in {place}: roles: needs role manager, administrator or owner; carol is");
    assert!(lines.iter().any(|line| line.starts_with(&role)), "{said}");
    assert!(lines.contains(&&*format!("managers-kick for join in {place}: actions: is not about join")), "{said}");
    assert!(said.contains("rule everyone-comes should decide it, but the policy has no such rule"), "{said}");

    let json: Value = serde_json::from_slice(&test_cases("unmet-json", cases, &["-o", "json"]).stdout).unwrap();
    assert!(json["cases"][0]["unmet_conditions"][0].as_str().unwrap().starts_with(&role), "{json}");
}

#[test]
fn coverage_lists_the_rules_that_decide_in_no_case() {
    let listed = |more: &[&str]| text(&chat_signer(&["test", "docs/cases.toml"]).args(more).output().unwrap().stdout);
    assert_eq!(listed(&[]).lines().count(), 1);
    let said = listed(&["--coverage"]);
    let uncovered = said.lines().nth(1).unwrap().strip_prefix("rules that decide in no case: ").unwrap();
    let uncovered: Vec<&str> = uncovered.split(", ").collect();
    assert!(uncovered.contains(&"managers-kick"), "a rule that only came near decided nothing: {said}");
    for rule in ["everyone-joins", "nobody-is-added-to-open-rooms", "moderators-edit-messages", "everyone-logs-in"] {
        assert!(!uncovered.contains(&rule), "{said}");
    }
    let json: Value = serde_json::from_str(&listed(&["--coverage", "-o", "json"])).unwrap();
    assert_eq!(json["uncovered_rules"].as_array().unwrap().len(), uncovered.len());
}

#[test]
fn every_command_has_color_where_it_is_wanted() {
    let colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = chat_signer(arguments);
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        [output.stdout, output.stderr].concat().contains(&0x1b)
    };
    let broken = ["check", "--config", "tests/config/policy-warnings/signer.toml"];
    let unknown = ["test", "docs/cases.toml", "--config", "tests/config/syntax/signer.toml"];
    let explain = ["explain", "ably", "publish", "--conv-id", "chat:lobby", "--as", "tom"];
    for command in [&["--help"][..], &["explain"], &broken, &unknown, &explain] {
        assert!(!colored(command, &[]), "a pipe gets no color: {command:?}");
        for always in [&["--color", "always"][..], &["--color=always"]] {
            assert!(colored(&[command, always].concat(), &[("NO_COLOR", "1")]), "{command:?}");
        }
        let forced = ("CLICOLOR_FORCE", "1");
        assert!(colored(command, &[forced]), "{command:?}");
        assert!(!colored(command, &[forced, ("NO_COLOR", "1")]), "{command:?}");
        assert!(!colored(&[command, &["--color", "never"]].concat(), &[forced]), "{command:?}");
    }
}

#[test]
fn a_syntax_error_is_the_only_one_and_names_what_was_left_open() {
    let directory = scratch("syntax");
    let signer = fs::read_to_string("signer.toml").unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    fs::write(directory.join("signer.toml"), signer.replace("\"deploy/demo", &format!("\"{root}/deploy/demo")))
        .unwrap();
    let policy = fs::read_to_string("policy.toml").unwrap();
    let open = "actions = [\"read-moderation\"";
    let config = directory.join("signer.toml");
    let report = |policy: &str| {
        fs::write(directory.join("policy.toml"), policy).unwrap();
        let output = chat_signer(&["check", "-o", "json", "--config", config.to_str().unwrap()]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["mistakes"], 1, "{report}");
        report["problems"][0].clone()
    };
    let line = |text: &str, of: &str| text.lines().position(|line| line.contains(of)).unwrap() + 1;

    let problem = report(&policy.replacen(&format!("{open}]"), open, 1));
    assert_eq!(problem["message"], "this is not TOML: this `[` is not closed");
    assert_eq!(problem["line"], line(&policy, &format!("{open}]")));
    assert_eq!(
        problem["help"],
        format!("write the missing `]` before line {}", line(&policy, &format!("{open}]")) + 1)
    );

    let problem = report(&policy.replace("[[rules]]", "[rules]"));
    assert!(problem["help"].as_str().unwrap().contains("write [[…]] above each table of a list"), "{problem}");

    let problem = report("roles:\n  - member\nrules:\n  - id: one\n    effect: allow\n");
    assert_eq!(problem["line"], 1, "{problem}");
}

#[test]
fn a_new_configuration_has_a_store_to_uncomment() {
    let directory = scratch("init").join(format!("new-{}", std::process::id()));
    let output = chat_signer(&["init", "ably", "--dir", directory.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let signer = fs::read_to_string(directory.join("signer.toml")).unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert!(signer.contains("# [store]\n# type = \"redb\""), "{signer}");
}
