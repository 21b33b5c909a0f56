//! What of the configuration can change, and what can't.

use std::fs;

use crate::common::{Server, Setup};
use crate::{edit, may, until, until_accepted, until_refused};

#[test]
fn what_holds_from_start_to_end_is_named() {
    let server = Server::with(Setup::more("[audit]\nto = \"audit.log\""));
    let path = server.directory.join("signer.toml");
    let good = fs::read_to_string(&path).unwrap();
    let policy = server.directory.join("policy.toml");
    edit(&policy, "\"join\"", "\"history\"");
    until("the policy has changed", || !may(&server, "join"));
    for (from, to, key) in [
        ("[server]\nlisten = \"127.0.0.1:0\"", "[server]\nlisten = \"127.0.0.1:1\"", "server.listen"),
        ("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:1\"", "admin.listen"),
        ("to = \"audit.log\"", "to = \"other.log\"", "audit.to"),
    ] {
        edit(&policy, "\"history\"", "\"join\"");
        edit(&path, from, to);
        until_refused(&server, &format!("`{key}` can't be changed"));
        assert!(!may(&server, "join"), "nothing else of it counts either");
        edit(&policy, "\"join\"", "\"history\"");
        edit(&path, to, from);
        until_accepted(&server);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
    assert!(!server.directory.join("other.log").exists());
}
