//! Caller tokens for the demonstration. Their secret is public, so anyone could make them.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use super::DemoCaller;

/// The reason why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoTokenError {
    /// There are roles, but the authenticator reads no roles.
    #[error("the authenticator has no `roles`, so it reads no roles from tokens")]
    NoRoles,
    /// The token could not be signed.
    #[error("the token can't be signed: {0}")]
    Unsigned(#[from] jsonwebtoken::errors::Error),
}

impl DemoCaller {
    /// Makes a token for this subject with these roles in all conversations, valid from `issued_at` to `expires_at`,
    /// both in Unix seconds.
    ///
    /// # Errors
    /// Returns an error if there are roles and the authenticator reads none, or if signing fails.
    pub fn token(
        &self,
        subject: &str,
        roles: &[String],
        issued_at: u64,
        expires_at: u64,
    ) -> Result<String, DemoTokenError> {
        let mut claims = self.claims(subject, roles)?;
        claims.insert("iat".to_owned(), json!(issued_at));
        claims.insert("exp".to_owned(), json!(expires_at));
        Ok(encode(&Header::new(self.algorithm), &claims, &EncodingKey::from_secret(self.secret.expose()))?)
    }

    fn claims(&self, subject: &str, roles: &[String]) -> Result<Map<String, Value>, DemoTokenError> {
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.issuer));
        claims.insert("aud".to_owned(), json!(self.audience));
        put(&mut claims, &self.subject, json!(subject));
        if !roles.is_empty() {
            put(&mut claims, self.roles.as_ref().ok_or(DemoTokenError::NoRoles)?, json!(roles));
        }
        Ok(claims)
    }
}

/// Inserts a claim at a literal name or a JSON pointer.
fn put(claims: &mut Map<String, Value>, name: &str, value: Value) {
    let Some(pointer) = name.strip_prefix('/') else {
        claims.insert(name.to_owned(), value);
        return;
    };
    let segment = |text: &str| text.replace("~1", "/").replace("~0", "~");
    match pointer.split_once('/') {
        None => _ = claims.insert(segment(pointer), value),
        Some((first, _)) => {
            let inner = claims.entry(segment(first)).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, &pointer[first.len()..], value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim;

    #[test]
    fn claims_are_put_where_they_are_read() {
        for name in ["sub", "/sub", "/user/id", "/a~1b/c~0d/0", "https://claims.example/sub"] {
            let mut claims = Map::new();
            put(&mut claims, name, json!("tom"));
            assert_eq!(claim(&claims, name), Some(&json!("tom")), "{name}");
        }
    }
}
