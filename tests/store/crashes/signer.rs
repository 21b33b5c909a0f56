//! The program, with a store in a file and a log of who changed what.

use std::path::PathBuf;
use std::process::Stdio;

use crate::common::{SERVICE_KEY, Server, Setup, hash, lay_out, until};
use crate::vendors::{ABLY_KEYS, APP_ID, KEY};

const CONFIGURATION: &str = r#"
[server]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[policy]
file = "policy.toml"

[store]
type = "redb"
path = "moderation.redb"

[audit]
to = "audit.log"

[shutdown]
drain_delay = "0s"

[limits]
per_caller = "100000/s"
per_address = "100000/s"

[apps.leancloud]
vendor = "leancloud"
app_id = "{app_id}"
master_key = { file = "key.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "{app_id}"
secret_key = { file = "key.secret" }

[apps.ably]
vendor = "ably"
key = [{ file = "ably-new.secret" }, { file = "ably-old.secret" }]
revocable = true

[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "{service_hash}" }]
"#;

const POLICY: &str = r#"
roles = ["guest", "member", "moderator", "manager", "owner"]

[[rules]]
id = "services-moderate"
effect = "allow"
actions = ["ban", "unban", "mute", "unmute", "set-role", "manage-conversation", "read-moderation", "block-conversation", "unblock-conversation"]
callers = ["service"]
client = "any"
"#;

/// A directory with all that the program needs, and these further sections.
pub(crate) fn home(more: &str) -> PathBuf {
    let filled = CONFIGURATION.replace("{app_id}", APP_ID).replace("{service_hash}", &hash(SERVICE_KEY));
    let files = [("key.secret", KEY), ("ably-new.secret", ABLY_KEYS[0]), ("ably-old.secret", ABLY_KEYS[1])];
    lay_out(&format!("{filled}{more}"), POLICY, &files)
}

/// The program in this directory, ready.
pub(crate) fn start(directory: PathBuf) -> Server {
    let server = Server::run(directory, Setup { audit: Stdio::null(), ..Setup::default() });
    until("it is ready", || server.is_ready());
    server
}
