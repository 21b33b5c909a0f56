//! The context of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::request_id::RequestId;
use crate::authn::ConnectionPeer;
use crate::config::Settings;
use crate::model::Millis;
use crate::server::state::{ServerState, Snapshot};
use crate::telemetry::trace::TraceContext;

/// The context of one request: the values that every step of answering it reads.
pub(super) struct RequestContext<'a> {
    pub(super) runtime: &'a Arc<ServerState>,
    /// The snapshot that was current when the request arrived. The request uses it until its end.
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) settings: &'a Settings,
    /// The peer of the connection.
    pub(super) peer: &'a Arc<ConnectionPeer>,
    /// The IP address of the client, taken from forwarding headers as far as the proxies are trusted.
    pub(super) address: IpAddr,
    pub(super) id: &'a RequestId,
    /// The trace context of the request, if the request has one.
    pub(super) trace: Option<&'a Arc<TraceContext>>,
    pub(super) began: Instant,
    pub(super) now: Millis,
}

/// An owned copy of [`RequestContext`], for work that continues after the client has left.
pub(super) struct OwnedRequestContext {
    pub(super) runtime: Arc<ServerState>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) peer: Arc<ConnectionPeer>,
    pub(super) address: IpAddr,
    pub(super) id: RequestId,
    pub(super) trace: Option<Arc<TraceContext>>,
    pub(super) began: Instant,
    pub(super) now: Millis,
}

impl RequestContext<'_> {
    pub(super) fn to_owned_context(&self) -> OwnedRequestContext {
        let (runtime, snapshot) = (Arc::clone(self.runtime), Arc::clone(self.snapshot));
        let (peer, id, trace) = (Arc::clone(self.peer), self.id.clone(), self.trace.cloned());
        OwnedRequestContext {
            runtime,
            snapshot,
            peer,
            address: self.address,
            id,
            trace,
            began: self.began,
            now: self.now,
        }
    }
}

impl OwnedRequestContext {
    pub(super) fn as_context(&self) -> RequestContext<'_> {
        RequestContext {
            runtime: &self.runtime,
            snapshot: &self.snapshot,
            settings: &self.snapshot.settings,
            peer: &self.peer,
            address: self.address,
            id: &self.id,
            trace: self.trace.as_ref(),
            began: self.began,
            now: self.now,
        }
    }
}
