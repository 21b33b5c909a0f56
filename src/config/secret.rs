//! Secrets. The file only refers to them: `{ env = "NAME" }`, `{ file = "PATH" }`, or a list of these.
//!
//! No message shows the value of a secret setting, because it may be the secret itself by mistake. The line is never
//! shown. The name in a reference is only shown if it looks like the name of a variable or file.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::demo;
use super::reader::{ConfigItem, nearest, quoted};
use super::report::ByteRange;
use super::signing::{SigningSecret, warn_if_weak};
use super::source_files::{FileReader, describe_read_error};
use crate::authn::{BearerToken, HttpsProxy, Issuer};
use crate::crypto::mac::KeyBlocks;
use crate::environment;
use crate::secret::Secret;

const HELP: &str = "write { env = \"NAME\" } for a variable or { file = \"PATH\" } for a file with the secret";

/// What some editors write before the text of a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the secrets of a configuration, and keeps the data for later checks.
pub(super) struct SecretResolver {
    /// The directory that paths are relative to.
    pub(super) dir: PathBuf,
    file_reader: FileReader,
    /// All secrets that were read.
    pub(super) resolved: Vec<ResolvedSecret>,
    /// The secrets that sign something.
    pub(super) signing: Vec<SigningSecret>,
    /// The values of all secrets except the public secrets of the demonstration. No output may contain them.
    pub(super) secret_values: Vec<Secret>,
    /// Parts of secrets that are not secret, such as the host in a URL.
    pub(super) public_parts: Vec<String>,
    /// The proxy for requests to other servers.
    pub(super) proxy: Option<HttpsProxy>,
}

/// A secret that was read.
pub(super) struct ResolvedSecret {
    /// The place of the key that refers to the secret.
    pub(super) key: ByteRange,
    /// The name of that key.
    pub(super) name: String,
    /// Whether the demonstration has this secret.
    pub(super) is_demo_secret: bool,
    /// Whether the secret signs something.
    pub(super) is_signing: bool,
    /// The HMAC key blocks of the secret.
    pub(super) blocks: KeyBlocks,
}

/// The use of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SecretUse {
    /// The secret signs or verifies something.
    Signing,
    /// The secret is sent to others.
    Sending,
}

impl SecretResolver {
    pub(super) fn new(dir: &Path, disk: FileReader) -> SecretResolver {
        let (seen, signing, known, public) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        SecretResolver {
            dir: dir.to_owned(),
            file_reader: disk,
            resolved: seen,
            signing,
            secret_values: known,
            public_parts: public,
            proxy: None,
        }
    }

    /// Reads a file that this item names, secret or not.
    pub(super) fn read(&self, item: &ConfigItem<'_>, name: &str) -> io::Result<Vec<u8>> {
        item.note_reference();
        self.file_reader.read(&item.file.part(), &self.dir.join(name))
    }

    /// Reads a secret or a list of secrets that are sent to others. Returns `None` if any is wrong.
    pub(super) fn secrets(&mut self, item: &ConfigItem<'_>) -> Option<Vec<Secret>> {
        self.resolve_list(item, SecretUse::Sending)
    }

    /// Reads a secret or a list of secrets that sign or verify something. Returns `None` if any is wrong.
    pub(super) fn signing_secrets(&mut self, item: &ConfigItem<'_>) -> Option<Vec<Secret>> {
        self.resolve_list(item, SecretUse::Signing)
    }

    fn resolve_list(&mut self, item: &ConfigItem<'_>, purpose: SecretUse) -> Option<Vec<Secret>> {
        item.file.hide_if_guarded(&item.span);
        let DeValue::Array(list) = item.value else {
            return Some(vec![self.resolve_one(item, purpose)?]);
        };
        if list.is_empty() {
            return refuse(item, "must not be an empty list", HELP);
        }
        let read: Vec<_> = item.elements(HELP)?.iter().map(|item| self.resolve_one(item, purpose)).collect();
        let secrets = read.into_iter().collect::<Option<_>>()?;
        item.note_reference();
        Some(secrets)
    }

