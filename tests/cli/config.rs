//! Every mistake and warning that the configuration can hold, as it is reported.
//!
//! Each directory in `tests/config` is a case: a `signer.toml`, mostly with a policy of its own, and the report that it gets. Write the
//! reports anew with `UPDATE_EXPECTED=1 cargo test --test cli config::`, and read what changed.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chat_signer::config::{AuditOutput, Severity, load};
use chat_signer::environment;
use proptest::prelude::*;

#[test]
fn every_case_is_reported_as_expected() {
    let update = environment::get("UPDATE_EXPECTED").is_some();
    let mut different = Vec::new();
    for case in cases() {
        let loaded = load(&case.join("signer.toml"));
        assert_eq!(loaded.settings.is_some(), !loaded.report.has_mistakes(), "{case:?}");
        let (rendered, file) = (loaded.report.render(false), case.join("expected.txt"));
        if update {
            fs::write(&file, &rendered).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != rendered {
            different.push(format!("{}:\n{rendered}", case.display()));
        }
    }
    assert!(different.is_empty(), "these reports changed:\n{}", different.join("\n"));
}

#[test]
fn what_may_be_a_secret_is_never_repeated() {
    for case in cases() {
        let loaded = load(&case.join("signer.toml"));
        let report = &loaded.report;
        let json = report.json().to_string();
        for text in [report.render(false), report.render(true), json, format!("{loaded:?}")] {
            let folded = text.to_lowercase();
            for canary in ["canary", "4242424242", "fake-other-secret"] {
                assert!(!folded.contains(canary), "{case:?}: {text}");
            }
        }
    }
}

#[test]
fn every_problem_has_its_place_and_says_what_to_write() {
    for case in cases() {
        let report = load(&case.join("signer.toml")).report;
        for (problem, json) in report.problems().iter().zip(report.json().as_array().unwrap()) {
            let text = fs::read(&problem.file).unwrap_or_default();
            let lines = String::from_utf8_lossy(&text).lines().count();
            if let Some((line, column)) = problem.place {
                assert!((1..=lines + 1).contains(&line) && column > 0, "{problem:?}");
                assert_eq!(json["line"], line);
                assert_eq!(json["column"], column);
            }
            assert_eq!(json["message"], problem.message);
            assert_eq!(json["severity"], if problem.severity == Severity::Mistake { "mistake" } else { "warning" });
            assert!(!problem.message.is_empty());
        }
    }
}

#[test]
fn the_demonstration_is_right() {
    let loaded = load(Path::new("signer.toml"));
    assert_eq!(loaded.report.render(false), "");
    let settings = loaded.settings.unwrap();
    assert!(settings.demonstration);
    assert_eq!(settings.demo_caller.unwrap().audience, "chat-signer-demo");
    assert_eq!(settings.engine.authenticators.names().collect::<Vec<_>>(), ["demo", "backend"]);
    let apps: Vec<_> = settings.engine.apps.iter().map(|app| app.name().to_string()).collect();
    assert_eq!(
        apps,
        ["leancloud", "talkjs", "ably", "stream", "centrifugo", "livekit", "pusher", "tencent", "agora", "jwt"]
    );
    assert_eq!(settings.server.listen.to_string(), "127.0.0.1:7480");
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:7481");
    assert_eq!(settings.server.body_limit, 65_536);
    assert_eq!(settings.audit, AuditOutput::Stdout);
    assert_eq!(settings.shutdown.grace, Duration::from_secs(25));
    assert_eq!(settings.engine.policy.document().hash.len(), 64);
}

#[test]
fn whoever_trusts_the_demonstrations_api_key_is_a_demonstration() {
    let dir = scratch("demonstration-key");
    fs::copy("tests/config/minimal.toml", dir.join("policy.toml")).unwrap();
    let left_in = fs::read_to_string("tests/config/demonstration-left-in/signer.toml").unwrap();
    let demo = fs::canonicalize("deploy/demo").unwrap();
    let signer = left_in.replace("../../../deploy/demo", demo.to_str().unwrap()).replace("../minimal", "policy");
    let own = "f0e1d2c3b4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f";
    let public = "9b0b9866160887802d382386a3d037755cdd8a6d2a3e1d39efa5358ef3046301";
    for (text, demonstration) in [(signer.replace(own, public), true), (signer, false)] {
        fs::write(dir.join("signer.toml"), text).unwrap();
        let loaded = load(&dir.join("signer.toml"));
        assert_eq!(loaded.report.is_empty(), demonstration, "{}", loaded.report.render(false));
        assert_eq!(loaded.settings.unwrap().demonstration, demonstration);
    }
}

#[test]
fn what_everyone_can_read_is_a_warning() {
    let dir = scratch("readable");
    fs::write(dir.join("policy.toml"), include_str!("../config/minimal.toml")).unwrap();
    fs::write(dir.join("key.secret"), "canary-canary-canary-1\n").unwrap();
    let signer = fs::read_to_string("tests/config/policy-no-rules/signer.toml").unwrap();
    let signer = signer.replace("{ env = \"FAKE_APP_KEY\" }", "{ file = \"key.secret\" }");
    fs::write(dir.join("signer.toml"), signer).unwrap();
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
        fs::set_permissions(dir.join("key.secret"), fs::Permissions::from_mode(mode)).unwrap();
        let loaded = load(&dir.join("signer.toml"));
        assert!(loaded.settings.is_some());
        assert_eq!(loaded.report.count(Severity::Warning), warnings, "{mode:o}");
        let said = loaded.report.render(false);
        let expected = "`master_key` needs the file \"key.secret\", which everyone on this machine can read";
        assert_eq!(said.contains(expected) && said.contains("chmod o-r"), warnings == 1, "{said}");
        assert!(!said.contains("canary"));
    }
}

