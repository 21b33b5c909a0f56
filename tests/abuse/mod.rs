//! What the tests of misuse share: servers with a configuration of their own, callers' tokens of any make, and requests of any bytes.

#![allow(dead_code, unreachable_pub)]

pub mod detector;
pub mod request;
pub mod token;
pub mod traced;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{self, Server, Setup};

/// Secrets of the apps, all obviously fake, and unlike anything that is said of them.
pub const LEANCLOUD: &str = "NotReal-Zephyr7Quokka3Marmalade9Obelisk";
pub const TALKJS: &str = "NotReal-Tapir4Saffron8Gondola2Wharf";
pub const ABLY: &str = "NotReal-Walrus5Thimble1Pergola6Quince";

/// The secrets' files, by their usual names.
pub const SECRETS: [(&str, &str); 3] = [
    ("leancloud.secret", LEANCLOUD),
    ("talkjs.secret", TALKJS),
    ("ably.secret", "fakeapp.fakekey:NotReal-Walrus5Thimble1Pergola6Quince"),
];

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
