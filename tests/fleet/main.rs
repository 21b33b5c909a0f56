//! Several servers with one Redis, and the enforcement of their decisions at vendors and webhooks.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod history;
mod outbox;
mod servers;
#[allow(dead_code)]
#[path = "../moderation/routes/world.rs"]
mod world;

use chat_signer_testkit as common;
use chat_signer_testkit::fake_server as server;
use chat_signer_testkit::fake_vendors as vendors;
use chat_signer_testkit::redis;
use chat_signer_testkit::redis_group as group;
use chat_signer_testkit::redis_proxy as proxy;
use chat_signer_testkit::webhook_receiver as receiver;
