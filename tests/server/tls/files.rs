//! What is wrong with the files that `tls` names.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use chat_signer::config::{LoadResult, Severity, load};

use crate::common::lay_out;
use crate::tls::authority::{Authority, client, uri, valid};

const SIGNER: &str = r#"
[server]
{listen}
hosts = ["localhost"]
tls = { cert = "tls.crt", key = {key}, client_ca = "ca.crt" }

[admin]
tls = { cert = "tls.crt", key = "tls.key" }

[apps.talkjs]
vendor = "talkjs"
app_id = "fake-app"
secret_key = { env = "FAKE_APP_KEY" }

[[authenticators]]
name = "mesh"
type = "mtls"
caller = "service"
san = "uri"
subjects = [{ name = "spiffe://example.com/orders", subject = "orders" }]
"#;

const POLICY: &str = r#"
roles = ["member"]

[[rules]]
id = "any"
effect = "allow"
actions = ["login"]
callers = ["service"]
client = "any"
"#;

/// A configuration, and the three files that it names.
pub(crate) struct Files {
    signer: String,
    cert: String,
    key: String,
    ca: String,
}

impl Files {
    pub(crate) fn sound() -> Files {
        let authority = Authority::new("fake authority");
        let (cert, key) = authority.server().pem();
        let signer = SIGNER.replace("{listen}", "").replace("{key}", "\"tls.key\"");
        Files { signer, cert, key, ca: authority.pem().to_owned() }
    }

    /// With these authorities.
    pub(crate) fn trusting(authorities: &[&Authority]) -> Files {
        Files { ca: authorities.iter().map(|authority| authority.pem()).collect(), ..Files::sound() }
    }

    pub(crate) fn load(&self) -> LoadResult {
        self.load_with_mode(0o600)
    }

    fn load_with_mode(&self, mode: u32) -> LoadResult {
        let files = [("tls.crt", self.cert.as_str()), ("tls.key", &self.key), ("ca.crt", &self.ca)];
        let directory = lay_out(&self.signer, POLICY, &files);
        fs::set_permissions(directory.join("tls.key"), fs::Permissions::from_mode(mode)).unwrap();
        let loaded = load(&directory.join("signer.toml"));
        let _ = fs::remove_dir_all(directory);
        loaded
    }
}

#[test]
fn sound_files_are_read() {
    let loaded = Files::sound().load();
    assert_eq!(loaded.report.render(false), "");
    let settings = loaded.settings.unwrap();
    // As far as these certificates go where nothing is said.
    let untils = [settings.server.tls, settings.admin.tls].map(|tls| tls.unwrap().valid_until.to_string());
    assert_eq!(untils, ["4096-01-01T00:00:00.000Z"; 2]);
}

#[test]
fn each_flaw_is_named() {
    let sound = Files::sound();
    let (other_cert, other_key) = Authority::new("fake other").server().pem();
    let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let cert = |cert: String, flaw: &'static str| (Files { cert, ..Files::sound() }, "`cert` names \"tls.crt\"", flaw);
    let key = |key: String, flaw: &'static str| {
        (Files { key, cert: sound.cert.clone(), ..Files::sound() }, "`key` names \"tls.key\"", flaw)
    };
    let ca =
        |ca: String| (Files { ca, ..Files::sound() }, "`client_ca` names \"ca.crt\"", "which holds no certificates");
    for (files, at, flaw) in [
        cert(String::new(), "which holds no certificates"),
        cert(sound.key.clone(), "which holds no certificates"),
        cert(pem("CERTIFICATE", "AAAA"), "whose first certificate can't be read"),
        cert(pem("CERTIFICATE", "----"), "which is not PEM"),
        cert(sound.cert[..sound.cert.len() / 2].to_owned(), "which is not PEM"),
        cert(sound.cert.clone() + "-----BEGIN CERTIFICATE-----\n", "which is not PEM"),
        key(String::new(), "which holds no private key"),
        key(sound.cert.clone(), "which holds no private key"),
        key(sound.key[..sound.key.len() / 2].to_owned(), "which is not PEM"),
        key(sound.key.clone() + &other_key, "which holds more than one private key"),
        key(other_key.clone(), "which is not the key of the certificate in `cert`"),
        key(pem("PRIVATE KEY", "AAAA"), "whose key can't be used"),
        key(pem("ENCRYPTED PRIVATE KEY", "AAAA"), "whose key is encrypted"),
        key(
            pem("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA"),
            "whose key is encrypted",
        ),
        ca(String::new()),
        ca(sound.key.clone()),
        ca(pem("CERTIFICATE", "AAAA")),
        ca(sound.ca.clone() + &pem("CERTIFICATE", "AAAA")),
    ] {
        let loaded = files.load();
        let said = loaded.report.render(false);
        assert!(loaded.settings.is_none() && said.contains(at) && said.contains(flaw), "{at} {flaw}: {said}");
    }
    let swapped = Files { cert: other_cert, ..Files::sound() };
    assert!(swapped.load().report.render(false).contains("which is not the key"));
}

