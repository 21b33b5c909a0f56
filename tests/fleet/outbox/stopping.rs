//! The real program, told to stop while callers are still being answered: it begins to carry nothing that it would have to break off.

use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::common::{self, SERVICE_KEY, Server, Setup, request, until};
use crate::outbox::killed::POLICY;
use crate::receiver::Receiver;
use crate::server::Fault;

const SECRET: &[u8] = b"obviously-fake-secret-of-a-webhook";

fn start(store: &Path, receiver: &Receiver) -> Server {
    let more = format!(
        "[store]\ntype = \"redb\"\npath = \"{}\"\n[[webhooks]]\nurl = \"{}\"\nsecret = {{ file = \"hook.secret\" }}\n",
        store.display(),
        receiver.url()
    );
    let files = vec![("policy.toml", POLICY.to_owned()), ("hook.secret", format!("whsec_{}", STANDARD.encode(SECRET)))];
    let server = Server::with(Setup { files, ..Setup::more(&more) });
    until("the moderation entries is read", || server.is_ready());
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_while_it_stops_is_left_to_who_comes_next() {
    let receiver = Receiver::knowing(SECRET).await;
    receiver.server.fail("POST", "/hooks", usize::MAX, Fault::Stall);
    let home = common::directory();
    let store = home.join("store.redb");
    let mut server = start(&store, &receiver);
    let stuck = server.in_progress();
    let body = json!({ "users": ["tom"] }).to_string();
    let length = format!("content-length: {}\r\nexpect: 100-continue\r\n", body.len());
    let headers = format!("x-api-key: {SERVICE_KEY}\r\ncontent-type: application/json\r\n{length}");
    let mut ban = server.connect();
    ban.send(&request("POST", "/v1/moderation/bans", &headers, ""));
    assert_eq!(ban.head().status, 100);

    server.signal("-TERM");
    until("it takes no more connections", || TcpStream::connect(server.main).is_err());
    ban.send(&body);
    assert_eq!(ban.read().status, 200);
    // For as long as that takes, which is longer than it would take to begin.
    assert!((0..100).all(|_| server.admin("/livez").status == 200));
    drop((ban, stuck));
    server.wait();
    assert_eq!(receiver.server.total(), 0);

    receiver.server.heal();
    let _next = start(&store, &receiver);
    until("it is told", || receiver.taken().len() == 1);
    assert_eq!(receiver.server.total(), 1);
    std::fs::remove_dir_all(home).unwrap();
}
