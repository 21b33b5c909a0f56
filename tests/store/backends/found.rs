//! How a store's Redis is found, and let in to: by TLS, password and rights, behind Sentinels, in a cluster.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chat_signer::clock;
use chat_signer::config::{ClientIdentity, RedisAddress, RedisServer, RedisSettings};
use chat_signer::moderation::store::{AttemptResult, NewChange};
use chat_signer::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::backends::bed::{LONG, Scratch, ask, at, claim, commit, eventually, put};
use crate::backends::faults::{begun, cluster, keys, listening, open, pair};
use crate::group::sentinel;
use crate::redis::{DURABLE, Redis, free_port};

const PASSWORD: &str = "fake-Password/0123";

/// The address of a server on this machine.
pub fn tcp(port: u16) -> RedisAddress {
    RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port, tls: false }
}

fn with(password: &str, settings: RedisSettings) -> RedisSettings {
    let password = Some(Secret::new(password.into()));
    let servers = settings.servers.into_iter().map(|server| RedisServer { password: password.clone(), ..server });
    RedisSettings { servers: servers.collect(), ..settings }
}

/// Writes a certificate for this machine and its key there, and returns the authority that it comes from.
fn certificates(directory: &Path) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose name is its issuer's for its own issuer.
    params.distinguished_name.push(DnType::CommonName, "fake authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
    fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    authority.der().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_a_password_are_spoken() {
    let scratch = Scratch::quick();
    let authority = certificates(&scratch.0);
    let file = |name: &str| scratch.0.join(name).display().to_string();
    let (cert, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let tls = ["--tls-port", "{port}", "--port", "0", "--tls-cert-file", &cert, "--tls-key-file", &key];
    let clients = ["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no", "--requirepass", PASSWORD];
    let Some(redis) = Redis::on_port(&[&DURABLE[..], &tls, &clients].concat()) else { return };

    for host in ["localhost", "127.0.0.1"] {
        let address = RedisAddress::Tcp { host: host.to_owned(), port: redis.port.unwrap(), tls: true };
        let settings = RedisSettings { authorities: vec![authority.clone()], ..at(address.clone()) };
        let store = begun(with(PASSWORD, settings.clone())).await;
        commit(&store, put("ban/tom", "1")).await;

        let others = certificates(&Scratch::quick().0);
        for (why, settings) in [
            ("refuses the user or the password", with("fake-wrong-password", settings.clone())),
            ("Redis requires a password, and the URL has none", settings),
            ("certificate", with(PASSWORD, at(address.clone()))),
            ("certificate", with(PASSWORD, RedisSettings { authorities: vec![others], ..at(address) })),
            ("redis.sock", with(PASSWORD, at(RedisAddress::Unix(scratch.0.join("redis.sock"))))),
        ] {
            let flaw = open(settings).await.head().await.unwrap_err().message;
            assert!(flaw.contains(why), "{why}: {flaw}");
            assert!(!flaw.contains("assword/0123") && !flaw.contains("fake-wrong"), "{flaw}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_a_certificate_is_shown_one() {
    let scratch = Scratch::quick();
    let authority = certificates(&scratch.0);
    let file = |name: &str| scratch.0.join(name).display().to_string();
    let (cert, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
    let tls = ["--tls-port", "{port}", "--port", "0", "--tls-cert-file", &cert, "--tls-key-file", &key];
    let Some(redis) = Redis::on_port(&[&DURABLE[..], &tls, &["--tls-ca-cert-file", &ca]].concat()) else { return };
    let address = RedisAddress::Tcp { host: "localhost".to_owned(), port: redis.port.unwrap(), tls: true };
    let anonymous = RedisSettings { authorities: vec![authority], ..at(address) };
    assert!(open(anonymous.clone()).await.head().await.is_err());

    let der = |name: &str| pem(&fs::read_to_string(file(name)).unwrap());
    let identity = ClientIdentity { chain: vec![der("cert.pem")], key: Secret::new(der("key.pem")) };
    let store = begun(RedisSettings { identity: Some(identity), ..anonymous }).await;
    commit(&store, put("ban/tom", "1")).await;
}

/// What is between the lines of dashes.
fn pem(text: &str) -> Vec<u8> {
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).unwrap()
}

/// The rights that the documentation says are needed.
fn rights() -> Vec<String> {
    let text = fs::read_to_string("docs/configuration.md").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("`~{chat-signer:}*")).unwrap();
    let rights = line.split('`').next().unwrap();
    ["~{chat-signer:}*"]
        .into_iter()
        .chain(rights.split(' '))
        .filter(|right| !right.is_empty())
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_that_are_documented_are_enough() {
    let Some(redis) = Redis::on_port(&DURABLE) else { return };
    let rights = rights();
    let mut words = vec!["ACL", "SETUSER", "signer", "on", ">fake-Password/0123", "resetchannels", "-@all"];
    words.extend(rights.iter().map(String::as_str));
    redis.ask::<()>(&words);
    redis.ask::<()>(&["ACL", "SETUSER", "default", "off"]);
    let server = RedisServer {
        address: tcp(redis.port.unwrap()),
        database: 0,
        user: Some("signer".to_owned()),
        password: Some(Secret::new(PASSWORD.into())),
    };
    let settings = RedisSettings { servers: vec![server], ..at(tcp(redis.port.unwrap())) };
    let store = begun(settings).await;
    let mut hints = listening(&store).await;
    commit(&store, NewChange { jobs: ask(&["enforce:a"], "").jobs, ..put("ban/tom", "1") }).await;
    tokio::time::timeout(crate::backends::faults::BOUND, hints.changed()).await.unwrap().unwrap();
    store.accept().await.unwrap();
    let job = claim(&store, "me", LONG).await.remove(0);
    assert!(store.set_checkpoint("me", &job, "before", Some("Read".to_owned())).await.unwrap());
    assert_eq!(store.checkpoint("before").await.unwrap().as_deref(), Some("Read"));
    assert!(store.complete("me", &job, &AttemptResult::Done, clock::now()).await.unwrap());
    assert_eq!(keys(&store).await, ["ban/tom"]);
    store.changes_since(0).await.unwrap();
    assert_eq!(store.durable_head().await.unwrap().version, 1);
    store.now().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_made_though_nobody_may_be_told_of_it() {
    let Some(redis) = Redis::on_port(&DURABLE) else { return };
    redis.ask::<()>(&["ACL", "SETUSER", "default", "resetchannels"]);
    let store = begun(at(tcp(redis.port.unwrap()))).await;
    assert_eq!(commit(&store, put("ban/tom", "1")).await.version, 1);
    store.accept().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_know_the_primary() {
    let Some((mut primary, replica)) = pair().await else { return };
    let sentinel = sentinel(&primary);
    let told = RedisAddress::Tcp { host: "mymaster".to_owned(), port: 6379, tls: false };
    let nobody = at(tcp(free_port())).servers;
    let sentinels = [nobody, at(tcp(sentinel.port.unwrap())).servers].concat();
    let store = begun(RedisSettings { sentinels: sentinels.clone(), ..at(told) }).await;
    let last = commit(&store, put("ban/tom", "1")).await;
    let known = || async {
        let replicas: Vec<Vec<String>> = sentinel.ask(&["SENTINEL", "REPLICAS", "mymaster"]);
        let has = replica.ask::<u64>(&["HLEN", "{chat-signer:}entries"]) == 1;
        (has && replicas.len() == 1 && replicas[0].windows(2).any(|pair| pair == ["master-link-status", "ok"]))
            .then_some(())
    };
    eventually("the replica, known to the Sentinel", known).await;

    primary.kill();
    let made = eventually("a change at the new primary", || async {
        let on = store.head().await.ok().filter(|head| *head == last)?;
        store.commit(&on, put("ban/jerry", "1"), clock::now()).await.ok()
    });
    assert_eq!(made.await.version, 2);
    assert_eq!(replica.ask::<u64>(&["HLEN", "{chat-signer:}entries"]), 2);

    let other = RedisAddress::Tcp { host: "another".to_owned(), port: 6379, tls: false };
    let unknown = open(RedisSettings { sentinels, ..at(other) }).await;
    let flaw = unknown.head().await.unwrap_err().message;
    assert!(flaw.contains("knows no primary with the name another"), "{flaw}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_of_a_cluster_leads_to_the_store() {
    let Some(nodes) = cluster().await else { return };
    for (number, node) in nodes.iter().enumerate() {
        let store = begun(at(tcp(node.port.unwrap()))).await;
        let mut hints = listening(&store).await;
        let jobs = ask(&["enforce:a"], "").jobs;
        let made = commit(&store, NewChange { jobs, ..put(&format!("ban/{number}"), "1") }).await;
        assert_eq!(made.version, number as u64 + 1);
        tokio::time::timeout(crate::backends::faults::BOUND, hints.changed()).await.unwrap().unwrap();
        let job = claim(&store, "me", LONG).await.remove(0);
        assert!(store.complete("me", &job, &AttemptResult::Done, clock::now()).await.unwrap());
        assert_eq!(keys(&store).await.len(), number + 1);
    }
}
