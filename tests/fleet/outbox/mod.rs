//! What is carried to vendors and webhooks, through real sockets: fake vendors that keep what they are told and check how, and that
//! answer, stall, fail and cut connections; and what they end up with is what the moderation entries says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ably;
mod agora;
mod centrifugo;
mod dead_letters;
mod fairness;
mod killed;
mod lagging;
mod leancloud;
mod livekit;
mod places;
mod pusher;
mod recovery;
mod stopping;
mod stream;
mod talkjs;
mod tencent;
mod webhooks;
mod world;
