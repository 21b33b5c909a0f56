//! A configuration that is replaced while the program runs: what counts when, and what doesn't.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod carried;
mod files;
mod keys;
mod load;
mod partial;
mod probing;
mod settings;

use std::fs;
use std::path::Path;

use crate::common::{Server, post, until};

/// Waits until the admin listener says this of a part of the configuration that is not in force.
fn until_refused(server: &Server, why: &str) {
    until(why, || {
        let answer = server.admin("/readyz?verbose");
        assert_eq!(answer.status, 200, "a mistake is no reason not to be ready: {}", answer.body);
        answer.body.lines().any(|line| line.starts_with("[!] ") && line.contains(why))
    });
}

/// Waits until the files are in force, as far as the admin listener knows.
fn until_accepted(server: &Server) {
    let is_kept = |body: &str| body.contains("[!] configuration") || body.contains("the earlier values are in force");
    until("the configuration is in order", || !is_kept(&server.admin("/readyz?verbose").body));
}

/// Whether tom may do this in the app.
fn may(server: &Server, action: &str) -> bool {
    match server
        .ask(&post(&format!("/v1/leancloud/{action}"), "tom", r#"{"conv_id": "5f3c2a1b9e8d7c6b5a493827"}"#))
        .status
    {
        200 => true,
        403 => false,
        other => panic!("{other}"),
    }
}

/// A policy in which tom may do this alone.
fn policy(action: &str) -> String {
    format!("roles = [\"member\"]\n[[rules]]\nid = \"only\"\neffect = \"allow\"\nactions = [\"{action}\"]\n")
}

/// A server where tom may join, and do nothing else.
fn started() -> Server {
    let server = Server::start();
    replace(&server.directory.join("policy.toml"), &policy("join"));
    until("the policy has changed", || !may(&server, "leave"));
    server
}

/// Puts a file in place of another, as editors do.
fn replace(path: &Path, text: &str) {
    let draft = path.with_extension("new");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

/// Changes a file by what is between `from` and `to`.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    replace(path, &text.replace(from, to));
}
