//! `[console]`: the page for moderators.

use std::time::Duration;

use serde::Serialize;

use super::endpoint;
use super::reader::{ConfigItem, Section, quoted};
use super::server::{ListenAddress, ServerConfig};
use super::text;
use crate::authn::{Authenticator, is_trustworthy};
use crate::model::check_text;

/// The maximum numbers of durations and of reasons that the page offers. More do not fit on a phone.
const MAX_DURATIONS: usize = 6;
const MAX_REASONS: usize = 20;

/// The maximum lengths of texts, in characters.
const MAX_TITLE_LENGTH: usize = 60;
const MAX_REASON_LENGTH: usize = 255;

/// The placeholder in `sign_in` for the address of the console.
const RETURN: &str = "{return}";

/// The settings of the page for moderators. The JSON form is public: everyone may read it.
#[derive(Clone, Debug, Serialize)]
pub struct ConsoleConfig {
    /// The title of the page.
    pub title: String,
    /// The page where moderators sign in. `{return}` stands for the address of the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<String>,
    /// The ways to enter a token on the page.
    pub token: Vec<&'static str>,
    /// The settings of the forms.
    #[serde(skip)]
    pub forms: ConsoleForms,
}

/// The settings of the forms. The JSON form is for authenticated callers.
#[derive(Clone, Debug, Serialize)]
pub struct ConsoleForms {
    /// The durations of bans and mutes that the page offers, as in `15m`.
    pub durations: Vec<String>,
    /// The duration that is selected first. It is one of `durations`.
    pub default_duration: String,
    /// Whether a ban or mute needs a reason: `required` or `optional`.
    pub reason: &'static str,
    /// The reasons that the page offers.
    pub reasons: Vec<ReasonTemplate>,
    /// The page of the app where users sign out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_out: Option<String>,
    /// A page with help for moderators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// A reason that the page offers.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonTemplate {
    /// The name in addresses.
    pub id: String,
    /// The reason that is stored, and that the user can see.
    pub say: String,
    /// The texts that moderators see.
    pub label: ReasonLabel,
    /// The commands that the reason is for: `ban` and `mute`.
    pub r#for: Vec<&'static str>,
    /// The duration that is selected with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}

/// The texts of a reason, by language.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonLabel {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

/// Reads `[console]`. Returns `None` if the console is not enabled.
pub(super) fn console(
    root: &mut Section<'_>,
    server: &ServerConfig,
    authenticators: &[Authenticator],
) -> Option<ConsoleConfig> {
    let mut section = root.section("console")?;
    let is_enabled = section.get("enabled").and_then(|item| item.boolean()) == Some(true);
    let title = section.get("title").and_then(|item| line(&item, MAX_TITLE_LENGTH));
    let sign_in = section.get("sign_in").and_then(|item| address(&item));
    let sign_out = section.get("sign_out").and_then(|item| endpoint::url(&item)).map(|url| url.to_string());
    let help = section.get("help").and_then(|item| endpoint::url(&item)).map(|url| url.to_string());
    let token = section.get("token").and_then(|item| item.read_unique_list(|way| way.keyword(&[("paste", "paste")])));
    let durations = section.get("durations").and_then(|item| durations(&item));
    let durations = durations.unwrap_or_else(|| ["15m", "1h", "24h", "7d"].map(str::to_owned).to_vec());
    let default_duration = section.get("default_duration").and_then(|item| known_duration(&item, &durations));
    let first =
        if durations.iter().any(|known| known == "24h") { Some("24h") } else { durations.first().map(|x| &**x) };
    let default_duration = default_duration.or_else(|| first.map(str::to_owned)).unwrap_or_default();
    let reason =
        section.get("reason").and_then(|item| item.keyword(&[("required", "required"), ("optional", "optional")]));
    let reasons = reasons(&mut section, &durations);
    if is_enabled {
        warn_of_exposure(&section, server, authenticators);
    }
    section.report_unknown_keys();
    let reason = reason.unwrap_or("required");
    let forms = ConsoleForms { durations, default_duration, reason, reasons, sign_out, help };
    let title = title.unwrap_or_else(|| "Chat moderation".to_owned());
    is_enabled.then(|| ConsoleConfig { title, sign_in, token: token.unwrap_or_default(), forms })
}

/// Reads one line of text that is not empty.
fn line(item: &ConfigItem<'_>, most: usize) -> Option<String> {
    let text = item.non_empty_text()?;
    if check_text(text).is_ok() && !text.trim().is_empty() && text.chars().count() <= most {
        return Some(text.to_owned());
    }
    item.mistake("is not a line of text", format!("write one line of at most {most} characters"))
}

/// Reads an address for browsers, which can have the placeholder.
fn address(item: &ConfigItem<'_>) -> Option<String> {
    let text = item.non_empty_text()?;
    let url = text::url_in(item, &text.replace(RETURN, "return"))?;
    if is_trustworthy(&url) && !text.replace(RETURN, "").contains(['{', '}']) {
        return Some(text.to_owned());
    }
    item.mistake(
        "is not an address for signing in",
        format!("write https://, a host and a path; {RETURN} stands for the address of the console"),
    )
}

fn durations(item: &ConfigItem<'_>) -> Option<Vec<String>> {
    let read = |item: &ConfigItem<'_>| {
        let duration = item.duration("1m", "3650d")?;
        Some((duration, item.text()?.to_owned()))
    };
    let durations: Vec<(Duration, String)> = item.read_unique_list(read)?;
    if durations.len() > MAX_DURATIONS {
        return item.mistake("has too many durations", format!("list at most {MAX_DURATIONS}"));
    }
    Some(durations.into_iter().map(|(_, text)| text).collect())
}

