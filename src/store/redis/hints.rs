//! Hints that the store may have changed, on a connection of their own.

use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, cmd};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{interval, sleep};

use super::connect::{PushSender, RedisConnection, RedisServers};
use crate::random;
use crate::store::StoreUnavailable;

/// How often the connection is asked whether it still is one.
const PULSE: Duration = Duration::from_secs(5);

/// How long to wait after the first failure, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Listens for ever. What was told while there was no connection can't be known, so a new one is a hint by itself.
pub(super) async fn listen(servers: Arc<RedisServers>, hint: watch::Sender<u64>) {
    let (mut pause, mut is_refused) = (PAUSES.0, false);
    loop {
        let (sender, pushes) = unbounded_channel();
        if let Ok(connection) = connected(&servers, sender).await {
            let subscribed = subscribe(&servers, &connection).await;
            log(&subscribed, &mut is_refused);
            if subscribed.is_ok() {
                hint.send_modify(|hint| *hint += 1);
                pause = PAUSES.0;
                follow(&connection, pushes, &hint).await;
            }
        }
        sleep(random::jittered(pause)).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// A connection that alone has where its pushes go, so that they end with it.
async fn connected(servers: &Arc<RedisServers>, pushes: PushSender) -> Result<RedisConnection, StoreUnavailable> {
    servers.primary(Some(&pushes)).await
}

async fn subscribe(servers: &RedisServers, connection: &RedisConnection) -> Result<(), StoreUnavailable> {
    let mut subscribe = cmd("SUBSCRIBE");
    subscribe.arg(&servers.keys.channel);
    connection.ask(&subscribe).await
}

/// Logs it when a server that can be had begins to refuse, and when that is over.
fn log(subscribed: &Result<(), StoreUnavailable>, is_refused: &mut bool) {
    match subscribed {
        Err(StoreUnavailable { message, .. }) if !*is_refused => {
            tracing::warn!("what other processes change is heard of late: Redis doesn't tell this one: {message}");
        }
        Ok(()) if *is_refused => tracing::info!("what other processes change is heard of at once again"),
        _ => {}
    }
    *is_refused = subscribed.is_err();
}

/// Passes hints on until the connection is lost.
async fn follow(connection: &RedisConnection, mut pushes: UnboundedReceiver<PushInfo>, hint: &watch::Sender<u64>) {
    let mut pulse = interval(PULSE);
    loop {
        tokio::select! {
            push = pushes.recv() => match push.map(|push| push.kind) {
                Some(PushKind::Message) => hint.send_modify(|hint| *hint += 1),
                Some(PushKind::Disconnection) | None => return,
                Some(_) => {}
            },
            _ = pulse.tick() => {
                if connection.ask::<()>(&cmd("PING")).await.is_err() {
                    return;
                }
            }
        }
    }
}
