//! Readers of events who come back after much has happened.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use chat_signer::clock;
use chat_signer::config::{Durability, RedisAddress, RedisServer, RedisSettings, StoreKind, StoreSettings};
use chat_signer::moderation::store::{NewChange, Store, StoreHead};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::common::{LONG, until};
use crate::redis::Redis;
use crate::servers::fleet::{Fleet, NEVER};
use crate::world::Service;

const MIB: u64 = 1 << 20;

/// How many changes were missed, each with an event of one MiB.
const MISSED: u64 = 150;

/// Makes changes as another server does.
fn write(redis: &Redis) -> StoreHead {
    Runtime::new().unwrap().block_on(async {
        let server =
            RedisServer { address: RedisAddress::Unix(redis.socket()), database: 0, user: None, password: None };
        let settings = RedisSettings {
            servers: vec![server],
            sentinels: Vec::new(),
            prefix: "chat-signer:".to_owned(),
            durability: Durability::Fsync,
            max_clock_offset: Duration::from_secs(30),
            authorities: Vec::new(),
            identity: None,
        };
        let settings =
            StoreSettings { kind: StoreKind::Redis(settings), max_staleness: Duration::from_secs(60), record: None };
        let store = Store::open(&settings).await.unwrap();
        let mut head = store.head().await.unwrap();
        for number in 1..=MISSED {
            let event = json!({ "type": "ban.created", "number": number, "data": "x".repeat(1 << 20) }).to_string();
            let commit = NewChange { events: vec![event], ..NewChange::default() };
            let change = store.commit(&head, commit, clock::now()).await.unwrap();
            head = StoreHead { version: change.version, change: change.id, ..head };
        }
        head
    })
}

#[test]
fn who_missed_much_is_told_without_it_being_held_in_memory() {
    let Some(redis) = Redis::start() else { return };
    let fleet = Fleet::on(&redis, NEVER);
    let head = write(&redis);
    let server = &fleet.servers[0];
    let version = format!("chat_signer_moderation_version {}", head.version);
    until("it has caught up", || server.admin("/metrics").body.contains(&version));
    let (before, mut most) = (server.memory(), 0);
    let mut stream = TcpStream::connect(server.main).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let last = format!("\r\nlast-event-id: {}-1-0\r\n\r\n", head.epoch);
    stream.write_all(Service.request("GET", "events", None).replace("\r\n\r\n", &last).as_bytes()).unwrap();
    let mut told = 0;
    for line in BufReader::new(stream).lines().map(Result::unwrap) {
        if line.starts_with("data: ") {
            told += 1;
            assert!(line.contains(&format!("\"number\":{told},")), "{told}: {}", &line[line.len() - 80..]);
            most = most.max(server.memory());
        }
        if told == MISSED {
            break;
        }
    }
    let more = most.saturating_sub(before) / MIB;
    println!("{MISSED} MiB of events were told with {more} MiB of memory");
    assert!(more < 80, "{more} MiB");
}
