//! The vectors of vendors whose tokens are compressed: the documents are compared after decompression, because the
//! compressed bytes differ between programs. What the vendors' libraries wrongly sign is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use chat_signer::crypto::base64;
use chat_signer::crypto::mac::HmacSha256;
use chat_signer::model::Millis;
use chat_signer::policy::for_operator;
use chat_signer::secret::Secret;
use chat_signer::vendor::{App, InvalidRequest, Nonce, Params, SignedResult, Ttl, operation, parse, sign};
use serde_json::{Value, json};

const DAYS: Ttl = Ttl { min_seconds: 1, default_seconds: 600, max_seconds: 30 * 86_400 };

fn str<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} of {vector}"))
}

fn number(vector: &Value, name: &str) -> u64 {
    vector[name].as_u64().unwrap_or_else(|| panic!("{name} of {vector}"))
}

fn cases(vectors: &Value) -> &[Value] {
    vectors["cases"].as_array().unwrap()
}

fn case<'v>(vectors: &'v Value, name: &str) -> &'v Value {
    cases(vectors).iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("{name}"))
}

/// As an operator, for whom nothing has a default.
fn signed(app: &App, name: &str, values: Value, now: u64) -> Result<SignedResult, InvalidRequest> {
    let Value::Object(values) = values else { panic!("parameters are an object") };
    let request = parse(app, operation(app, name).unwrap(), &Params { values, lenient: false }, None)?;
    let nonce = Nonce::from_entropy([0; 16]);
    sign(app, &for_operator(request.signing_request), &request.signing_job, Millis::from_seconds(now), &nonce)
}

fn refused(app: &App, name: &str, values: Value) -> String {
    signed(app, name, values, 1).unwrap_err().to_string()
}

mod tencent {
    use chat_signer::vendor::tencent::{self, Room, RoomTicket, UserSigParts, decode};

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../vectors/tencent.json")).unwrap()
    }

    fn app(vectors: &Value) -> App {
        let secret = Secret::new(str(vectors, "secret").as_bytes().to_vec());
        let id = u32::try_from(number(vectors, "sdkappid")).unwrap();
        App::Tencent(tencent::App::new("im".into(), id, &[secret], Vec::new(), DAYS))
    }

    /// The ticket of a case, from its inputs.
    fn ticket(vectors: &Value, inputs: &Value) -> Option<String> {
        let room = match (inputs["roomid"].as_u64(), inputs["roomstr"].as_str()) {
            (Some(number), None) => Room::parse(&number.to_string()).unwrap(),
            (None, Some(name)) => Room::parse(name).unwrap(),
            _ => return None,
        };
        let ticket = RoomTicket {
            user: str(inputs, "userid"),
            sdk_app_id: u32::try_from(number(vectors, "sdkappid")).unwrap(),
            room: &room,
            expires_at: number(vectors, "clock") + number(inputs, "expire"),
            privileges: u32::try_from(number(inputs, "privilegeMap")).unwrap(),
        };
        Some(ticket.to_base64())
    }

    #[test]
    fn texts_tickets_and_documents_are_those_of_the_library() {
        let vectors = vectors();
        let key = HmacSha256::new(str(&vectors, "secret").as_bytes());
        let mut tickets = 0;
        for case in cases(&vectors) {
            let inputs = &case["inputs"];
            let ticket = ticket(&vectors, inputs);
            tickets += usize::from(ticket.is_some());
            let parts = UserSigParts {
                user: str(inputs, "userid"),
                sdk_app_id: u32::try_from(number(&vectors, "sdkappid")).unwrap(),
                issued_at: number(&vectors, "clock"),
                ttl_seconds: number(inputs, "expire"),
                ticket: ticket.as_deref(),
            };
            assert_eq!(parts.text().as_str(), str(case, "string_to_sign"));
            assert_eq!(parts.document(&key.mac(parts.text().as_str().as_bytes())), str(case, "document"));
            let document: Value = serde_json::from_str(str(case, "document")).unwrap();
            assert_eq!(Value::Object(decode(str(case, "output")).unwrap()), document);
        }
        assert_eq!((cases(&vectors).len(), tickets), (7, 3));
    }

    #[test]
    fn requests_get_the_documents_of_the_library() {
        let vectors = vectors();
        let app = app(&vectors);
        for (name, operation, values) in [
            ("user", "user-sig", json!({"user_id": "tom", "ttl": 604_800})),
            ("user_one_hour", "user-sig", json!({"user_id": "tom", "ttl": 3600})),
            (
                "private_map_key_string_room",
                "private-map-key",
                json!({"user_id": "tom", "room_id": "lobby", "ttl": 300}),
            ),
        ] {
            let answer = signed(&app, operation, values, number(&vectors, "clock")).unwrap();
            let document: Value = serde_json::from_str(str(case(&vectors, name), "document")).unwrap();
            assert_eq!(Value::Object(decode(answer.token().unwrap()).unwrap()), document, "{name}");
            let text = str(case(&vectors, name), "string_to_sign");
            let mac = HmacSha256::new(str(&vectors, "secret").as_bytes()).mac(text.as_bytes());
            assert_eq!((app.verify(text, &mac), document["TLS.sig"].as_str()), (Some(0), Some(base64(&mac).as_str())));
        }
        let answer = signed(&app, "user-sig", json!({"user_id": "tom"}), 1_800_000_000).unwrap().to_json();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(
            (&answer["user_id"], &answer["sdk_app_id"], &answer["expires_at"]),
            (&json!("tom"), &json!(1_400_000_000), &json!(1_800_000_600))
        );
    }

    #[test]
    fn what_the_library_wrongly_signs_is_refused() {
        let vectors = vectors();
        let app = app(&vectors);
        let newline = str(&case(&vectors, "hazard_newline_in_user")["inputs"], "userid");
        assert!(refused(&app, "user-sig", json!({"user_id": newline})).starts_with("user_id must be 1 to 32 letters"));
        // The library cuts `Ł` to `A` in a ticket.
        let cut = refused(&app, "private-map-key", json!({"user_id": "Łdmin", "room_id": "a"}));
        assert!(cut.starts_with("user_id must be 1 to 32 letters"), "{cut}");
        let administrator = str(&case(&vectors, "administrator")["inputs"], "userid");
        let error = refused(&app, "user-sig", json!({"user_id": administrator}));
        assert_eq!(error, "user_id must not be an administrator of the app at Tencent");
    }
}

