//! What the tests of misuse share: servers with a configuration of their own, callers' tokens of any make, and requests of any bytes.

#![allow(dead_code, unreachable_pub)]

pub mod detector;
pub mod request;
pub mod token;
pub mod traced;

use crate::common::{Server, Setup};
#[allow(unused_imports)]
pub use crate::common::{hash, lay_out};

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
    Server::run(lay_out(configuration, policy, files), Setup::default())
}
