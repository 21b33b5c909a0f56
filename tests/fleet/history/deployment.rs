//! Three servers, and the Redis or the group of Redis servers that they share.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use super::parameters::MAX_STALENESS;
use crate::common::{Server, Setup, until};
use crate::group::{NAME, RedisGroup};
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::servers::fleet::{accept, banned};
use crate::world::POLICY;

/// The Redis of a deployment.
pub(super) enum Backend {
    /// One server behind a proxy.
    Single(Redis, Proxy),
    /// Three servers and a Sentinel.
    Group(RedisGroup),
}

pub(super) struct Deployment {
    pub(super) servers: Vec<Option<Server>>,
    pub(super) backend: Backend,
    /// Where the clients send requests.
    pub(super) addresses: Arc<RwLock<Vec<SocketAddr>>>,
}

impl Deployment {
    pub(super) fn single() -> Option<Deployment> {
        let redis = Redis::start()?;
        let proxy = Proxy::before(&redis.socket());
        let files = vec![("redis.url", format!("redis://{}", proxy.address))];
        Some(Deployment::start(Backend::Single(redis, proxy), "", &files))
    }

    pub(super) fn group() -> Option<Deployment> {
        let group = RedisGroup::start()?;
        let files = vec![
            ("redis.url", format!("redis://{NAME}")),
            ("sentinel.url", format!("redis://{}", group.sentinel().unwrap().address())),
        ];
        let lines = "sentinels = { file = \"sentinel.url\" }\ndurability = \"replica\"\nreplicas = \"all\"\n";
        Some(Deployment::start(Backend::Group(group), lines, &files))
    }

    fn start(backend: Backend, lines: &str, files: &[(&'static str, String)]) -> Deployment {
        let store = "[store]\ntype = \"redis\"\nurl = { file = \"redis.url\" }\n";
        let more = format!("{store}{lines}max_staleness = \"{}s\"\n", MAX_STALENESS.as_secs());
        let server = || {
            let files = [files, &[("policy.toml", POLICY.to_owned())]].concat();
            Some(Server::with(Setup { files, ..Setup::more(&more) }))
        };
        let servers = vec![server(), server(), server()];
        let addresses = servers.iter().flatten().map(|server| server.main).collect();
        let deployment = Deployment { servers, backend, addresses: Arc::new(RwLock::new(addresses)) };
        deployment.accept(&["--empty"]);
        deployment.wait_until_ready();
        deployment
    }

    /// Accepts the store, as an operator does.
    pub(super) fn accept(&self, arguments: &[&str]) {
        let accepted = accept(self.servers[0].as_ref().unwrap(), arguments);
        assert!(accepted.status.success(), "{accepted:?}");
    }

    pub(super) fn wait_until_ready(&self) {
        if let Backend::Group(group) = &self.backend {
            group.wait_until_settled();
        }
        until("all servers are ready", || self.servers.iter().flatten().all(Server::is_ready));
    }

    /// Returns the users that each server lists as banned, as soon as all lists are the same.
    pub(super) fn banned(&self) -> BTreeSet<String> {
        let mut lists = BTreeSet::new();
        until("all servers list the same bans", || {
            lists = self.servers.iter().flatten().map(banned).collect();
            lists.len() == 1
        });
        lists.into_iter().next().unwrap()
    }

    /// Kills a server and starts it again.
    pub(super) fn restart_server(&mut self, place: usize) {
        let server = self.servers[place].take().unwrap();
        server.signal("-KILL");
        let server = Server::run(server.killed(), Setup::default());
        self.addresses.write().unwrap()[place] = server.main;
        self.servers[place] = Some(server);
    }
}
