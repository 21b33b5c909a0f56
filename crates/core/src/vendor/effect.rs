//! The effects of bans and mutes at a vendor, for moderators who must know them before they act.

/// What a vendor does to a user who is banned or muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorEffect {
    /// The user is on the block list of the conversation.
    Listed,
    /// The user is disconnected from all conversations, and must log in again.
    LoggedOut,
    /// The user is removed from the conversation.
    Removed,
    /// The user is removed from all conversations.
    RemovedEverywhere,
    /// The user cannot send in the conversation.
    Silenced,
    /// The user cannot send in any conversation.
    SilencedEverywhere,
    /// The account of the user is deactivated.
    Deactivated,
    /// All tokens of the user end. The user gets new ones at once, for what is still allowed.
    TokensEnded,
}

/// The effects of a ban or mute at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SanctionEffects {
    /// The effects while the ban or mute is in force. Empty: the vendor changes nothing itself, but asks about messages.
    pub does: &'static [VendorEffect],
    /// Whether the earlier state at the vendor is restored at the end. If not, the user gets new access on request.
    pub is_restored: bool,
}

/// The effects of all bans and mutes at a vendor. `None`: the vendor does not offer this.
#[derive(Clone, Copy, Debug)]
pub struct ModerationEffects {
    /// The effects of a ban in a conversation.
    pub ban: Option<SanctionEffects>,
    /// The effects of a ban in all conversations.
    pub ban_everywhere: Option<SanctionEffects>,
    /// The effects of a mute in a conversation.
    pub mute: Option<SanctionEffects>,
    /// The effects of a mute in all conversations.
    pub mute_everywhere: Option<SanctionEffects>,
}

impl VendorEffect {
    /// Returns the name of the effect in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            VendorEffect::Listed => "listed",
            VendorEffect::LoggedOut => "logged-out",
            VendorEffect::Removed => "removed",
            VendorEffect::RemovedEverywhere => "removed-everywhere",
            VendorEffect::Silenced => "silenced",
            VendorEffect::SilencedEverywhere => "silenced-everywhere",
            VendorEffect::Deactivated => "deactivated",
            VendorEffect::TokensEnded => "tokens-ended",
        }
    }
}

impl SanctionEffects {
    /// The vendor restores the earlier state at the end.
    pub(super) const fn restored(does: &'static [VendorEffect]) -> SanctionEffects {
        SanctionEffects { does, is_restored: true }
    }

    /// Nothing is restored at the end.
    pub(super) const fn not_restored(does: &'static [VendorEffect]) -> SanctionEffects {
        SanctionEffects { does, is_restored: false }
    }
}

impl ModerationEffects {
    /// The vendor has no interface for bans and mutes.
    pub(super) const NONE: ModerationEffects =
        ModerationEffects { ban: None, ban_everywhere: None, mute: None, mute_everywhere: None };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Vendor;

    #[test]
    fn only_what_takes_effect_in_a_conversation_is_limited_to_one() {
        for vendor in Vendor::ALL {
            let effects = &vendor.spec().effects;
            let all = |one: Option<SanctionEffects>, other: Option<SanctionEffects>| {
                [one, other].into_iter().flatten().flat_map(|found| found.does).copied().collect::<Vec<_>>()
            };
            let wide = [VendorEffect::RemovedEverywhere, VendorEffect::SilencedEverywhere];
            let here = all(effects.ban, effects.mute);
            assert!(!here.iter().any(|effect| wide.contains(effect)), "{vendor:?}");
            let narrow = [VendorEffect::Listed, VendorEffect::Removed, VendorEffect::Silenced];
            let everywhere = all(effects.ban_everywhere, effects.mute_everywhere);
            assert!(!everywhere.iter().any(|effect| narrow.contains(effect)), "{vendor:?}");
        }
    }
}
