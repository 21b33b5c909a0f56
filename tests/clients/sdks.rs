//! The vendors' own SDKs against the program: runs what stands in `tests/sdk`, which needs Node.js and its packages (`npm ci` there).
//!
//! Without them it says so and passes, so that Rust alone is enough to test the rest; with `CI=true` it fails.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use chat_signer::environment;

#[test]
fn the_sdks_work_unchanged() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    if let Err(missing) = ready(&folder) {
        let skipped = format!("SKIPPED: the tests with the vendors' SDKs were not run: {missing}");
        assert!(environment::get("CI").is_none_or(|ci| ci != "true"), "{skipped}");
        // Past the test harness, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stderr(), "{skipped}");
        return;
    }
    let arguments = ["--test", "--test-force-exit", "--test-timeout=120000", "--test-reporter=spec"];
    let node = Command::new("node")
        .args(arguments)
        .current_dir(folder)
        .env("CHAT_SIGNER", env!("CARGO_BIN_EXE_chat-signer"))
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&node.stdout), String::from_utf8_lossy(&node.stderr));
    assert!(node.status.success(), "{said}\n{complaint}");
    // Not that no tests were found.
    assert!(!said.contains("ℹ pass 0\n") && said.contains("ℹ fail 0\n"), "{said}");
}

/// What is missing, if anything is.
fn ready(folder: &std::path::Path) -> Result<(), &'static str> {
    let node = Command::new("node").arg("--version").output();
    let version = node.map_err(|_| "there is no `node`; install Node.js 20 or newer")?.stdout;
    let major = String::from_utf8_lossy(&version).trim_start_matches('v').split('.').next().map(str::parse::<u32>);
    if !matches!(major, Some(Ok(20..))) {
        return Err("`node` is too old; install Node.js 20 or newer");
    }
    if !folder.join("node_modules/ably").exists() {
        return Err("there are no packages; run `npm ci` in tests/sdk");
    }
    Ok(())
}
