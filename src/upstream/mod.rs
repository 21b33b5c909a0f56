//! The HTTP client, and the requests to other servers while this server runs: to issuers for keys, to introspection
//! servers for sessions, and to facts servers for facts about conversations.

mod client;
mod connector;
mod facts;
mod freshness;
mod keys;
mod query_client;
mod response_cache;
mod sessions;
#[cfg(feature = "otlp")]
mod spans;
mod upstreams;

pub use client::{ClientBuildError, ClientError, SOCKET_URL, UpstreamClient, read, tls_config};
pub use facts::FactsUnavailable;
pub use keys::KeySetStatus;
pub use query_client::{ExchangeOutcome, UpstreamError};
#[cfg(feature = "otlp")]
pub use spans::{Span, SpanExporter};
pub use upstreams::Upstreams;
