//! A key that an issuer signs with.

use std::time::{SystemTime, UNIX_EPOCH};

use chat_signer::crypto::base64url;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData};
use serde_json::json;

pub(crate) struct SigningKey {
    id: &'static str,
    pair: KeyPair,
}

impl SigningKey {
    pub(crate) fn new(id: &'static str) -> SigningKey {
        SigningKey { id, pair: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    /// The set that has this key alone.
    pub(crate) fn set(&self) -> String {
        let x = base64url(self.pair.der_bytes());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x}]}).to_string()
    }

    /// The public key alone.
    pub(crate) fn pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// A token in a header.
    pub(crate) fn bearer(&self) -> String {
        #[allow(clippy::disallowed_methods)]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": "https://asymmetric.example.com/", "aud": "chat", "sub": "tom", "exp": now + 300});
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(self.pair.serialized_der());
        format!("authorization: Bearer {}\r\n", jsonwebtoken::encode(&header, &claims, &key).unwrap())
    }
}

/// An authenticator that has its keys from here.
pub(crate) fn authenticator(jwks: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"asymmetric\"\ntype = \"jwt\"\ncaller = \"user\"\nsubject_prefix = \"a-\"\n\
         issuer = \"https://asymmetric.example.com/\"\naudience = [\"chat\"]\nalgorithms = [\"EdDSA\"]\njwks = {{ {jwks} }}\n"
    )
}
