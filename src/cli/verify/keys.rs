//! The keys that may have made a signature: the keys of the app, misread forms of them, and the keys of other apps.

use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::App;

/// A key to try.
pub(super) struct CandidateKey {
    /// The reason why the key is wrong, as a clause of a sentence. `None` if the key is correct.
    pub(super) change: Option<String>,
    /// The index of the app's key that it is or comes from, from 0.
    pub(super) index: Option<usize>,
    pub(super) secret: Secret,
}

/// All secrets of a configuration, from the view of one app.
pub(super) struct CandidateKeys {
    vendor: Vendor,
    /// The keys of the app, as in the configuration.
    own: Vec<Secret>,
    others: Vec<(String, Vec<Secret>)>,
}

impl CandidateKey {
    pub(super) fn change_count(&self) -> usize {
        usize::from(self.change.is_some())
    }
}

impl CandidateKeys {
    /// Builds the keys for an app. `all` has the name and the secrets of each app.
    pub(super) fn new(app: &App, all: Vec<(String, Vec<Secret>)>) -> CandidateKeys {
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| *name == **app.name());
        let own = own.into_iter().flat_map(|(_, secrets)| secrets).collect();
        CandidateKeys { vendor: app.vendor(), own, others }
    }

    /// Returns each key of the app: its name, if it has one, and the keys to try: the key, its misread forms, and the
    /// keys of other apps.
    pub(super) fn each(&self) -> impl Iterator<Item = (String, Vec<CandidateKey>)> {
        self.own.iter().enumerate().map(|(place, secret)| {
            let keys = misread_keys(self.vendor, secret).into_iter();
            let keys = keys.map(move |(change, secret)| CandidateKey { change, index: Some(place), secret });
            (ably_key_name(secret), keys.chain(self.others()).collect())
        })
    }

    /// Returns all keys to try. For each key of the app, the correct form comes before its misread forms.
    pub(super) fn all(&self) -> Vec<CandidateKey> {
        let own = self.own.iter().enumerate().flat_map(|(place, secret)| {
            let keys = misread_keys(self.vendor, secret).into_iter();
            keys.map(move |(change, secret)| CandidateKey { change, index: Some(place), secret })
        });
        own.chain(self.others()).collect()
    }

    fn others(&self) -> impl Iterator<Item = CandidateKey> {
        self.others.iter().flat_map(|(app, secrets)| {
            let whole_and_part = secrets.iter().flat_map(|secret| [secret.clone(), secret_part(secret)]);
            whole_and_part.map(move |secret| CandidateKey {
                change: Some(format!("it is made with the key of [apps.{app}]")),
                index: None,
                secret,
            })
        })
    }
}

/// Returns the name of an Ably key. Empty for other keys.
fn ably_key_name(secret: &Secret) -> String {
    let text = String::from_utf8_lossy(secret.expose());
    text.split_once(':').map_or_else(String::new, |(name, _)| name.to_owned())
}

/// Returns the secret part of an Ably key, or the whole key of another vendor.
fn secret_part(secret: &Secret) -> Secret {
    let bytes = secret.expose();
    let start = bytes.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    Secret::new(bytes.get(start..).unwrap_or_default().to_vec())
}

/// Returns the correct key and its misread forms.
fn misread_keys(vendor: Vendor, secret: &Secret) -> Vec<(Option<String>, Secret)> {
    let right = if vendor == Vendor::Ably { secret_part(secret) } else { secret.clone() };
    let bytes = right.expose();
    let with = |end: &[u8]| [bytes, end].concat();
    let mut wrong = vec![
        ("the key was used with a newline at its end", with(b"\n")),
        ("the key was used with a newline at its end", with(b"\r\n")),
        ("the key was used with a space at its end", with(b" ")),
        ("the key was used without the white space around it", bytes.trim_ascii().to_vec()),
    ];
    match vendor {
        Vendor::LeanCloud => wrong.push(("`,master` was used as a part of the key", with(b",master"))),
        Vendor::Ably => wrong.push(("the whole key was used, not the part after `:`", secret.expose().to_vec())),
        Vendor::TalkJs => {}
    }
    wrong.extend(hex::decode(bytes).ok().map(|bytes| ("the key was decoded as hex", bytes)));
    wrong.extend(
        crate::crypto::base64_decode(&String::from_utf8_lossy(bytes))
            .map(|bytes| ("the key was decoded as Base64", bytes)),
    );
    let wrong = wrong.into_iter().filter(|(_, taken)| taken != bytes);
    let wrong = wrong.map(|(change, taken)| (Some(change.to_owned()), Secret::new(taken)));
    std::iter::once((None, right.clone())).chain(wrong).collect()
}
