//! Hints that the store has possibly changed. They arrive on a separate connection.

use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, cmd};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{interval, sleep};

use super::connect::{PushSender, RedisConnection, RedisServers};
use crate::moderation::store::StoreUnavailable;
use crate::random;

/// The interval of the checks that the connection is alive.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The delay after the first failure, and the maximum delay.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Listens without end. Messages during a connection loss are lost, so each new connection also counts as a hint.
pub(super) async fn listen(servers: Arc<RedisServers>, hint: watch::Sender<u64>) {
    let (mut pause, mut is_refused) = (RETRY_DELAYS.0, false);
    loop {
        let (sender, pushes) = unbounded_channel();
        if let Ok(connection) = connect(&servers, sender).await {
            let subscribed = subscribe(&servers, &connection).await;
            log_subscription(&subscribed, &mut is_refused);
            if subscribed.is_ok() {
                hint.send_modify(|hint| *hint += 1);
                pause = RETRY_DELAYS.0;
                forward_hints(&connection, pushes, &hint).await;
            }
        }
        sleep(random::with_jitter(pause)).await;
        pause = (pause * 2).min(RETRY_DELAYS.1);
    }
}

/// Opens a connection that owns the only sender of push messages. So the receiver ends with the connection.
async fn connect(servers: &Arc<RedisServers>, pushes: PushSender) -> Result<RedisConnection, StoreUnavailable> {
    servers.connect_to_primary(Some(&pushes)).await
}

async fn subscribe(servers: &RedisServers, connection: &RedisConnection) -> Result<(), StoreUnavailable> {
    let mut subscribe = cmd("SUBSCRIBE");
    subscribe.arg(&servers.keys.channel);
    connection.query(&subscribe).await
}

/// Logs when a reachable server begins to refuse the subscription, and when it accepts again.
fn log_subscription(subscribed: &Result<(), StoreUnavailable>, is_refused: &mut bool) {
    match subscribed {
        Err(StoreUnavailable { message, .. }) if !*is_refused => {
            tracing::warn!("changes by other processes are noticed late: Redis refuses the subscription: {message}");
        }
        Ok(()) if *is_refused => tracing::info!("changes by other processes are noticed immediately again"),
        _ => {}
    }
    *is_refused = subscribed.is_err();
}

/// Forwards hints until the connection is lost.
async fn forward_hints(
    connection: &RedisConnection,
    mut pushes: UnboundedReceiver<PushInfo>,
    hint: &watch::Sender<u64>,
) {
    let mut pulse = interval(PING_INTERVAL);
    loop {
        tokio::select! {
            push = pushes.recv() => match push.map(|push| push.kind) {
                Some(PushKind::Message) => hint.send_modify(|hint| *hint += 1),
                Some(PushKind::Disconnection) | None => return,
                Some(_) => {}
            },
            _ = pulse.tick() => {
                if connection.query::<()>(&cmd("PING")).await.is_err() {
                    return;
                }
            }
        }
    }
}
