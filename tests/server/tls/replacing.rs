//! Certificates and authorities that are replaced while the server runs.

use std::fs;
use std::time::Instant;

use crate::common::{LONG, Server, get, until};
use crate::tls::authority::{Authority, Identity, uri};
use crate::tls::callers::{ORDERS, mtls, subject};
use crate::tls::client::{World, login};

/// Puts these in the place of the server's certificate and the clients' authorities.
fn replace(server: &Server, identity: &Identity, authorities: &[&Authority]) {
    let (cert, key) = identity.pem();
    let ca: String = authorities.iter().map(|authority| authority.pem()).collect();
    for (name, text) in [("tls.crt", cert), ("tls.key", key), ("clients.crt", ca)] {
        fs::write(server.directory.join(name), text).unwrap();
    }
    server.signal("-HUP");
}

/// Waits until the server shows a certificate of this world's authority.
fn until_shown(world: &World, server: &Server) {
    let began = Instant::now();
    while world.client().connect(server.main).is_err() {
        assert!(began.elapsed() < LONG, "the old certificate stays");
    }
}

#[test]
fn certificate_and_authorities_are_replaced_without_a_restart() {
    let [old, new] = [World::new(), World::new()];
    let server = old.serve(&mtls("uri", &subject(ORDERS, "orders")));
    let [early, late] = [&old, &new].map(|world| world.clients.client(uri(ORDERS)));
    let resuming = old.client_as(&early);
    assert_eq!(resuming.login(&server, "").status, 200);
    let mut kept = old.client_as(&early).keep(&server);
    assert_eq!(kept.ask(&login("")).status, 200);

    replace(&server, &new.servers.server(), &[&new.clients, &old.clients]);
    until_shown(&new, &server);
    assert_eq!(kept.ask(&login("")).status, 200, "its authority is still there");
    assert_eq!(new.client_as(&late).login(&server, "").status, 200);

    let last = World::new();
    replace(&server, &last.servers.server(), &[&new.clients]);
    until_shown(&last, &server);
    let answer = kept.ask(&login(""));
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "its authority was withdrawn");
    assert!(answer.body.contains("no longer valid"), "{}", answer.body);
    assert_eq!(kept.ask(&get("/v1/talkjs/token", "tom")).status, 200, "but the connection stays");
    // The authorities have the same name, so it is the signature that doesn't hold.
    assert!(last.client_as(&early).refused(&server).contains("DecryptError"));
    assert!(resuming.connect(server.main).is_err(), "no session leads past the new certificate");
    assert_eq!(last.client_as(&late).login(&server, "").status, 200);
}

#[test]
fn files_that_do_not_fit_together_change_nothing() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    let client = world.client_as(&world.clients.client(uri(ORDERS)));
    let others = World::new();
    fs::write(server.directory.join("tls.key"), others.servers.server().pem().1).unwrap();
    server.signal("-HUP");
    let began = Instant::now();
    while !server.admin("/readyz?verbose").body.contains("[!] server.tls: the earlier values are in force: ") {
        assert!(began.elapsed() < LONG, "it is not noticed");
    }
    assert_eq!(client.login(&server, "").status, 200);
    // The rest of a change takes force, such as a ban.
    fs::write(
        server.directory.join("policy.toml"),
        "roles = [\"member\"]\n[[rules]]\nid = \"no-login\"\neffect = \"deny\"\nactions = [\"login\"]\n",
    )
    .unwrap();
    server.signal("-HUP");
    until("the policy has changed", || client.login(&server, "").status == 403);
    replace(&server, &others.servers.server(), &[&world.clients]);
    until_shown(&others, &server);
}

#[test]
fn tls_is_neither_added_nor_taken_away() {
    let world = World::new();
    let server = world.serve("");
    let path = server.directory.join("signer.toml");
    let text = fs::read_to_string(&path).unwrap();
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("tls =")).collect();
    fs::write(path, without.join("\n")).unwrap();
    let refusal = "`server.tls` can't be changed from on to off";
    until("it is refused", || server.admin("/readyz?verbose").body.contains(refusal));
    assert!(world.client().connect(server.main).is_ok());
}
