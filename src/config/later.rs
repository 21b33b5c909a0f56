//! What is read and checked in full, but can't be used yet.

use std::net::SocketAddr;

use super::file::{File, Span};
use super::reader::{Item, Section, quoted};
use super::secret::Vault;

/// Notes that something is understood but can't be had yet.
pub(super) fn refuse(file: &File<'_>, place: &Span, what: &str) {
    file.mistake(place, format!("{what} is not supported yet"), "leave it out for now");
}

/// `tls` and `leancloud_compat` of `[server]`.
pub(super) fn server(section: &mut Section<'_>, leancloud: &[String]) {
    if let Some(item) = section.get("tls") {
        tls(section, &item);
        refuse(section.file, &item.key, "`tls`");
    }
    if let Some(item) = section.get("leancloud_compat") {
        item.one_of("a configured LeanCloud app", leancloud);
        refuse(section.file, &item.key, "`leancloud_compat`");
    }
}

fn tls(server: &Section<'_>, item: &Item<'_>) {
    let Some(mut tls) = item.section(server.title_below("tls")) else { return };
    for (key, what) in [("cert", "the certificate chain"), ("key", "its private key")] {
        let help = format!("write the path of the PEM file with {what}");
        tls.need(key, &help).and_then(|item| item.filled());
    }
    tls.get("client_ca").and_then(|item| item.filled());
    tls.finish();
}

/// `unix:PATH` where an address to listen on is due.
pub(super) fn unix_socket(item: &Item<'_>, path: &str) -> Option<SocketAddr> {
    if path.is_empty() {
        return item.refuse("names no socket", "write its path: \"unix:/run/chat-signer.sock\"");
    }
    refuse(item.file, &item.span, "listening on a Unix socket");
    None
}

/// Reads the keys of one table.
type Reader = fn(&mut Section<'_>, &mut Vault);

/// `[limits]`, `[facts]`, `[store]` and `[[webhooks]]`.
pub(super) fn sections(root: &mut Section<'_>, vault: &mut Vault) {
    for (key, read) in [("limits", limits as Reader), ("facts", facts), ("store", store)] {
        if let Some(mut section) = root.section(key) {
            read(&mut section, vault);
            refuse(section.file, &section.span, &section.title);
            section.finish();
        }
    }
    for mut section in root.sections("webhooks") {
        section.need("url", "write where to: url = \"https://…\"").and_then(|item| url(&item));
        secret(&mut section, "secret", true, vault);
        refuse(section.file, &section.span, &section.title);
        section.finish();
    }
}

fn limits(section: &mut Section<'_>, _: &mut Vault) {
    for key in ["per_caller", "per_address"] {
        section.get(key).and_then(|item| item.rate());
    }
    for key in ["in_flight", "connections"] {
        section.get(key).and_then(|item| item.integer(1..=1_000_000));
    }
    section.get("trusted_proxies").and_then(|item| item.each(network));
}

fn facts(section: &mut Section<'_>, vault: &mut Vault) {
    section.need("url", "write whom to ask: url = \"https://…\"").and_then(|item| url(&item));
    secret(section, "bearer", false, vault);
    section.get("cache").and_then(|item| item.duration("0s", "1h"));
}

fn store(section: &mut Section<'_>, vault: &mut Vault) {
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        Redb,
        Redis,
        Memory,
    }
    let words = [("redb", Type::Redb), ("redis", Type::Redis), ("memory", Type::Memory)];
    let kind =
        section.need("type", "write type = \"redb\", \"redis\" or \"memory\"").and_then(|item| item.word(&words));
    match kind {
        Some(Type::Redb) => {
            section.need("path", "write the file's path: path = \"chat-signer.redb\"").and_then(|item| item.filled());
        }
        Some(Type::Redis) => {
            secret(section, "url", true, vault);
            section.get("prefix").and_then(|item| item.filled());
        }
        Some(Type::Memory) => {}
        None => _ = (section.get("path"), section.get("url").map(|item| vault.secrets(&item)), section.get("prefix")),
    }
    section.get("max_staleness").and_then(|item| item.duration("1s", "1h"));
}

/// `[apps.*.enforcement]`.
pub(super) fn enforcement(app: &mut Section<'_>) {
    let Some(mut section) = app.section("enforcement") else { return };
    section.get("enabled").and_then(|item| item.boolean());
    section.get("url").and_then(|item| url(&item));
    refuse(section.file, &section.span, &section.title);
    section.finish();
}

/// Reads the keys of an authenticator of a type that can't be used yet.
pub(super) fn authenticator(section: &mut Section<'_>, kind: &str, vault: &mut Vault, leancloud: &[String]) {
    match kind {
        "forwarded" => forwarded(section),
        "introspection" => introspection(section),
        "leancloud-session" => leancloud_session(section, vault, leancloud),
        "mtls" => mtls(section),
        _ => peer(section),
    }
}

