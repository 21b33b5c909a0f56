//! What goes on from one configuration to the next.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::common::{Answer, Server, Setup, post, request, until};
use crate::reload::keys::{SigningKey, authenticator};
use crate::reload::{edit, may, policy, replace};

/// A server that gives everyone this answer, and counts how often.
struct Known {
    address: SocketAddr,
    count: Arc<AtomicUsize>,
}

impl Known {
    fn saying(body: String) -> Known {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let known = Known { address: listener.local_addr().unwrap(), count: Arc::default() };
        let count = Arc::clone(&known.count);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut line = String::new();
                while stream.read_line(&mut line).unwrap_or(0) > 2 {
                    line.clear();
                }
                count.fetch_add(1, Ordering::Relaxed);
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                let _ = stream.get_mut().write_all(format!("{head}{body}").as_bytes());
            }
        });
        known
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

fn login(server: &Server, headers: &str) -> Answer {
    let json = "content-type: application/json\r\n";
    server.ask(&request("POST", "/v1/leancloud/login", &format!("{headers}{json}"), "{}"))
}

#[test]
fn keys_that_were_fetched_are_not_fetched_again() {
    let (one, other) = (SigningKey::new("one"), SigningKey::new("other"));
    let (first, second) = (Known::saying(one.set()), Known::saying(other.set()));
    let server = Server::with(Setup::more(&authenticator(&format!("url = \"http://{}/\"", first.address))));
    until("it is ready", || server.is_ready());
    assert_eq!(login(&server, &one.bearer()).status, 200);
    edit(&server.directory.join("policy.toml"), "\"join\", ", "");
    until("the policy has changed", || !may(&server, "join"));
    assert_eq!(login(&server, &one.bearer()).status, 200);
    assert_eq!(first.count(), 1);

    // Requests wait for the keys of the other one, and none is refused for that.
    server.change(&first.address.to_string(), &second.address.to_string());
    assert_eq!(login(&server, &other.bearer()).status, 200);
    assert_eq!((first.count(), second.count()), (1, 1));
    assert_eq!(login(&server, &one.bearer()).status, 401);
}

#[test]
fn keys_that_are_new_and_can_not_be_had_are_no_reason_not_to_be_ready() {
    let key = SigningKey::new("one");
    let server = Server::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = authenticator(&format!("url = \"http://{nobody}/\""));
    server.change("[[authenticators]]\nname = \"backend\"", &format!("{more}\n[[authenticators]]\nname = \"backend\""));
    assert_eq!(login(&server, &key.bearer()).status, 503);
    let ready = server.admin("/readyz?verbose");
    assert!(ready.status == 200 && ready.body.contains("[!] keys: the keys of asymmetric from"), "{}", ready.body);
    assert!(may(&server, "join"));
}

#[test]
fn what_was_said_of_a_session_is_remembered_until_it_means_something_else() {
    let backend = Known::saying("{\"id\": \"tom\", \"other\": \"ann\"}".to_owned());
    let session = "[[authenticators]]\nname = \"session\"\ntype = \"introspection\"\ncaller = \"user\"\nsubject = \"/id\"\n\
                   subject_prefix = \"s-\"\ncache = \"1h\"\nforward = { cookies = [\"sid\"] }\n";
    let server = Server::with(Setup::more(&format!("{session}url = \"http://{}/me\"", backend.address)));
    assert_eq!(login(&server, "cookie: sid=fake\r\n").status, 200);
    server.change("grace = \"20s\"", "grace = \"10s\"");
    assert_eq!((login(&server, "cookie: sid=fake\r\n").status, backend.count()), (200, 1));
    server.change("subject = \"/id\"", "subject = \"/other\"");
    assert_eq!((login(&server, "cookie: sid=fake\r\n").status, backend.count()), (200, 2));
}

#[test]
fn a_request_keeps_what_was_in_force_when_it_came() {
    let server = Server::start();
    let mut begun = server.in_progress();
    replace(&server.directory.join("policy.toml"), &policy("join"));
    until("the policy has changed", || server.ask(&post("/v1/leancloud/login", "tom", "{}")).status == 403);
    assert_eq!(begun.ask("{}").status, 200);
    assert_eq!(begun.ask(&post("/v1/leancloud/login", "tom", "{}")).status, 403, "the next one in the same connection");
}

#[test]
fn places_stay_taken_when_their_number_changes() {
    let server = Server::with(Setup::more("[limits]\nmax_connections = 3"));
    let mut kept: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut kept {
        assert_eq!(connection.ask(&request("GET", "/livez", "", "")).status, 200);
    }
    server.change("max_connections = 3", "max_connections = 2");
    kept.pop();
    assert_eq!(server.connect().rest(), "", "there are two already");
    edit(&server.directory.join("signer.toml"), "max_connections = 2", "max_connections = 4");
    until("there is room", || {
        server.admin("/livez");
        kept.iter_mut().all(|connection| connection.ask(&request("GET", "/livez", "", "")).status == 200)
            && server.said().matches("is in force").count() == 2
    });
    assert!(may(&server, "join"));
}