/// Reads one of the durations that the page offers.
fn known_duration(item: &ConfigItem<'_>, durations: &[String]) -> Option<String> {
    item.known_word("one of the durations of [console]", durations).map(str::to_owned)
}

fn reasons(section: &mut Section<'_>, durations: &[String]) -> Vec<ReasonTemplate> {
    let mut reasons: Vec<ReasonTemplate> = Vec::new();
    for mut section in section.sections("reasons") {
        let id = section.require("id", "write a short name: id = \"spam\"").and_then(|item| reason_id(&item, &reasons));
        let say = section.require("say", "write what the user is told: say = \"Spam\"");
        let say = say.and_then(|item| line(&item, MAX_REASON_LENGTH));
        let label = section.section("label").map(|mut label| {
            let [en, zh] =
                ["en", "zh"].map(|language| label.get(language).and_then(|item| line(&item, MAX_TITLE_LENGTH)));
            label.report_unknown_keys();
            [en, zh]
        });
        let commands = [("ban", "ban"), ("mute", "mute")];
        let r#for = section.get("for").and_then(|item| item.read_unique_list(|word| word.keyword(&commands)));
        let duration = section.get("duration").and_then(|item| known_duration(&item, durations));
        if reasons.len() == MAX_REASONS {
            section.file.mistake(
                &section.span,
                "[console] has too many reasons",
                format!("list at most {MAX_REASONS}"),
            );
        }
        section.report_unknown_keys();
        let (Some(id), Some(say)) = (id, say) else { continue };
        let [en, zh] = label.unwrap_or_default().map(|text| text.unwrap_or_else(|| say.clone()));
        let r#for = r#for.unwrap_or_else(|| vec!["ban", "mute"]);
        reasons.push(ReasonTemplate { id, say, label: ReasonLabel { en, zh }, r#for, duration });
    }
    reasons
}

fn reason_id(item: &ConfigItem<'_>, known: &[ReasonTemplate]) -> Option<String> {
    let id = item.non_empty_text()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_plain || id.len() > MAX_TITLE_LENGTH {
        return item.mistake(format!("can't be {}", quoted(id)), "use only small letters, digits and `-`");
    }
    if known.iter().any(|reason| reason.id == id) {
        return item
            .mistake(format!("is already the id of another reason: {}", quoted(id)), "give each reason its own id");
    }
    Some(id.to_owned())
}

/// Warns if the page would be sent without TLS, and if pages of other origins can act as a moderator.
fn warn_of_exposure(section: &Section<'_>, server: &ServerConfig, authenticators: &[Authenticator]) {
    if matches!(&server.listen, ListenAddress::Tcp(address) if !address.ip().is_loopback()) && server.tls.is_none() {
        section.file.warning(
            &section.span,
            "the console must be reached over HTTPS, but [server] listens to other machines without TLS",
            "set [server.tls], or listen on a loopback address behind a proxy with TLS",
        );
    }
    let ambient = authenticators.iter().find(|authenticator| authenticator.is_ambient());
    if let (Some(ambient), true) = (ambient, server.cors.as_ref().is_some_and(|cors| cors.credentials)) {
        let name = quoted(&ambient.common().name);
        section.file.warning(
            &section.span,
            format!("pages of the origins in [server.cors] can do everything that a moderator with a credential of {name} can do"),
            "serve the console at a host name of its own, from a server without `credentials` in [server.cors]",
        );
    }
}