mod agora {
    use chat_signer::vendor::agora::{self, AccessToken, Service, SignedBytes};

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../vectors/agora.json")).unwrap()
    }

    fn hex_decode(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn app(vectors: &Value) -> App {
        let certificate = Secret::new(str(vectors, "app_certificate").as_bytes().to_vec());
        App::Agora(agora::App::new("agora".into(), str(vectors, "app_id").to_owned(), &[certificate], DAYS))
    }

    /// The certificate, the time of issue and the salt give the key of the library, and it makes the library's MAC.
    #[test]
    fn keys_and_macs_are_those_of_the_library() {
        let vectors = vectors();
        let (app, certificate) = (app(&vectors), str(&vectors, "app_certificate").as_bytes());
        let built = cases(&vectors).iter().filter(|case| case["signing_info_hex"].is_string());
        let mut number = 0;
        for case in built {
            let (info, mac) = (str(case, "signing_info_hex"), str(case, "signature_hex"));
            let bytes = hex_decode(info);
            let key = HmacSha256::new(&hex_decode(str(case, "signing_key_hex")));
            assert_eq!(hex::encode(key.mac(&bytes)), mac, "{case}");
            assert_eq!(SignedBytes(bytes).mac(certificate).map(hex::encode).as_deref(), Some(mac));
            assert_eq!(app.verify(info, &hex_decode(mac)), Some(0), "{case}");
            let token = app.read_token(str(case, "output")).unwrap();
            assert_eq!((token.message.as_str(), case["library_verifies"].as_bool()), (info, Some(true)), "{case}");
            number += 1;
        }
        assert_eq!(number, 6);
        assert_eq!((app.verify("", &[]), app.verify("zz", &[])), (None, None));
    }

    #[test]
    fn bytes_are_those_of_the_library() {
        let vectors = vectors();
        for (name, service) in
            [("chat_user", Service::Chat { user: "2882341273" }), ("chat_user_now", Service::Chat { user: "tom" })]
        {
            let inputs = &case(&vectors, name)["inputs"];
            let field = |name: &str| u32::try_from(number(inputs, name)).unwrap();
            let token = AccessToken {
                app_id: str(&vectors, "app_id"),
                issued_at: field("issue_ts"),
                ttl_seconds: field("expire"),
                salt: field("salt"),
                service,
            };
            assert_eq!(token.to_bytes().to_hex(), str(case(&vectors, name), "signing_info_hex"), "{name}");
        }
        // The first of the three services of this case, in a token of its own.
        let service = Service::Rtc { user: "tom", channel: "lobby", publishes: true };
        let token = AccessToken { app_id: "", issued_at: 1_800_000_000, ttl_seconds: 600, salt: 5, service }
            .to_bytes()
            .to_hex();
        let together = str(case(&vectors, "rtc_rtm_chat_together"), "signing_info_hex");
        let (_, rtc) = token.split_at(2 * (2 + 12 + 2));
        assert!(together.contains(rtc), "{token}");
    }

    #[test]
    fn what_the_library_wrongly_signs_is_refused() {
        let vectors = vectors();
        let app = app(&vectors);
        assert!(str(case(&vectors, "rtc_uid_zero_is_any"), "note").contains("any user may use it"));
        for user in ["0", ""] {
            let error = refused(&app, "rtc-token", json!({"user_id": user, "channel": "lobby"}));
            assert!(error.starts_with("user_id must "), "{error}");
        }
        assert!(str(case(&vectors, "chat_app"), "note").contains("administrates the whole Chat app"));
        let error = refused(&app, "chat-token", json!({"user_id": "tom", "privileges": {"2": 600}}));
        assert!(error.starts_with("privileges is not known here"), "{error}");
        assert_eq!(refused(&app, "chat-token", json!({})), "user_id must be given");
        // Without a service, the library makes no token. Here no request makes one without channels.
        assert_eq!(case(&vectors, "refused_no_service")["library_answer"], "");
        assert!(refused(&app, "rtm-token", json!({"user_id": "tom"})).starts_with("channels must be an object"));
    }
}
