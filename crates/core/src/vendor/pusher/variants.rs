//! What other programs sign for Pusher by mistake.

use super::SigningJob;
use super::message::AuthText;
use crate::vendor::variants::{MacEncoding, MessageVariant, SignatureFormat, message_variants};

/// The form of the signatures, without the key of the app and the `:` in front of them.
pub(super) const SIGNATURE: SignatureFormat = SignatureFormat {
    encoding: MacEncoding::Hex,
    has_time: false,
    tried: "the channel without its data, the conversation in place of the channel, and a newline at the end",
};

/// Returns the text and its variants.
pub(super) fn text_variants(signing_job: &SigningJob) -> Vec<MessageVariant> {
    let text = signing_job.text().to_string();
    let mut changed = vec![("the text was signed with a newline at its end", format!("{text}\n"))];
    if let SigningJob::ChannelAuth { socket, channel, .. } = signing_job {
        let bare = AuthText::channel(socket, channel, None).to_string();
        let conversation = bare.replacen(channel.name(), channel.conversation(), 1);
        changed.push(("the channel was signed without the data about the user", bare));
        changed.push(("the channel was signed without the start of its name", conversation));
    }
    message_variants(text, changed)
}