    /// Reads a token to send to others. If the token is in a file, the program reads the file again for each request;
    /// this function only checks the file.
    pub(super) fn bearer(&mut self, item: &ConfigItem<'_>) -> Option<BearerToken> {
        let token = self.header_secret(item)?;
        match reference(item)? {
            SecretReference::Variable(_) => Some(BearerToken::Fixed(token)),
            SecretReference::File(path) => Some(BearerToken::File(self.dir.join(path))),
        }
    }

    /// Reads a secret that is sent in a header.
    pub(super) fn header_secret(&mut self, item: &ConfigItem<'_>) -> Option<Secret> {
        let secret = self.secret(item)?;
        if secret.expose().iter().all(u8::is_ascii_graphic) {
            return Some(secret);
        }
        refuse(item, "can't be sent in a header: it has white space or characters that are not ASCII", HELP)
    }

    /// Reads a secret that is sent to others.
    pub(super) fn secret(&mut self, item: &ConfigItem<'_>) -> Option<Secret> {
        self.resolve_one(item, SecretUse::Sending)
    }

    /// Returns the first owner that signs with the same secret, or with a secret that makes the same HMACs. An issuer
    /// with several authenticators signs for all of them.
    pub(super) fn owner_signing_with(&self, secret: &[u8], issuer: Option<&Issuer>) -> Option<&str> {
        let blocks = KeyBlocks::new(secret);
        let is_same_issuer = |known: &SigningSecret| issuer.is_some() && known.issuer.as_ref() == issuer;
        let mut others = self.signing.iter().filter(|known| !is_same_issuer(known));
        others.find(|known| known.blocks.overlaps(&blocks)).map(|known| known.owner.as_str())
    }

    fn resolve_one(&mut self, item: &ConfigItem<'_>, purpose: SecretUse) -> Option<Secret> {
        item.file.hide_if_guarded(&item.span);
        let bytes = self.bytes(item)?;
        warn_of_space(item, &bytes);
        warn_of_decoration(item, &bytes);
        let (key, name, is_demo_secret) = (item.key.clone(), item.name.to_owned(), demo::is_demo_secret(&bytes));
        let (is_signing, blocks) = (purpose == SecretUse::Signing, KeyBlocks::new(&bytes));
        self.resolved.push(ResolvedSecret { key, name, is_demo_secret, is_signing, blocks });
        let secret = Secret::new(bytes);
        if !is_demo_secret {
            self.record(item, &secret);
        }
        Some(secret)
    }

    /// Reads the bytes of a secret from its variable or file.
    fn bytes(&self, item: &ConfigItem<'_>) -> Option<Vec<u8>> {
        match reference(item)? {
            SecretReference::Variable(name) => {
                item.note_reference();
                variable(item, name)
            }
            SecretReference::File(path) => self.file(item, path),
        }
    }

    /// Records a secret so no output contains it, and warns if it is easy to guess. The caller that reads a URL checks
    /// the password in it.
    fn record(&mut self, item: &ConfigItem<'_>, secret: &Secret) {
        let is_url = secret.expose().windows(3).any(|window| window == b"://");
        if !is_url {
            warn_if_weak(item.file, &item.key, &format!("the secret `{}`", item.name), secret.expose());
        }
        self.secret_values.push(secret.clone());
    }

    /// Reads a secret from a file, without one newline at the end.
    fn file(&self, item: &ConfigItem<'_>, name: &str) -> Option<Vec<u8>> {
        let shown = if looks_secret(name) { "named here".to_owned() } else { quoted(name) };
        let needs = |flaw: &str| format!("needs the file {shown}, {flaw}");
        let bytes = match self.read(item, name) {
            Ok(bytes) => without_newline(bytes),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                return refuse(item, &needs("which is a directory"), "name a file that holds the secret");
            }
            Err(error) => return unreadable(item, &needs(&describe_read_error(&error))),
        };
        if bytes.is_empty() {
            return refuse(item, &needs("which is empty"), "write the secret into the file");
        }
        if let (Ok(meta), false) = (std::fs::metadata(self.dir.join(name)), demo::is_demo_secret(&bytes)) {
            warn_if_readable(item, &shown, &meta);
        }
        Some(bytes)
    }
}

