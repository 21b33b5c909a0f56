//! `[[authenticators]]` with `type = "unix-peer"`.

use super::reader::Section;
use super::text;
use crate::authn::{Common, UnixPeer};

/// Reads all keys of the section except those that every authenticator has. `unix`: the listener for callers is a Unix
/// socket.
pub(super) fn unix_peer(section: &mut Section<'_>, common: Option<Common>, unix: bool) -> Option<UnixPeer> {
    let given = ["uids", "gids"].map(|key| section.get(key));
    if given.iter().all(Option::is_none) {
        let message = format!("{} has neither `uids` nor `gids`", section.title);
        section.file.missing(&section.span, message, "list the trusted users: uids = [1000]");
        return None;
    }
    if !unix {
        let message = "no caller can use this authenticator: [server] does not listen on a Unix socket";
        section.file.warning(&section.span, message, "write listen = \"unix:/run/chat-signer.sock\" in [server]");
    }
    let ids = given.map(|item| item.map(|item| item.read_unique_list(|item| item.integer(0..=u32::MAX))));
    let subject = section.get("subject").map(|item| text::caller_id(&item, "these callers"));
    let [uids, gids] = ids.map(|ids| ids.map_or(Some(None), |ids| ids.map(Some)));
    let subject = subject.map_or(Some(None), |subject| subject.map(Some));
    Some(UnixPeer { common: common?, uids: uids?, gids: gids?, subject: subject? })
}
