//! Callers on this machine, told apart by the system: the user and group of the process at the other end of a Unix socket.

use std::sync::Arc;

use serde_json::Map;

use super::{Common, ConnectionPeer, PeerAddress, ProcessIds};
use crate::model::Caller;

/// Takes processes by their ids.
#[derive(Debug)]
pub struct UnixPeer {
    /// What all authenticators have.
    pub common: Common,
    /// The effective user ids that are accepted; `None` is all.
    pub uids: Option<Vec<u32>>,
    /// The effective group ids that are accepted; `None` is all.
    pub gids: Option<Vec<u32>>,
    /// What its callers are called; without it, each by its user id: `uid-1000`.
    pub subject: Option<String>,
}

impl UnixPeer {
    /// The caller, if it is one of those accepted.
    pub(super) fn identify(&self, peer: &ConnectionPeer) -> Option<Arc<Caller>> {
        let PeerAddress::Unix(Some(ids)) = peer.socket else { return None };
        let subject = || self.subject.clone().unwrap_or_else(|| format!("uid-{}", ids.uid));
        self.accepts(ids).then(|| self.common.caller(subject(), Map::new(), Vec::new()))
    }

    /// Whether one of its callers could be called this.
    pub(super) fn may_be(&self, subject: &str) -> bool {
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
