//! The vectors of Stream, Centrifugo and LiveKit: through the string builders and the MACs and, where the rules let them in,
//! through parsing and signing. What the vendors' libraries refuse, and what they wrongly sign, is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chat_signer::crypto::mac::HmacSha256;
use chat_signer::model::Millis;
use chat_signer::policy::for_operator;
use chat_signer::secret::Secret;
use chat_signer::vendor::{
    App, InvalidRequest, Nonce, Params, SignedResult, SigningInput, Ttl, operation, parse, sign,
};
use serde_json::{Value, json};

/// The clock of the vectors.
const NOW: Millis = Millis(1_800_000_000_000);

const DAY: Ttl = Ttl { min_seconds: 1, default_seconds: 600, max_seconds: 86_400 };

struct Vectors(Value);

impl Vectors {
    fn read(text: &str) -> Vectors {
        Vectors(serde_json::from_str(text).unwrap())
    }

    fn case(&self, name: &str) -> &Value {
        self.cases().iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("{name}"))
    }

    fn cases(&self) -> &[Value] {
        self.0["cases"].as_array().unwrap()
    }

    fn secret(&self) -> Secret {
        Secret::new(str(&self.0, "secret").as_bytes().to_vec())
    }

    fn mac(&self, text: &str) -> [u8; 32] {
        HmacSha256::new(str(&self.0, "secret").as_bytes()).mac(text.as_bytes())
    }

    /// Every token of the library, from its header and payload. Returns how many there are.
    fn check_tokens(&self, app: &App) -> usize {
        let tokens = self.cases().iter().filter(|case| case["signing_input"].is_string());
        tokens
            .map(|case| {
                let input = SigningInput::new(str(case, "header"), str(case, "payload"));
                assert_eq!(input.as_str(), str(case, "signing_input"), "{case}");
                let mac = self.mac(input.as_str());
                assert_eq!(input.token(&mac), str(case, "output"), "{case}");
                assert_eq!(app.verify(input.as_str(), &mac), Some(0));
                assert_eq!(app.verify(str(case, "payload"), &mac), None);
            })
            .count()
    }
}

fn str<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} of {vector}"))
}

/// As an operator, for whom nothing has a default.
fn signed(app: &App, name: &str, values: Value) -> Result<SignedResult, InvalidRequest> {
    let Value::Object(values) = values else { panic!("parameters are an object") };
    let request = parse(app, operation(app, name).unwrap(), &Params { values, lenient: false }, None)?;
    let nonce = Nonce::from_entropy([0; 16]);
    sign(app, &for_operator(request.signing_request), &request.signing_job, NOW, &nonce)
}

fn refused(app: &App, name: &str, values: Value) -> String {
    signed(app, name, values).unwrap_err().to_string()
}

/// The payload of a token.
fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&chat_signer::crypto::base64url_decode(payload).unwrap()).unwrap()
}

mod stream {
    use chat_signer::vendor::stream::{self, UserClaims};

    use super::*;

    fn vectors() -> Vectors {
        Vectors::read(include_str!("../vectors/stream.json"))
    }

    fn app(vectors: &Vectors) -> App {
        let key = str(&vectors.0, "api_key").to_owned();
        App::Stream(stream::App::new("stream".into(), key, &[vectors.secret()], DAY))
    }

    #[test]
    fn tokens_byte_for_byte() {
        let vectors = vectors();
        assert_eq!(vectors.check_tokens(&app(&vectors)), 6);
        let claims =
            |user_id| UserClaims { user_id, issued_at: 1_800_000_000, expires_at: 1_800_000_060, call_cids: &[] };
        let both = vectors.case("user_id_unicode_is_not_refused_by_library");
        assert_eq!(claims("汤姆").signing_input().as_str(), str(both, "signing_input"));
    }

    #[test]
    fn a_request_gets_the_claims_of_the_library_and_no_others() {
        let vectors = vectors();
        let app = app(&vectors);
        let values = json!({"user_id": "tom", "call_cids": ["default:a"], "ttl": 3600});
        let SignedResult::UserToken { token, user_id, expires_at } = signed(&app, "token", values).unwrap() else {
            panic!()
        };
        assert_eq!((user_id.as_str(), expires_at), ("tom", 1_800_003_600));
        let mut expected: Value = serde_json::from_str(str(vectors.case("user_with_call_claims"), "payload")).unwrap();
        expected.as_object_mut().unwrap().remove("role");
        assert_eq!(payload(&token), expected);
        let answer = signed(&app, "token", json!({"user_id": "tom"})).unwrap().to_json();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["user_id"], &answer["expires_at"]), (&json!("tom"), &json!(1_800_000_600)));
        let claims = payload(answer["token"].as_str().unwrap());
        assert_eq!(claims, json!({"user_id": "tom", "iat": 1_800_000_000, "exp": 1_800_000_600}));
    }

    #[test]
    fn what_would_give_more_is_refused() {
        let vectors = vectors();
        let app = app(&vectors);
        assert_eq!(vectors.case("refused_user_id_number")["library_error"], "userId should be a string");
        assert_eq!(refused(&app, "token", json!({"user_id": 12})), "user_id must be a string, not a number");
        assert!(refused(&app, "token", json!({"user_id": "汤姆"})).starts_with("user_id must be 1 to 255 letters"));
        assert!(refused(&app, "token", json!({"server": true})).starts_with("server is not known here"));
        assert!(
            refused(&app, "token", json!({"user_id": "tom", "role": "admin"})).starts_with("role is not known here")
        );
        let token = signed(&app, "token", json!({"user_id": "tom"})).unwrap().token().unwrap().to_owned();
        assert!(!token.ends_with(".devtoken") && str(vectors.case("dev_token"), "output").ends_with(".devtoken"));
    }
}

