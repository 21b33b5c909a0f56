//! The keys that a signature may have been made with: the app's own, those of other apps, and an app's own misread.

use crate::model::Vendor;
use crate::secret::Secret;
use crate::vendor::App;

/// A key to try.
pub(super) struct CandidateKey {
    /// Why it is the wrong one, in a sentence's words, if it is.
    pub(super) change: Option<String>,
    /// Which of the app's own it is or comes from, counted from 0.
    pub(super) place: Option<usize>,
    pub(super) secret: Secret,
}

/// All secrets of a configuration, seen from one app.
pub(super) struct CandidateKeys {
    vendor: Vendor,
    /// The app's own, as the configuration has them.
    own: Vec<Secret>,
    others: Vec<(String, Vec<Secret>)>,
}

impl CandidateKey {
    pub(super) fn changes(&self) -> usize {
        usize::from(self.change.is_some())
    }
}

impl CandidateKeys {
    /// `all` by the apps' names.
    pub(super) fn new(app: &App, all: Vec<(String, Vec<Secret>)>) -> CandidateKeys {
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| *name == **app.name());
        let own = own.into_iter().flat_map(|(_, secrets)| secrets).collect();
        CandidateKeys { vendor: app.vendor(), own, others }
    }

    /// The app's own keys, each on its own: its name, where keys have one, and all that it may have been taken for.
    pub(super) fn each(&self) -> impl Iterator<Item = (String, Vec<CandidateKey>)> {
        self.own.iter().enumerate().map(|(place, secret)| {
            let keys = misread(self.vendor, secret).into_iter();
            let keys = keys.map(move |(change, secret)| CandidateKey { change, place: Some(place), secret });
            (name(secret), keys.chain(self.others()).collect())
        })
    }

    /// Every key there is to try, the app's own as they should be first.
    pub(super) fn all(&self) -> Vec<CandidateKey> {
        let own = self.own.iter().enumerate().flat_map(|(place, secret)| {
            let keys = misread(self.vendor, secret).into_iter();
            keys.map(move |(change, secret)| CandidateKey { change, place: Some(place), secret })
        });
        own.chain(self.others()).collect()
    }

    fn others(&self) -> impl Iterator<Item = CandidateKey> {
        self.others.iter().flat_map(|(app, secrets)| {
            let whole_and_part = secrets.iter().flat_map(|secret| [secret.clone(), part(secret)]);
            whole_and_part.map(move |secret| CandidateKey {
                change: Some(format!("it is made with the key of [apps.{app}]")),
                place: None,
                secret,
            })
        })
    }
}

/// The name of an Ably key.
fn name(secret: &Secret) -> String {
    let text = String::from_utf8_lossy(secret.expose());
    text.split_once(':').map_or_else(String::new, |(name, _)| name.to_owned())
}

/// The part of an Ably key that signs; of other keys all.
fn part(secret: &Secret) -> Secret {
    let bytes = secret.expose();
    let start = bytes.iter().position(|byte| *byte == b':').map_or(0, |colon| colon + 1);
    Secret::new(bytes.get(start..).unwrap_or_default().to_vec())
}

/// The key as it should be, and all that it may have been taken for.
fn misread(vendor: Vendor, secret: &Secret) -> Vec<(Option<String>, Secret)> {
    let right = if vendor == Vendor::Ably { part(secret) } else { secret.clone() };
    let bytes = right.expose();
    let with = |end: &[u8]| [bytes, end].concat();
    let mut wrong = vec![
        ("the key was taken with a newline at its end", with(b"\n")),
        ("the key was taken with a newline at its end", with(b"\r\n")),
        ("the key was taken with a space at its end", with(b" ")),
        ("the key was taken without the white space around it", bytes.trim_ascii().to_vec()),
    ];
    match vendor {
        Vendor::LeanCloud => wrong.push(("`,master` was taken for a part of the key", with(b",master"))),
        Vendor::Ably => wrong.push(("the whole key was taken, not the part after `:`", secret.expose().to_vec())),
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
