//! The keys of apps that sign JSON Web Tokens with a secret or with a private key.

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use super::AppSection;
use crate::config::reader::quoted;
use crate::crypto::signing_key::{SigningKey, TokenAlgorithm};
use crate::secret::Secret;

/// The shortest secret for HS256, in bytes (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

impl AppSection<'_, '_> {
    /// Reads `algorithm`, and `secret` or `private_key`. The first of `algorithms` is the default.
    pub(super) fn signing_keys(&mut self, algorithms: &[TokenAlgorithm]) -> Option<(TokenAlgorithm, Vec<SigningKey>)> {
        let words: Vec<_> = algorithms.iter().map(|algorithm| (algorithm.as_str(), *algorithm)).collect();
        let algorithm = match self.section.get("algorithm") {
            Some(item) => item.keyword(&words)?,
            None => *algorithms.first()?,
        };
        let keys = match algorithm {
            TokenAlgorithm::Hs256 => self.secret_keys()?,
            TokenAlgorithm::Rs256 | TokenAlgorithm::Es256 | TokenAlgorithm::EdDsa => self.private_keys(algorithm)?,
        };
        Some((algorithm, keys))
    }

    fn secret_keys(&mut self) -> Option<Vec<SigningKey>> {
        let (item, secrets) = self.keys("secret")?;
        if secrets.iter().any(|secret| secret.expose().len() < MIN_SECRET_BYTES) {
            let message = format!("the secret `secret` is shorter than {MIN_SECRET_BYTES} bytes, which HS256 needs");
            item.file.mistake(&item.key, message, "make a longer one: openssl rand -base64 48");
            return None;
        }
        Some(secrets.iter().map(|secret| SigningKey::from_secret(secret.expose())).collect())
    }

    fn private_keys(&mut self, algorithm: TokenAlgorithm) -> Option<Vec<SigningKey>> {
        const HELP: &str = "write private_key = { file = \"PATH\" }";
        let item = self.section.require("private_key", HELP)?;
        let secrets = self.signing_secrets(&item)?;
        let read = |secret: &Secret| {
            let der = PrivatePkcs8KeyDer::from_pem_slice(secret.expose()).ok()?;
            SigningKey::from_pkcs8(algorithm, der.secret_pkcs8_der())
        };
        let keys = secrets.iter().map(read).collect::<Option<Vec<_>>>();
        if keys.is_none() {
            let kind = match algorithm {
                TokenAlgorithm::Rs256 => "an RSA key of at least 2048 bits",
                TokenAlgorithm::Es256 => "a P-256 key",
                TokenAlgorithm::EdDsa => "an Ed25519 key",
                TokenAlgorithm::Hs256 => "a secret",
            };
            let message = format!(
                "the secret `private_key` must be {kind} for {}, in PEM as PKCS #8",
                quoted(algorithm.as_str())
            );
            item.file.mistake(&item.key, message, "convert a key of another form: openssl pkcs8 -topk8 -nodes");
        }
        keys
    }
}
