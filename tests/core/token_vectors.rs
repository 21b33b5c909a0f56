//! The vectors of Stream, Centrifugo, LiveKit and Pusher: through the string builders and the MACs and, where the rules let them in,
//! through parsing and signing. What the vendors' libraries refuse, and what they wrongly sign, is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chat_signer::crypto::hex;
use chat_signer::crypto::mac::HmacSha256;
use chat_signer::crypto::signing_key::{SigningKey, TokenAlgorithm};
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
        let key = SigningKey::from_secret(vectors.secret().expose());
        App::Centrifugo(centrifugo::App::new("centrifugo".into(), TokenAlgorithm::Hs256, vec![key], DAY, Vec::new()))
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
        assert!(!claims.signing_input(TokenAlgorithm::Hs256).as_str().is_empty());
    }

    #[test]
    fn private_keys_sign_the_same_claims() {
        for (algorithm, of_tests) in
            [(TokenAlgorithm::Rs256, &rcgen::PKCS_RSA_SHA256), (TokenAlgorithm::Es256, &rcgen::PKCS_ECDSA_P256_SHA256)]
        {
            let der = rcgen::KeyPair::generate_for(of_tests).unwrap().serialize_der();
            let key = SigningKey::from_pkcs8(algorithm, &der).unwrap();
            let app = App::Centrifugo(centrifugo::App::new("c".into(), algorithm, vec![key], DAY, Vec::new()));
            let token = signed(&app, "connection-token", json!({"user": "tom"})).unwrap().token().unwrap().to_owned();
            assert_eq!(payload(&token), json!({"sub": "tom", "exp": 1_800_000_600, "iat": 1_800_000_000}));
            let header = chat_signer::crypto::base64url_decode(token.split('.').next().unwrap()).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            assert_eq!(header, json!({"alg": algorithm.as_str(), "typ": "JWT"}));
            let (message, signature) = token.rsplit_once('.').unwrap();
            let signature = chat_signer::crypto::base64url_decode(signature).unwrap();
            assert_eq!((app.verify(message, &signature), app.verify("other", &signature)), (Some(0), None));
        }
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

mod pusher {
    use chat_signer::crypto::base64_decode;
    use chat_signer::vendor::pusher::{self, AuthText, Channel, ChannelOptions, SocketId};

    use super::*;

    fn vectors() -> Vectors {
        Vectors::read(include_str!("../vectors/pusher.json"))
    }

    fn app(vectors: &Vectors) -> App {
        let encryption_key = base64_decode(str(&vectors.0, "encryption_master_key_base64")).map(Secret::new);
        let options = ChannelOptions { client_events: true, encryption_key, presence_claims: Vec::new() };
        let key = str(&vectors.0, "key").to_owned();
        App::Pusher(pusher::App::new("pusher".into(), "4711".to_owned(), key, &[vectors.secret()], options))
    }

    /// The text of a case with the data as the library wrote it.
    fn text(case: &Value) -> AuthText {
        let inputs = &case["inputs"];
        let socket = SocketId::parse(str(inputs, "socket_id")).unwrap();
        match str(case, "kind") {
            "channel" => {
                let channel = Channel::parse(str(inputs, "channel_name")).unwrap();
                AuthText::channel(&socket, &channel, case["output"]["channel_data"].as_str())
            }
            "user" => AuthText::user(&socket, str(&case["output"], "user_data")),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn texts_and_macs() {
        let vectors = vectors();
        let of_clients = vectors.cases().iter().filter(|case| case["kind"] == "channel" || case["kind"] == "user");
        let mut number = 0;
        for case in of_clients {
            let text = text(case);
            assert_eq!(text.as_str(), str(case, "string_to_sign"));
            let auth = format!("{}:{}", str(&vectors.0, "key"), hex(&vectors.mac(text.as_str())));
            assert_eq!(auth, str(&case["output"], "auth"), "{case}");
            number += 1;
        }
        assert_eq!(number, 9);
    }

    #[test]
    fn requests_are_answered_so() {
        let vectors = vectors();
        let app = app(&vectors);
        // The data of presence channels has `user_info` here, also if it is empty. The builders above make it as in the vectors.
        for (name, user) in
            [("docs_private", "tom"), ("private_all_allowed_punctuation", "tom"), ("private_encrypted", "tom")]
        {
            let case = vectors.case(name);
            let mut values = json!({"user_id": user});
            for field in ["socket_id", "channel_name"] {
                values[field] = case["inputs"][field].clone();
            }
            let answer = signed(&app, "channel-auth", values).unwrap().to_json();
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), case["output"], "{name}");
        }
        let presence = json!({"socket_id": "1.2", "channel_name": "presence-a", "user_id": "tom"});
        let answer = signed(&app, "channel-auth", presence).unwrap().to_json();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let data = r#"{"user_id":"tom","user_info":{}}"#;
        assert_eq!(answer["channel_data"], data);
        let mac = hex(&vectors.mac(&format!("1.2:presence-a:{data}")));
        assert_eq!(answer["auth"], format!("{}:{mac}", str(&vectors.0, "key")));
        let answer = signed(&app, "user-auth", json!({"socket_id": "1.2", "user_id": "tom"})).unwrap().to_json();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["user_data"], r#"{"id":"tom"}"#);
        let mac = hex(&vectors.mac("1.2::user::{\"id\":\"tom\"}"));
        assert_eq!(answer["auth"], format!("{}:{mac}", str(&vectors.0, "key")));
    }

    #[test]
    fn what_the_library_refuses_is_refused() {
        let vectors = vectors();
        let app = app(&vectors);
        let channel = |socket: &str, channel: &str| {
            refused(&app, "channel-auth", json!({"socket_id": socket, "channel_name": channel, "user_id": "tom"}))
        };
        let user = |id: Value| refused(&app, "user-auth", json!({"socket_id": "1.2", "user_id": id}));
        let reasons = [
            ("refused_colon_in_channel", channel("1.2", "private-a:b"), "channel_name must be 1 to 200"),
            (
                "refused_collision_user_text_as_channel",
                channel("1.2", ":user::{\"id\":\"admin\"}"),
                "channel_name must",
            ),
            ("refused_socket_with_colon", channel("1.2:private-x", "private-x"), "socket_id must be the id"),
            ("refused_channel_201", channel("1.2", &format!("private-{}", "x".repeat(193))), "channel_name must be"),
            ("refused_hash_channel", channel("1.2", "#server-to-user-tom"), "channel_name must be 1 to 200"),
            ("refused_user_number_id", user(json!(12)), "user_id must be a string"),
            ("refused_user_empty_id", user(json!("")), "user_id must be 1 to 128"),
        ];
        let named = vectors.cases().iter().filter(|case| case["kind"] == "refusal");
        assert_eq!(named.map(|case| str(case, "name")).collect::<Vec<_>>(), reasons.each_ref().map(|reason| reason.0));
        for (name, error, start) in &reasons {
            assert!(error.starts_with(start), "{name}: {error}");
        }
    }

    #[test]
    fn collisions_cannot_be_asked_for() {
        let vectors = vectors();
        let collisions: Vec<_> = vectors.cases().iter().filter(|case| case["name"] == "collision").collect();
        assert_eq!(collisions.len(), 4);
        for case in collisions {
            assert_eq!(hex(&vectors.mac(str(case, "text_a"))), str(case, "hmac"), "{case}");
            // One of the two readings has a socket or a channel with a colon.
            let (socket, rest) = str(case, "text_a").split_once(':').unwrap();
            let (longer, channel) = str(case, "text_a").rsplit_once(':').unwrap();
            assert!(SocketId::parse(socket).is_ok() && Channel::parse(rest).is_err(), "{case}");
            assert!(SocketId::parse(longer).is_err() || Channel::parse(channel).is_err(), "{case}");
        }
        // The same key signs requests to the REST interface and webhooks. No text of a client starts like these.
        for name in ["rest_terminate_user", "webhook"] {
            assert!(!str(vectors.case(name), "string_to_sign").starts_with(|c: char| c.is_ascii_digit()), "{name}");
        }
    }
}
