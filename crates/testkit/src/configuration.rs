//! The configuration and the policy of most tests, and the directories that hold them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use chat_signer_core::crypto::{hex, sha256};

/// The folder of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The secret of the authenticator `app-users`.
pub const CALLER_SECRET: &str = "obviously-fake-caller-secret-for-tests-0123456789abcdef0123456789abcdef";
/// The API key of the service `orders`.
pub const SERVICE_KEY: &str = "obviously-fake-service-key-for-tests";

/// `signer.toml`. Names in braces are replaced.
pub(crate) const CONFIGURATION: &str = r#"
[server]
listen = "{listen}"
{server}

[admin]
listen = "127.0.0.1:0"
{admin}

[policy]
file = "policy.toml"

[shutdown]
drain_delay = "0s"
grace = "20s"

[apps.leancloud]
vendor = "leancloud"
app_id = "fake-leancloud-app"
master_key = { file = "leancloud.secret" }

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-talkjs-app"
secret_key = { file = "talkjs.secret" }

[apps.ably]
vendor = "ably"
key = { file = "ably.secret" }
capability = { "user:{client}" = ["subscribe"] }

[[authenticators]]
name = "app-users"
type = "jwt"
caller = "user"
issuer = "https://id.example.com/"
audience = ["chat"]
algorithms = ["HS256"]
secret = { file = "caller.secret" }

[[authenticators]]
name = "backend"
type = "api-key"
caller = "service"
header = "x-api-key"
keys = [{ id = "orders", sha256 = "{service_hash}" }]

{more}
"#;

/// `policy.toml`.
pub(crate) const POLICY: &str = r#"
roles = ["member", "owner"]

[[rules]]
id = "everyone"
effect = "allow"
actions = ["login", "create", "join", "leave", "subscribe"]

[[rules]]
id = "owners"
effect = "allow"
actions = ["kick"]
roles = ["owner"]
reason = "Only owners remove members."

[[bans]]
user = "mallory"
reason = "spam"
"#;

/// Makes an empty directory.
pub fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("chat-signer-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    // An earlier process with the same id may have left a store there.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Writes a configuration, its policy and the files that it names into a new directory.
pub fn lay_out(configuration: &str, policy: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = directory();
    for (name, text) in [("signer.toml", configuration), ("policy.toml", policy)].iter().chain(files) {
        fs::write(directory.join(name), text).unwrap();
    }
    directory
}

/// Copies the shipped demonstration into a new directory. The copy listens on ports that the system chooses. Each pair in `changes`
/// is a text in `signer.toml` and its replacement.
pub fn demonstration(changes: &[(&str, &str)]) -> PathBuf {
    let root = Path::new(ROOT);
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let ports = [("127.0.0.1:7480", "127.0.0.1:0"), ("127.0.0.1:7481", "127.0.0.1:0")];
    let configuration = ports.iter().chain(changes).fold(read("signer.toml"), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    let directory = lay_out(&configuration, &read("policy.toml"), &[]);
    fs::create_dir_all(directory.join("deploy/demo")).unwrap();
    for secret in [
        "leancloud",
        "talkjs",
        "ably",
        "stream",
        "centrifugo",
        "livekit",
        "pusher",
        "tencent",
        "agora",
        "jwt",
        "caller",
    ]
    .map(|name| format!("deploy/demo/{name}.secret"))
    {
        fs::copy(root.join(&secret), directory.join(&secret)).unwrap();
    }
    directory
}

/// Returns the SHA-256 of an API key in the form of the configuration.
pub fn hash(key: &str) -> String {
    hex(&sha256(key.as_bytes()))
}
