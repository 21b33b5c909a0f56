//! API keys of Ably.

use std::fmt;

use crate::crypto::mac::HmacSha256;
use crate::secret::Secret;

/// An API key: its public name `appId.keyId` and its secret.
#[derive(Clone)]
pub struct AblyKey {
    name: String,
    mac: HmacSha256,
}

impl AblyKey {
    /// Reads `appId.keyId:secret`, the form in which Ably's dashboard shows a key.
    ///
    /// # Errors
    /// Returns what the key must be. The message never contains a part of the key.
    pub fn parse(key: &Secret) -> Result<AblyKey, &'static str> {
        let text = std::str::from_utf8(key.expose()).map_err(|_| "must be text: appId.keyId:secret")?;
        let (name, secret) = text.split_once(':').ok_or("must have a `:` before its secret: appId.keyId:secret")?;
        let (app, id) = name.split_once('.').ok_or("must have a `.` in its name: appId.keyId:secret")?;
        if id.contains('.') {
            return Err("must have one `.` in its name: appId.keyId:secret");
        }
        if app.is_empty() || id.is_empty() || secret.is_empty() {
            return Err("must not have an empty part: appId.keyId:secret");
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err("must not hold white space or control characters: appId.keyId:secret");
        }
        Ok(AblyKey { name: name.to_owned(), mac: HmacSha256::new(secret.as_bytes()) })
    }

    /// Returns the name of the key, `appId.keyId`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn mac(&self, message: &str) -> [u8; 32] {
        self.mac.mac(message.as_bytes())
    }
}

impl fmt::Debug for AblyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AblyKey({}:…)", self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<AblyKey, &'static str> {
        AblyKey::parse(&Secret::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn shows_its_name_and_never_its_secret() {
        let key = parse("app.id:canary:with-colon").unwrap();
        assert_eq!(key.name(), "app.id");
        assert_eq!(format!("{key:?}"), "AblyKey(app.id:…)");
    }

    #[test]
    fn refuses_what_is_no_key() {
        for bad in ["", "canary", "app.id", "app:canary", "a.b.c:canary", ".id:canary", "app.:canary", "app.id:"] {
            assert!(!parse(bad).unwrap_err().contains("canary"), "{bad}");
        }
        for bad in ["app.id:canary\n", "ap\np.id:canary", "app .id:canary", "app.id:can ary", "\u{feff}\tapp.id:x"] {
            assert!(parse(bad).unwrap_err().contains("white space"), "{bad:?}");
        }
        assert!(AblyKey::parse(&Secret::new(vec![b'a', 0xff])).is_err());
    }
}
