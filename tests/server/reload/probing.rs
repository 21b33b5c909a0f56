//! Whether a server is ready has nothing to do with what has become of its files since.

use std::fs;
use std::process::{Command, Output};

use crate::common::Server;
use crate::reload::{edit, replace, until_refused};

/// Asks the server by its configuration and these further arguments.
fn probe(server: &Server, further: &[&str]) -> Output {
    let configuration = server.directory.join("signer.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-signer"));
    command.args(["probe", "--config"]).arg(configuration).args(further).output().unwrap()
}

/// A server whose configuration says where its admin listener really is.
fn started() -> Server {
    let server = Server::start();
    let admin = |address: &str| format!("[admin]\nlisten = \"{address}\"");
    edit(&server.directory.join("signer.toml"), &admin("127.0.0.1:0"), &admin(&server.admin.to_string()));
    server
}

#[test]
fn a_probe_needs_no_more_of_the_configuration_than_where_to_ask() {
    let server = started();
    let file = |name: &str| server.directory.join(name);
    let is_ready = |after: &str| {
        let output = probe(&server, &[]);
        assert!(output.status.success() && output.stdout.starts_with(b"[+] serving: ok\n"), "{after}: {output:?}");
    };
    is_ready("the start");
    replace(&file("policy.toml"), "rlues = []");
    until_refused(&server, "policy.toml");
    is_ready("a mistake in the policy");
    fs::remove_file(file("leancloud.secret")).unwrap();
    is_ready("a secret was removed");
    assert!(Command::new("mkfifo").arg(file("leancloud.secret")).status().unwrap().success());
    is_ready("a secret became a pipe");
    edit(&file("signer.toml"), "[apps.leancloud]", "[apps.leancloud");
    is_ready("a mistake in the configuration");
}

#[test]
fn a_probe_that_is_told_where_to_ask_reads_nothing() {
    let server = started();
    replace(&server.directory.join("signer.toml"), "[admin\nlisten = ");
    let address = server.admin.to_string();
    assert!(probe(&server, &["--admin", &address]).status.success());
    let output = probe(&server, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("signer.toml") && said.contains("this is not TOML"), "{said}");
    fs::remove_file(server.directory.join("signer.toml")).unwrap();
    assert!(probe(&server, &["--admin", &address]).status.success());
    let said = String::from_utf8(probe(&server, &[]).stderr).unwrap();
    assert!(said.contains("which does not exist"), "{said}");
}
