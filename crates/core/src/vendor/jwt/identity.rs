//! The alphabets of user ids. A system that reads capital letters as small letters needs an alphabet without them, so
//! that a ban cannot be evaded.

/// The alphabet of user ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAlphabet {
    /// Small letters, digits and `.` `_` `-` `=`.
    LowerAscii,
    /// Letters, digits and `.` `_` `-` `@`.
    Ascii,
    /// A UUID with small letters.
    Uuid,
}

impl UserAlphabet {
    /// The alphabets with their names in the configuration.
    pub const NAMES: [(&'static str, UserAlphabet); 3] =
        [("lower-ascii", UserAlphabet::LowerAscii), ("ascii", UserAlphabet::Ascii), ("uuid", UserAlphabet::Uuid)];

    /// Checks an id of at most 128 characters.
    ///
    /// # Errors
    /// Returns the flaw, in words that complete "the id …".
    pub fn check(self, id: &str) -> Result<(), &'static str> {
        let fits = !id.is_empty() && id.len() <= 128;
        let all = |is_allowed: fn(u8) -> bool| fits && id.bytes().all(is_allowed);
        match self {
            UserAlphabet::LowerAscii => {
                let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-=".contains(&byte);
                all(allowed).then_some(()).ok_or("must be 1 to 128 small letters, digits and the characters `._-=`")
            }
            UserAlphabet::Ascii => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
                all(allowed).then_some(()).ok_or("must be 1 to 128 letters, digits and the characters `._-@`")
            }
            UserAlphabet::Uuid => {
                let lengths = id.split('-').map(str::len);
                let is_uuid =
                    lengths.eq([8, 4, 4, 4, 12]) && all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
                is_uuid.then_some(()).ok_or("must be a UUID with small letters")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alphabet_is_checked() {
        let uuid = "0b9f3c5e-1d2a-4f6b-8c7d-9e0f1a2b3c4d";
        for (identity, good, bad) in [
            (UserAlphabet::LowerAscii, vec!["tom", "a.b_c-d=e", uuid], vec!["Tom", "a@b", "a/b"]),
            (UserAlphabet::Ascii, vec!["Tom", "a@b.example", uuid], vec!["a/b", "a:b", "a{b}"]),
            (UserAlphabet::Uuid, vec![uuid], vec!["tom", &uuid[1..], "0B9F3C5E-1d2a-4f6b-8c7d-9e0f1a2b3c4d"]),
        ] {
            assert!(good.iter().all(|id| identity.check(id).is_ok()), "{identity:?}");
            let long = "a".repeat(129);
            for id in bad.into_iter().chain(["", " ", "*", "é", "a\n", &long]) {
                assert!(identity.check(id).is_err(), "{identity:?} {id:?}");
            }
        }
    }
}
