//! What the tests of misuse share: servers with a configuration of their own, callers' tokens of any make, and requests of any bytes.

#![allow(dead_code, unreachable_pub)]

pub mod request;
pub mod token;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{self, Server, Setup};

/// Secrets of the apps, all obviously fake.
pub const LEANCLOUD: &str = "fake-leancloud-master-key";
pub const TALKJS: &str = "fake-talkjs-secret-key-0123456789abcdef";
pub const ABLY: &str = "fakeapp.fakekey:fake-ably-secret-0123456789abcdef";

/// Starts a server of this configuration and policy. Files that the configuration names stand beside it.
pub fn serve(configuration: &str, policy: &str, files: &[(&str, &str)]) -> Server {
    let directory = lay_out(configuration, policy, files);
    let path = directory.join("signer.toml").display().to_string();
    Server::run(directory, &path, Setup::default())
}

/// Puts a configuration, its policy and its files into a directory of their own.
pub fn lay_out(configuration: &str, policy: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = common::directory();
    write(&directory, "signer.toml", configuration);
    write(&directory, "policy.toml", policy);
    for (name, text) in files {
        write(&directory, name, text);
    }
    directory
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text).unwrap();
}

/// The SHA-256 of an API key, as the configuration has it.
pub fn hash(key: &str) -> String {
    chat_signer::crypto::hex(&chat_signer::crypto::sha256(key.as_bytes()))
}
