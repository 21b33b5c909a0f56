//! Callers on this machine. The operating system identifies the user and group of the process at the other end of a
//! Unix socket.

use std::sync::Arc;

use serde_json::Map;

use super::common::Common;
use super::request_credentials::{ConnectionPeer, PeerAddress, ProcessIds};
use crate::model::Caller;

/// Accepts processes by their user and group ids.
#[derive(Debug)]
pub struct UnixPeer {
    /// The settings that all authenticators have.
    pub common: Common,
    /// The accepted effective user ids; `None` means all.
    pub uids: Option<Vec<u32>>,
    /// The accepted effective group ids; `None` means all.
    pub gids: Option<Vec<u32>>,
    /// The subject of all callers. Without it, each subject contains the user id: `uid-1000`.
    pub subject: Option<String>,
}

impl UnixPeer {
    /// Returns the caller, if its ids are accepted.
    pub(super) fn identify(&self, peer: &ConnectionPeer) -> Option<Arc<Caller>> {
        let PeerAddress::Unix(Some(ids)) = peer.address else { return None };
        let subject = || self.subject.clone().unwrap_or_else(|| format!("uid-{}", ids.uid));
        self.accepts(ids).then(|| self.common.caller(subject(), Map::new(), Vec::new()))
    }

    /// Returns whether a caller of this authenticator can have this subject.
    pub(super) fn can_have_subject(&self, subject: &str) -> bool {
        if let Some(own) = &self.subject {
            return own == subject;
        }
        let uid = subject.strip_prefix("uid-").and_then(|uid| uid.parse::<u32>().ok());
        let listed = |uid: &u32| self.uids.as_ref().is_none_or(|uids| uids.contains(uid));
        uid.filter(listed).is_some_and(|uid| subject == format!("uid-{uid}"))
    }

    fn accepts(&self, ProcessIds { uid, gid }: ProcessIds) -> bool {
        let holds = |list: &Option<Vec<u32>>, id| list.as_ref().is_none_or(|list| list.contains(&id));
        (self.uids.is_some() || self.gids.is_some()) && holds(&self.uids, uid) && holds(&self.gids, gid)
    }
}
