//! The admin listener with TLS, and `probe`, which asks it.

use std::fs;
use std::process::{Command, Output};

use crate::common::{Connection, Server, Setup};
use crate::tls::client::World;

fn server(world: &World) -> Server {
    let setup = world.setup("");
    let admin = "tls = { cert = \"tls.crt\", key = \"tls.key\" }".to_owned();
    Server::with(Setup { admin, ..setup })
}

fn probe(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chat-signer")).arg("probe").args(arguments).output().unwrap()
}

#[test]
fn probes_are_answered_over_tls() {
    let world = World::new();
    let server = server(&world);
    let mut connection = Connection::on(world.client().connect(server.admin).unwrap());
    let answer = connection.ask("GET /readyz?verbose HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, "[+] serving: ok\n[+] audit: ok\n"));
}

#[test]
fn the_probe_speaks_tls() {
    let world = World::new();
    let server = server(&world);
    let address = format!("https://{}", server.admin);
    let output = probe(&["--admin", &address]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"[+] serving: ok\n[+] audit: ok\n");

    let ca = server.directory.join("servers.crt");
    fs::write(&ca, world.servers.pem()).unwrap();
    let ca = ca.to_str().unwrap();
    let others = server.directory.join("clients.crt");
    for (further, ready) in [
        (&["--ca", ca][..], true),
        (&["--ca", ca, "--server-name", "localhost"], true),
        (&["--ca", ca, "--server-name", "example.com"], false),
        (&["--ca", others.to_str().unwrap()], false),
        (&["--ca", "nowhere"], false),
        (&["--ca", "Cargo.toml"], false),
        (&["--ca", ca, "--server-name", "no name"], false),
    ] {
        let output = probe(&[&["--admin", &address], further].concat());
        assert_eq!(output.status.code(), Some(i32::from(!ready)), "{further:?}: {output:?}");
    }
    assert_eq!(probe(&["--admin", &server.admin.to_string()]).status.code(), Some(1), "it speaks TLS alone");
    assert_eq!(probe(&["--admin", "https://192.0.2.1:7481"]).status.code(), Some(2), "not without an authority");
    assert_eq!(probe(&["--server-name", "localhost"]).status.code(), Some(2));
}