#[test]
fn a_key_in_the_file_itself_is_not_repeated() {
    let sound = Files::sound();
    let signer = SIGNER.replace("{listen}", "").replace("{key}", &format!("'''\n{}'''", sound.key));
    let loaded = Files { signer, ..sound }.load();
    let said = loaded.report.render(false);
    assert!(said.contains("the secret `key` must not be written in this file"), "{said}");
    let body = Files::sound().key.lines().nth(1).unwrap()[..8].to_owned();
    assert!(!said.contains(&body) && !format!("{loaded:?}").contains(&body), "{said}");
}

#[test]
fn the_key_is_nowhere_to_be_seen() {
    let sound = Files::sound();
    let shown = format!("{:?}", sound.load());
    for line in sound.key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!shown.contains(line));
    }
    assert!(!shown.contains("PrivateKey") && !shown.contains("SigningKey"), "{shown}");
}

#[test]
fn a_certificate_out_of_its_time_is_a_warning() {
    let authority = Authority::new("fake authority");
    for (from, to, flaw) in [
        (2020, 2021, "expired at 2021-01-01T00:00:00.000Z"),
        (2090, 2091, "is not valid before 2090-01-01T00:00:00.000Z"),
    ] {
        let (cert, key) = authority.sign(&valid(client(vec![uri("fake:server")]), from, to)).pem();
        let loaded = Files { cert, key, ..Files::sound() }.load();
        let said = loaded.report.render(false);
        assert!(loaded.settings.is_some() && said.contains(flaw), "{said}");
        assert_eq!(loaded.report.count(Severity::Warning), 2, "one for each listener: {said}");
    }
}

#[test]
fn a_key_that_everyone_can_read_is_a_warning() {
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 2)] {
        let loaded = Files::sound().load_with_mode(mode);
        assert!(loaded.settings.is_some());
        assert_eq!(loaded.report.count(Severity::Warning), warnings, "{mode:o}");
        let said = loaded.report.render(false);
        assert_eq!(
            said.contains("`key` needs the file \"tls.key\", which everyone on this machine can read"),
            warnings > 0
        );
    }
}

#[test]
fn a_unix_socket_has_no_tls() {
    let sound = Files::sound();
    let signer = SIGNER.replace("{listen}", "listen = \"unix:s.sock\"").replace("{key}", "\"tls.key\"");
    let said = Files { signer, ..sound }.load().report.render(false);
    assert!(said.contains("`tls` can't be used with a Unix socket"), "{said}");
}

#[test]
fn authorities_and_callers_belong_together() {
    let sound = Files::sound();
    let signer = sound.signer.replace(", client_ca = \"ca.crt\"", "");
    let said = Files { signer, ..Files::sound() }.load().report.render(false);
    assert!(said.contains("no caller can use this authenticator: [server] accepts no client certificates"), "{said}");
    let start = sound.signer.find("[[authenticators]]").unwrap();
    let api_key = "[[authenticators]]\nname = \"backend\"\ntype = \"api-key\"\ncaller = \"service\"\nkeys = [{ id = \"orders\", \
                   sha256 = \"0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0\" }]\n";
    let signer = format!("{}{api_key}", &sound.signer[..start]);
    let said = Files { signer, ..Files::sound() }.load().report.render(false);
    assert!(said.contains("`client_ca` has no effect"), "{said}");
    let jwt = "[[authenticators]]\nname = \"users\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"https://id.example.com/\"\n\
               audience = [\"chat\"]\nalgorithms = [\"RS256\"]\ndiscovery = true\n";
    let signer = format!("{}{jwt}", &sound.signer[..start]);
    let said = Files { signer, ..Files::sound() }.load().report.render(false);
    assert!(said.contains("it only serves tokens that are bound to a certificate (cnf)"), "{said}");
}