#[test]
fn the_audit_log_is_a_file_of_its_own() {
    let dir = scratch("audit");
    fs::write(dir.join("policy.toml"), include_str!("../config/minimal.toml")).unwrap();
    fs::write(dir.join("key.secret"), "canary-canary-canary-1\n").unwrap();
    fs::set_permissions(dir.join("key.secret"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(dir.join("audit.log"), "").unwrap();
    let _ = fs::remove_file(dir.join("link"));
    std::os::unix::fs::symlink("key.secret", dir.join("link")).unwrap();
    let signer = fs::read_to_string("tests/config/policy-no-rules/signer.toml").unwrap();
    let signer = signer.replace("{ env = \"FAKE_APP_KEY\" }", "[{ file = \"key.secret\" }]");
    let absolute = dir.join("policy.toml").display().to_string();
    fs::write(dir.join("ca.crt"), rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem()).unwrap();
    let session = "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nurl = \"https://app.example.com/me\"\n\
                   forward = { cookies = [\"sid\"] }\nsubject = \"/id\"\nca = \"ca.crt\"\n";
    let signer = format!("{signer}\n{session}");
    for (to, flaw) in [
        ("audit.log", ""),
        ("new.log", ""),
        ("stdout", ""),
        ("signer.toml", "which the configuration is read from"),
        ("policy.toml", "which the configuration is read from"),
        ("./key.secret", "which the configuration is read from"),
        ("link", "which the configuration is read from"),
        ("ca.crt", "which the configuration is read from"),
        (absolute.as_str(), "which the configuration is read from"),
        ("stderr", "can't be \"stderr\""),
    ] {
        fs::write(dir.join("signer.toml"), format!("[audit]\nto = \"{to}\"\n\n{signer}")).unwrap();
        let loaded = load(&dir.join("signer.toml"));
        let said = loaded.report.render(false);
        assert_eq!(loaded.settings.is_some(), flaw.is_empty(), "{to}: {said}");
        assert!(said.contains(flaw), "{to}: {said}");
    }
}

#[test]
fn no_api_key_stands_where_something_else_does() {
    let dir = scratch("header");
    fs::write(dir.join("policy.toml"), include_str!("../config/minimal.toml")).unwrap();
    let signer = fs::read_to_string("tests/config/policy-no-rules/signer.toml").unwrap();
    let taken = [
        "host",
        "date",
        "content-type",
        "content-md5",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        "via",
        "forwarded",
        "x-forwarded-for",
        "accept",
        "accept-language",
        "cookie",
        "authorization",
        "user-agent",
        "origin",
        "referer",
        "range",
        "if-match",
        "if-none-match",
        "expect",
        "x-request-id",
        "sec-fetch-site",
        "x-lc-key",
    ];
    for (header, free) in
        taken.map(|header| (header, false)).into_iter().chain([("x-api-key", true), ("api-key", true)])
    {
        fs::write(dir.join("signer.toml"), format!("{signer}\nheader = \"{header}\"\n")).unwrap();
        let loaded = load(&dir.join("signer.toml"));
        assert_eq!(loaded.settings.is_some(), free, "{header}: {}", loaded.report.render(false));
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let loaded = load(Path::new("tests/config/nowhere/signer.toml"));
    assert!(loaded.settings.is_none());
    let expected = "\
error: the configuration is this file, which does not exist
--> tests/config/nowhere/signer.toml
 = help: name a file with --config, start in a directory with a signer.toml, or write one with `chat-signer init VENDOR`
";
    let said = loaded.report.render(false);
    assert_eq!(
        said.lines().filter(|line| line.trim() != "|").collect::<Vec<_>>(),
        expected.lines().collect::<Vec<_>>()
    );
    assert!(load(Path::new("tests/config")).report.has_mistakes());
    assert!(load(Path::new("")).report.has_mistakes());
}

#[test]
fn nesting_and_size_do_no_harm() {
    let dir = scratch("deep");
    for text in ["x = ".to_owned() + &"[".repeat(20_000), "[a.".to_owned() + &"a.".repeat(20_000), "\u{feff}".into()] {
        fs::write(dir.join("signer.toml"), text).unwrap();
        assert!(load(&dir.join("signer.toml")).report.has_mistakes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_it_panic(edits in proptest::collection::vec(edit(), 1..6), of_policy: bool) {
        let dir = scratch("mutated");
        let (one, other) = if of_policy { ("policy.toml", "signer.toml") } else { ("signer.toml", "policy.toml") };
        fs::write(dir.join(other), fs::read(other).unwrap()).unwrap();
        let mut bytes = fs::read(one).unwrap();
        for edit in &edits {
            apply(&mut bytes, edit);
        }
        fs::write(dir.join(one), bytes).unwrap();
        let loaded = load(&dir.join("signer.toml"));
        prop_assert_eq!(loaded.settings.is_some(), !loaded.report.has_mistakes());
        let _ = (loaded.report.render(true), loaded.report.render(false), loaded.report.json());
    }
}

/// Where, how long, and what to do there.
#[derive(Clone, Debug)]
enum Edit {
    Remove(usize, usize),
    Repeat(usize, usize),
    Swap(usize, usize),
    Put(usize, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = 0..20_000_usize;
    prop_oneof![
        (at.clone(), 1..40_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (at.clone(), 1..40_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
        (at.clone(), at.clone()).prop_map(|(one, other)| Edit::Swap(one, other)),
        (at, prop::sample::select(b"\"'[]{}=.,#\n\\*: 0a\xff\x00".to_vec())).prop_map(|(at, byte)| Edit::Put(at, byte)),
    ]
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let end = bytes.len();
    if end == 0 {
        return;
    }
    match *edit {
        Edit::Remove(at, length) => drop(bytes.drain(at % end..(at % end + length).min(end))),
        Edit::Repeat(at, length) => bytes.extend_from_within(at % end..(at % end + length).min(end)),
        Edit::Swap(one, other) => bytes.swap(one % end, other % end),
        Edit::Put(at, byte) => bytes[at % end] = byte,
    }
}

/// The cases, with the rights on their secrets that a careful operator would give.
fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/config").unwrap().map(|entry| entry.unwrap().path());
    // Its report is that of a program without the feature.
    let applies = |path: &PathBuf| path.is_dir() && !(cfg!(feature = "otlp") && path.ends_with("traces"));
    let mut cases: Vec<_> = entries.filter(applies).collect();
    cases.sort();
    assert!(cases.len() > 10);
    for file in cases.iter().flat_map(|case| fs::read_dir(case).unwrap()).map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "secret") {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    cases
}

/// A directory of one test's own.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}