enum SecretReference<'a> {
    Variable(&'a str),
    File(&'a str),
}

fn reference<'a>(item: &ConfigItem<'a>) -> Option<SecretReference<'a>> {
    let DeValue::Table(table) = item.value else { return refuse(item, "must not be written in this file", HELP) };
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        return refuse(item, "must refer to one variable or one file", HELP);
    };
    match (key.get_ref().as_ref(), value.get_ref().as_str()) {
        ("env" | "file", None) => refuse(item, "must refer to its variable or file by name", HELP),
        ("env", Some(name)) => Some(SecretReference::Variable(name)),
        ("file", Some(path)) => Some(SecretReference::File(path)),
        (other, _) => {
            let near = nearest(other, ["env", "file"]).map(|near| format!("did you mean `{near}`?"));
            refuse(item, "refers to neither a variable nor a file", near.as_deref().unwrap_or(HELP))
        }
    }
}

fn variable(item: &ConfigItem<'_>, name: &str) -> Option<Vec<u8>> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(legal) {
        return refuse(item, "has an impossible variable name", VARIABLE_HELP);
    }
    let shown = if looks_secret(name) { "named here".to_owned() } else { quoted(name) };
    let needs = |flaw: &str| format!("needs the variable {shown}, {flaw}");
    match environment::get(name) {
        None => refuse(item, &needs("which is not set"), "set it where the program is started"),
        Some(value) if value.is_empty() => refuse(item, &needs("which is empty"), "set it to the secret"),
        Some(value) => Some(std::os::unix::ffi::OsStringExt::into_vec(value)),
    }
}

const VARIABLE_HELP: &str = "write the variable's name, as in { env = \"APP_KEY\" }";

/// Warns if everyone can read the file of a secret. `shown` is the name of the file for the message.
pub(super) fn warn_if_readable(item: &ConfigItem<'_>, shown: &str, meta: &Metadata) {
    if meta.permissions().mode() & 0o004 != 0 {
        let message = format!("`{}` needs the file {shown}, which everyone on this machine can read", item.name);
        item.file.warning(&item.key, message, "remove that permission: chmod o-r");
    }
}

/// Warns of white space around a text, which is probably unintended. Random bytes may begin or end with white space, so
/// they cause no warning.
fn warn_of_space(item: &ConfigItem<'_>, secret: &[u8]) {
    let text = secret.trim_ascii();
    if text.len() < secret.len() && text.iter().all(u8::is_ascii_graphic) {
        let message = format!("the secret `{}` begins or ends with white space, which is a part of it", item.name);
        item.file.warning(&item.key, message, "remove it; only one newline at the end of a file is ignored");
    }
}

/// Decorations of a secret: the message, and the correction.
const WITH_BYTE_ORDER_MARK: (&str, &str) =
    ("begins with a byte order mark, and the mark is part of it", "save the file without it");
const IN_QUOTES: (&str, &str) = ("is in quotes, and the quotes are part of it", "remove the quotes");
const WITH_MASTER_SUFFIX: (&str, &str) = (
    "ends with `,master`, and this suffix is part of it",
    "remove it: only the header X-LC-Key of LeanCloud has it behind the key",
);

