//! Claims that are known to work with a system. The format of each is checked with the library or the server of its
//! vendor.

use serde_json::{Map, Value, json};

use super::identity::UserAlphabet;
use crate::crypto::signing_key::TokenAlgorithm;

/// The claims of tokens for one system.
#[derive(Debug)]
pub struct Preset {
    /// The name in the configuration.
    pub name: &'static str,
    /// The algorithms that the system accepts. The first is the default.
    pub algorithms: &'static [TokenAlgorithm],
    /// The alphabet of user ids.
    pub identity: UserAlphabet,
    /// The values that the configuration must give, each with what it is.
    pub values: &'static [(&'static str, &'static str)],
    /// The longest lifetime that the system accepts, in seconds.
    pub max_ttl_seconds: u64,
    /// The media type in the header, if the system requires one.
    pub content_type: Option<&'static str>,
    /// The form of `jti`.
    pub token_id: TokenId,
    template: fn(ValueOf<'_>) -> Value,
}

/// Returns a value of the configuration by its name.
type ValueOf<'a> = &'a dyn Fn(&str) -> String;

/// The form of the claim `jti`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenId {
    /// There is none.
    None,
    /// A random text.
    Random,
    /// The issuer, `-` and a random text.
    AfterIssuer,
}

impl Preset {
    /// Every preset.
    pub const ALL: [&'static Preset; 5] = [&SUPABASE, &SYNAPSE, &FIREBASE, &AZURE_WEB_PUBSUB, &TWILIO];

    /// Returns the claims with the values of the configuration.
    pub fn claims(&self, value: ValueOf<'_>) -> Map<String, Value> {
        match (self.template)(value) {
            Value::Object(claims) => claims,
            _ => Map::new(),
        }
    }
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Supabase: a signed-in user. The role `service_role` would be above all rules of the database.
static SUPABASE: Preset = Preset {
    name: "supabase",
    algorithms: &[TokenAlgorithm::Hs256, TokenAlgorithm::Es256, TokenAlgorithm::Rs256],
    identity: UserAlphabet::Uuid,
    values: &[],
    max_ttl_seconds: 7 * DAY,
    content_type: None,
    token_id: TokenId::None,
    template: |_| json!({ "sub": "{client}", "role": "authenticated", "aud": "authenticated" }),
};

/// Synapse, the Matrix server, which reads capital letters as small letters.
static SYNAPSE: Preset = Preset {
    name: "synapse",
    algorithms: &[TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa],
    identity: UserAlphabet::LowerAscii,
    values: &[],
    max_ttl_seconds: DAY,
    content_type: None,
    token_id: TokenId::Random,
    template: |_| json!({ "sub": "{client}" }),
};

/// Firebase Authentication: a custom token.
static FIREBASE: Preset = Preset {
    name: "firebase",
    algorithms: &[TokenAlgorithm::Rs256],
    identity: UserAlphabet::Ascii,
    values: &[("service_account", "the e-mail address of the service account")],
    max_ttl_seconds: HOUR,
    content_type: None,
    token_id: TokenId::None,
    template: |value| {
        json!({
            "iss": value("service_account"),
            "sub": value("service_account"),
            "aud": "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit",
            "uid": "{client}",
        })
    },
};

/// Azure Web PubSub. A role without a group is for all groups.
static AZURE_WEB_PUBSUB: Preset = Preset {
    name: "azure-web-pubsub",
    algorithms: &[TokenAlgorithm::Hs256],
    identity: UserAlphabet::Ascii,
    values: &[("audience", "the address of the hub: https://NAME.webpubsub.azure.com/client/hubs/HUB")],
    max_ttl_seconds: DAY,
    content_type: None,
    token_id: TokenId::None,
    template: |value| {
        json!({
            "aud": value("audience"),
            "sub": "{client}",
            "role": [
                { "each": "subscribe", "text": "webpubsub.joinLeaveGroup.{channel}" },
                { "each": "publish", "text": "webpubsub.sendToGroup.{channel}" },
            ],
        })
    },
};

/// Twilio Conversations.
static TWILIO: Preset = Preset {
    name: "twilio",
    algorithms: &[TokenAlgorithm::Hs256],
    identity: UserAlphabet::Ascii,
    values: &[
        ("account_sid", "the SID of the account, which starts with AC"),
        ("key_sid", "the SID of the API key, which starts with SK"),
        ("service_sid", "the SID of the Conversations service, which starts with IS"),
    ],
    max_ttl_seconds: DAY,
    content_type: Some("twilio-fpa;v=1"),
    token_id: TokenId::AfterIssuer,
    template: |value| {
        json!({
            "iss": value("key_sid"),
            "sub": value("account_sid"),
            "grants": { "identity": "{client}", "chat": { "service_sid": value("service_sid") } },
        })
    },
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::vendor::jwt::ClaimTemplate;

    #[test]
    fn every_template_is_closed_and_names_its_client() {
        for preset in Preset::ALL {
            let template = ClaimTemplate::parse(&preset.claims(&|name| format!("made-up-{name}"))).unwrap();
            assert!(template.names_client() && template.caller_claims().is_empty(), "{}", preset.name);
            assert!(!template.has_channel() && !preset.algorithms.is_empty());
        }
    }
}
