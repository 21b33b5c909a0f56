//! Runs the tests of `tests/browser`: the playground, pages of other origins and the vendors' SDKs, in headless Chromium.
//!
//! They take Node.js 20 or newer, Debian's `chromium` (or another at `$CHROMIUM`), and `npm ci` in that directory and in `tests/sdk`. Where
//! something is not there they are skipped, which is said out loud; not with `CI=true`, where that is a failure.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chat_signer::environment::get;

#[test]
fn pages_in_chromium() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let lacking = lacking(&home);
    if !lacking.is_empty() {
        return skip(&lacking.join(" and "));
    }
    let ran = Command::new("node")
        .args(["--test", "--test-force-exit", "--test-timeout=900000", "--test-reporter=spec"])
        .args(tests(&home))
        .env("CHAT_SIGNER", env!("CARGO_BIN_EXE_chat-signer"))
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(ran.status.success(), "{said}");
    assert!(!said.contains("ℹ pass 0"), "nothing was tested:\n{said}");
}

/// What it takes and isn't there.
fn lacking(home: &Path) -> Vec<String> {
    let runs = |program: &str| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let chromium = get("CHROMIUM").map_or_else(|| "/usr/bin/chromium".to_owned(), |path| path.to_string_lossy().into());
    let programs = ["node".to_owned(), chromium].into_iter().filter(|program| !runs(program));
    let packages =
        ["node_modules", "../sdk/node_modules"].map(|path| home.join(path)).into_iter().filter(|path| !path.is_dir());
    programs.chain(packages.map(|path| path.display().to_string())).collect()
}

/// Says so past the test harness, which keeps what a passing test prints to itself.
fn skip(lacking: &str) {
    assert!(get("CI").is_none_or(|ci| ci != "true"), "there is no {lacking}, and with CI=true nothing is skipped");
    let _ = writeln!(std::io::stderr(), "SKIPPED: the tests in Chromium, as there is no {lacking}");
}

fn tests(home: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    let mut tests: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(".test.js")).collect();
    tests.sort();
    tests
}
