//! The contents of the two files: a head, a part for each vendor, and an end.

use crate::model::Vendor;

/// Returns the configuration for apps of these vendors.
pub(super) fn signer(vendors: &[Vendor]) -> String {
    let apps = vendors.iter().map(|vendor| match vendor {
        Vendor::LeanCloud => include_str!("signer/leancloud.toml"),
        Vendor::TalkJs => include_str!("signer/talkjs.toml"),
        Vendor::Ably => include_str!("signer/ably.toml"),
    });
    include_str!("signer/head.toml").to_owned() + &apps.collect::<String>() + include_str!("signer/callers.toml")
}

/// Returns the policy for these vendors.
pub(super) fn policy(vendors: &[Vendor]) -> String {
    let rules = vendors.iter().map(|vendor| match vendor {
        Vendor::LeanCloud => include_str!("policy/leancloud.toml"),
        // TalkJS has only logins.
        Vendor::TalkJs => "",
        Vendor::Ably => include_str!("policy/ably.toml"),
    });
    let moderators = include_str!("policy/moderators.toml");
    include_str!("policy/head.toml").to_owned()
        + &rules.collect::<String>()
        + moderators
        + include_str!("policy/people.toml")
}

/// Returns the environment variable for the secret of a vendor, and the vendor's name for the secret.
pub(super) fn secret_variable(vendor: Vendor) -> (&'static str, &'static str) {
    match vendor {
        Vendor::LeanCloud => ("LEANCLOUD_MASTER_KEY", "the Master Key of your app at LeanCloud"),
        Vendor::TalkJs => ("TALKJS_SECRET_KEY", "the secret key of your app at TalkJS"),
        Vendor::Ably => ("ABLY_KEY", "a complete API key of your app at Ably: appId.keyId:secret"),
    }
}
