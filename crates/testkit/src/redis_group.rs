//! A primary with two replicas and a Sentinel.

use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::redis::{DURABLE, Redis};
use crate::{LONG, until};

/// The name of the primary in Sentinel.
pub const NAME: &str = "mymaster";

/// Three servers, of which one is the primary, and a Sentinel that knows them.
pub struct RedisGroup {
    /// The servers.
    pub redis: Vec<Redis>,
    sentinel: Option<Redis>,
}

impl RedisGroup {
    /// Starts the group with `min-replicas-to-write 1`. Returns `None` if `redis-server` is not installed.
    pub fn start() -> Option<RedisGroup> {
        let arguments = [&DURABLE[..], &["--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1"]].concat();
        let primary = Redis::on_port(&arguments)?;
        let port = primary.port.unwrap().to_string();
        let follow = [&arguments[..], &["--replicaof", "127.0.0.1", &port]].concat();
        let redis = vec![primary, Redis::on_port(&follow)?, Redis::on_port(&follow)?];
        let group = RedisGroup { sentinel: Some(sentinel(&redis[0])), redis };
        group.wait_until_settled();
        Some(group)
    }

    /// Returns the Sentinel, if it runs.
    pub fn sentinel(&self) -> Option<&Redis> {
        self.sentinel.as_ref()
    }

    /// Makes Sentinel begin a planned failover. Sentinel refuses it while an earlier one is in progress.
    pub fn fail_over(&self) {
        let sentinel = self.sentinel.as_ref().unwrap();
        until("Sentinel begins a failover", || sentinel.try_ask::<()>(&["SENTINEL", "FAILOVER", NAME]).is_ok());
    }

    /// Ends the Sentinel.
    pub fn end_sentinel(&mut self) {
        self.sentinel = None;
    }

    /// Waits until one server is the primary, and both others follow it. If there is a Sentinel, it knows this.
    pub fn wait_until_settled(&self) {
        let began = Instant::now();
        while !self.is_settled() {
            // Sentinel takes 10 seconds until it makes an old primary a replica.
            assert!(began.elapsed() < LONG * 3, "there is no primary with two replicas");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_settled(&self) -> bool {
        let primaries = self.redis.iter().filter(|redis| is_primary(redis)).count();
        let following = self.redis.iter().filter(|redis| is_following(redis)).count();
        (primaries, following) == (1, 2) && self.sentinel.as_ref().is_none_or(knows_two_replicas)
    }

    /// Returns the place of the primary. During a failover, there may be none for a moment.
    pub fn primary(&self) -> usize {
        let mut place = None;
        until("there is a primary", || {
            place = self.redis.iter().position(is_primary);
            place.is_some()
        });
        place.unwrap()
    }
}

/// Starts a Sentinel that watches a primary.
pub fn sentinel(primary: &Redis) -> Redis {
    let file = primary.directory.join("sentinel.conf");
    let watched = format!("sentinel monitor {NAME} 127.0.0.1 {} 1\n", primary.port.unwrap());
    let patience = format!("sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 10000\n");
    fs::write(&file, watched + &patience).unwrap();
    Redis::sentinel(&file).unwrap()
}

fn knows_two_replicas(sentinel: &Redis) -> bool {
    let replicas: Vec<Vec<String>> = sentinel.ask(&["SENTINEL", "REPLICAS", NAME]);
    let has = |replica: &[String], field: &[&str; 2]| replica.windows(2).any(|pair| pair == field);
    let is_good = |one: &&Vec<String>| has(one, &["master-link-status", "ok"]) && has(one, &["flags", "slave"]);
    replicas.iter().filter(is_good).count() == 2
}

fn is_following(redis: &Redis) -> bool {
    info(redis).contains("master_link_status:up")
}

fn is_primary(redis: &Redis) -> bool {
    info(redis).contains("role:master")
}

/// Returns what a server says about its replication. Empty: it does not answer.
fn info(redis: &Redis) -> String {
    redis.try_ask(&["INFO", "replication"]).unwrap_or_default()
}
