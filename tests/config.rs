//! Every mistake and warning that the configuration can hold, as it is reported.
//!
//! Each directory in `tests/config` is a case: a `signer.toml`, mostly with a policy of its own, and the report that it gets. Write the
//! reports anew with `UPDATE_EXPECTED=1 cargo test --test config`, and read what changed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chat_signer::config::{Severity, load};
use chat_signer::environment;
use proptest::prelude::*;

#[test]
fn every_case_is_reported_as_expected() {
    let update = environment::variable("UPDATE_EXPECTED").is_some();
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
        let report = load(&case.join("signer.toml")).report;
        for text in [report.render(false), report.render(true), report.json().to_string(), format!("{report:?}")] {
            let folded = text.to_lowercase();
            assert!(!folded.contains("canary") && !folded.contains("4242424242"), "{case:?}: {text}");
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
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/config").unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() > 10);
    cases
}