mod centrifugo {
    use chat_signer::vendor::centrifugo::{self, TokenClaims};
    use serde_json::Map;

    use super::*;

    fn vectors() -> Vectors {
        Vectors::read(include_str!("../vectors/centrifugo.json"))
    }

    fn app(vectors: &Vectors) -> App {
        App::Centrifugo(centrifugo::App::new("centrifugo".into(), &[vectors.secret()], DAY, Vec::new()))
    }

    #[test]
    fn tokens_byte_for_byte() {
        let vectors = vectors();
        let number = vectors.check_tokens(&app(&vectors));
        assert_eq!(number, vectors.cases().iter().filter(|case| case["payload"].is_string()).count());
        assert!(number >= 9);
    }

    #[test]
    fn a_request_gets_the_claims_of_the_documentation_and_no_others() {
        let vectors = vectors();
        let app = app(&vectors);
        for (name, operation, values) in [
            ("connection_exp", "connection-token", json!({"user": "tom"})),
            ("subscription", "subscription-token", json!({"user": "tom", "channel": "chat:lobby"})),
        ] {
            let token = signed(&app, operation, values).unwrap().token().unwrap().to_owned();
            let mut expected: Value = serde_json::from_str(str(vectors.case(name), "payload")).unwrap();
            expected["iat"] = json!(1_800_000_000);
            assert_eq!(payload(&token), expected, "{name}");
        }
        let info = Map::new();
        let claims = TokenClaims { user: "tom", channel: None, issued_at: 0, expires_at: 1, info: &info };
        assert!(!claims.signing_input().as_str().is_empty());
    }

    #[test]
    fn what_would_give_more_is_refused() {
        let vectors = vectors();
        let app = app(&vectors);
        for case in ["connection_minimal", "connection_anonymous", "connection_expire_at_zero", "connection_channels"] {
            assert!(vectors.case(case)["payload"].is_string());
        }
        assert_eq!(refused(&app, "connection-token", json!({"user": ""})), "user must not be empty");
        for field in ["expire_at", "channels", "subs", "aud", "iss", "jti"] {
            let error = refused(&app, "connection-token", json!({"user": "tom", field: 0}));
            assert!(error.starts_with(field), "{error}");
        }
    }
}

mod livekit {
    use chat_signer::vendor::livekit::{self, ProfileClaims};

    use super::*;

    fn vectors() -> Vectors {
        Vectors::read(include_str!("../vectors/livekit.json"))
    }

    fn app(vectors: &Vectors) -> App {
        let key = str(&vectors.0, "api_key").to_owned();
        let url = "wss://livekit.example.com".to_owned();
        App::LiveKit(livekit::App::new("live".into(), url, key, &[vectors.secret()], DAY, ProfileClaims::default()))
    }

    #[test]
    fn tokens_byte_for_byte() {
        let vectors = vectors();
        assert_eq!(vectors.check_tokens(&app(&vectors)), vectors.cases().len() - 1);
    }

    /// What the library leaves out, and what the server takes instead.
    #[test]
    fn every_permission_is_written() {
        let vectors = vectors();
        let values = json!({"room_name": "lobby", "participant_identity": "tom", "ttl": 600});
        let answer: Value = serde_json::from_str(&signed(&app(&vectors), "token", values).unwrap().to_json()).unwrap();
        assert_eq!(answer["server_url"], "wss://livekit.example.com");
        let claims = payload(answer["participant_token"].as_str().unwrap());
        let library: Value = serde_json::from_str(str(vectors.case("join_subscribe_only"), "payload")).unwrap();
        for claim in ["iss", "sub", "nbf", "exp"] {
            assert_eq!(claims[claim], library[claim], "{claim}");
        }
        let grant = claims["video"].as_object().unwrap();
        assert!(library["video"].as_object().unwrap().keys().all(|flag| grant.contains_key(flag)));
        let granted: Vec<_> = grant.iter().filter(|(_, value)| **value == json!(true)).map(|(flag, _)| flag).collect();
        assert_eq!(granted, ["canPublish", "canPublishData", "canSubscribe", "roomJoin"]);
        for flag in ["canUpdateOwnMetadata", "hidden", "roomCreate", "roomList", "roomAdmin", "recorder", "roomRecord"]
        {
            assert_eq!(grant[flag], false, "{flag}");
        }
    }

    #[test]
    fn what_the_library_wrongly_signs_is_refused() {
        let vectors = vectors();
        let app = app(&vectors);
        assert!(str(vectors.case("join_without_room"), "note").contains("ANY room"));
        let error = refused(&app, "token", json!({"participant_identity": "tom"}));
        assert!(error.starts_with("room_name must be given"), "{error}");
        let reason = str(vectors.case("refused_join_without_identity"), "library_error");
        assert_eq!(reason, "identity is required for join but not set");
        assert_eq!(refused(&app, "token", json!({"room_name": "a"})), "participant_identity must be given");
    }
}