fn forwarded(section: &mut Section<'_>) {
    section.need("header", "name it: header = \"x-forwarded-user\"").and_then(|item| header(&item));
    section.get("roles_header").and_then(|item| header(&item));
    section.need("from", "list the proxies: from = [\"127.0.0.1/32\"]").and_then(|item| item.each(network));
}

fn introspection(section: &mut Section<'_>) {
    section.need("url", "write whom to ask: url = \"https://…\"").and_then(|item| url(&item));
    if let Some(mut forward) = section.section("forward") {
        for key in ["cookies", "headers"] {
            let items = forward.get(key).and_then(|item| item.elements("write a list of names"));
            items.into_iter().flatten().for_each(|item| _ = item.filled());
        }
        forward.finish();
    }
    for key in ["subject", "roles"] {
        section.get(key).and_then(|item| claim_name(&item));
    }
    section.get("cache").and_then(|item| item.duration("0s", "1h"));
}

fn leancloud_session(section: &mut Section<'_>, vault: &mut Vault, leancloud: &[String]) {
    let app = section.need("app", "write which LeanCloud app's users these are");
    app.and_then(|item| item.one_of("a configured LeanCloud app", leancloud));
    section.need("url", "write the app's API address: url = \"https://…\"").and_then(|item| url(&item));
    secret(section, "app_key", true, vault);
}

fn mtls(section: &mut Section<'_>) {
    section
        .need("san", "write san = \"uri\", \"dns\" or \"cn\"")
        .and_then(|item| item.word(&[("uri", ()), ("dns", ()), ("cn", ())]));
    for mut subject in section.sections("subjects") {
        for key in ["name", "subject"] {
            subject.need(key, "write { name = \"…\", subject = \"…\" }").and_then(|item| item.filled());
        }
        subject.finish();
    }
}

fn peer(section: &mut Section<'_>) {
    let given = ["uids", "gids"].map(|key| section.get(key));
    if given.iter().all(Option::is_none) {
        section.file.missing(
            &section.span,
            format!("{} has neither `uids` nor `gids`", section.title),
            "list whom to trust",
        );
    }
    for item in given.iter().flatten() {
        item.each(|item| item.integer(0..=u32::MAX));
    }
}

fn secret(section: &mut Section<'_>, key: &'static str, needed: bool, vault: &mut Vault) {
    let help = format!("write {key} = {{ env = \"NAME\" }} or {{ file = \"PATH\" }}");
    let item = if needed { section.need(key, &help) } else { section.get(key) };
    item.and_then(|item| vault.secrets(&item));
}

/// A header's name, as HTTP/2 spells it.
pub(super) fn header(item: &Item<'_>) -> Option<http::HeaderName> {
    let text = item.filled()?;
    let name = http::HeaderName::from_lowercase(text.as_bytes()).ok();
    name.or_else(|| {
        item.refuse(format!("can't be {}", quoted(text)), "write a header's name in small letters, as in \"x-api-key\"")
    })
}

/// A claim's name: a literal one, or a JSON pointer.
pub(super) fn claim_name(item: &Item<'_>) -> Option<String> {
    let text = item.filled()?;
    let escapes = text.match_indices('~').all(|(at, _)| text[at + 1..].starts_with(['0', '1']));
    if text.starts_with('/') && !escapes {
        return item.refuse("is no JSON pointer", "write ~0 for `~` and ~1 for `/` inside a name");
    }
    Some(text.to_owned())
}

/// An `http` or `https` address. One with a password in it isn't shown.
pub(super) fn url(item: &Item<'_>) -> Option<http::Uri> {
    const HELP: &str = "write https://, a host and a path";
    let text = item.filled()?;
    if text.contains('@') {
        item.file.hide_if_guarded(&item.span);
        item.file.mistake(&item.key, format!("`{}` must not hold a user or password", item.name), HELP);
        return None;
    }
    let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
    let web = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    web.or_else(|| item.refuse("is no http or https address", HELP))
}

/// A network, as in `127.0.0.1/32` or `::1/128`.
fn network(item: &Item<'_>) -> Option<(std::net::IpAddr, u8)> {
    let text = item.filled()?;
    let parsed = text
        .split_once('/')
        .and_then(|(ip, bits)| Some((ip.parse::<std::net::IpAddr>().ok()?, bits.parse::<u8>().ok()?)));
    let network = parsed.filter(|(ip, bits)| *bits <= if ip.is_ipv4() { 32 } else { 128 });
    network.or_else(|| {
        item.refuse(
            format!("has {}, which is no network", quoted(text)),
            "write an address and how many bits count, as in \"127.0.0.1/32\"",
        )
    })
}
