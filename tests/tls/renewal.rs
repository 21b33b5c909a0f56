//! Certificates that are replaced while the program runs.

use std::fs;

use rustls::pki_types::CertificateDer;

use crate::authority::{Identity, uri};
use crate::client::{Client, World, login};
use crate::common::{Server, until};

const MESH: &str = r#"
[[authenticators]]
name = "mesh"
type = "mtls"
caller = "user"
san = "uri"
subjects = [{ name = "spiffe://example.com/tom", subject = "tom" }]
"#;

/// The certificate that the server shows to a new client.
fn shown(server: &Server, client: &Client) -> CertificateDer<'static> {
    let stream = client.connect(server.main).unwrap();
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn replace(server: &Server, name: &str, text: &str) {
    let draft = server.directory.join("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, server.directory.join(name)).unwrap();
}

fn refuses(server: &Server, flaw: &str) -> bool {
    server.admin("/readyz?verbose").body.lines().any(|line| line.starts_with("[!]") && line.contains(flaw))
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let world = World::new();
    let server = world.serve(MESH);
    let identity = world.clients.client(uri("spiffe://example.com/tom"));
    let client = world.client_as(&identity);
    let mut kept = client.keep(&server);
    assert_eq!(kept.ask(&login("")).status, 200);
    let old = shown(&server, &client);

    let new: Identity = world.servers.server();
    let (cert, key) = new.pem();
    replace(&server, "tls.key", &key);
    until("the key alone is refused", || refuses(&server, "which is not the key of the certificate"));
    assert_eq!(shown(&server, &client), old);
    replace(&server, "tls.crt", &cert);
    until("the new one is shown", || shown(&server, &client) == new.chain()[0]);
    assert_eq!((kept.ask(&login("")).status, client.login(&server, "").status), (200, 200));
}

#[test]
fn tls_is_neither_added_nor_taken_away() {
    let world = World::new();
    let server = world.serve("");
    let path = server.directory.join("signer.toml");
    let text = fs::read_to_string(&path).unwrap();
    let without: Vec<_> = text.lines().filter(|line| !line.starts_with("tls =")).collect();
    replace(&server, "signer.toml", &without.join("\n"));
    until("it is refused", || refuses(&server, "`server.tls` can't be changed from on to off"));
    assert!(world.client().connect(server.main).is_ok());
}