/// Warns of what editors, shells and vendors add to a secret: a byte order mark, quotes, and the suffix of LeanCloud's
/// `X-LC-Key` header.
fn warn_of_decoration(item: &ConfigItem<'_>, secret: &[u8]) {
    let text = secret.strip_prefix(BYTE_ORDER_MARK).unwrap_or(secret).trim_ascii();
    let is_quoted = |quote: u8| text.len() > 1 && text.first() == Some(&quote) && text.last() == Some(&quote);
    let decorations = [
        (secret.starts_with(BYTE_ORDER_MARK), WITH_BYTE_ORDER_MARK),
        (is_quoted(b'"') || is_quoted(b'\''), IN_QUOTES),
        (text.ends_with(b",master"), WITH_MASTER_SUFFIX),
    ];
    for (_, (what, help)) in decorations.into_iter().filter(|(is_found, _)| *is_found) {
        item.file.warning(&item.key, format!("the secret `{}` {what}", item.name), help);
    }
}

fn unreadable<T>(item: &ConfigItem<'_>, flaw: &str) -> Option<T> {
    refuse(item, flaw, "check the path, which is relative to this file's directory, and the permissions")
}

/// Removes one newline at the end of a secret.
pub(super) fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.pop_if(|last| *last == b'\n').is_some() {
        bytes.pop_if(|last| *last == b'\r');
    }
    bytes
}

/// Returns whether a name may be a secret that was written by mistake in place of the name of its variable or file. A
/// name looks like a secret if it is long and has digits and lowercase letters, but no slash. A name also looks
/// like a secret if one of its words looks random.
fn looks_secret(name: &str) -> bool {
    let digits = name.bytes().any(|byte| byte.is_ascii_digit());
    let small = name.bytes().any(|byte| byte.is_ascii_lowercase());
    let long = name.len() >= 16 && digits && small && !name.contains('/');
    long || name.split(|c: char| !c.is_ascii_alphanumeric() && c != '+').any(looks_random)
}

/// Returns whether a word mixes letters and digits as in hex, Base64 and passwords, but unlike names. The slashes of
/// Base64 split it into words, but most of these are still long enough to recognize.
fn looks_random(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|byte| kind(&byte));
    let [digits, small, capital] = [u8::is_ascii_digit, u8::is_ascii_lowercase, u8::is_ascii_uppercase].map(has);
    let hex = word.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = word.as_bytes();
    let changes = bytes.iter().zip(bytes.iter().skip(1)).filter(|(a, b)| a.is_ascii_digit() != b.is_ascii_digit());
    digits && (hex || word.len() >= 24 || word.len() >= 12 && small && capital || changes.count() >= 4)
}

/// Notes a mistake, at the key (for an element of a list, at the start of the element). The value is not shown.
fn refuse<T>(item: &ConfigItem<'_>, flaw: &str, help: &str) -> Option<T> {
    item.file.mistake(&item.key, format!("the secret `{}` {flaw}", item.name), help);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_newline_away() {
        for (text, secret) in
            [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("a", "a"), ("a\r", "a\r"), ("\n", ""), ("", "")]
        {
            assert_eq!(without_newline(text.as_bytes().to_vec()), secret.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn tells_names_from_what_may_be_secrets() {
        for name in [
            "LEANCLOUD_MASTER_KEY",
            "LEANCLOUD_MASTER_KEY_2",
            "K8S_APP1_S3_KEY2",
            "MyTalkJsSecretKey",
            "OAUTH2_CLIENT_SECRET_FOR_CHAT_V2",
            "talkjs.secret",
            "/run/secrets/talkjs",
            "/run/secrets/talkjs-0123456789",
            "/var/lib/chat-signer/2026-11/ably.secret",
            "deploy/demo/ably.secret",
            "../../../deploy/demo/caller.secret",
            "secrets/key1",
            "missing",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
        for secret in [
            "deadbeef0123456789abcdef",
            "DEADBEEF0123456789ABCDEF",
            "fake_live_0123456789",
            "appid.keyid:abcdef0123",
            "keys/FAKEFAKEFAKEFAKEFAKE1234",
            "fAk3/K3y+0123/notrealNOTREAL4567/abcDEF89==",
            "aBcD/FaKe0123kEyS+eF==",
            "f4k3k3y5",
            "FAKE1KEY2NOT3REAL4",
        ] {
            assert!(looks_secret(secret), "{secret}");
        }
    }
}
