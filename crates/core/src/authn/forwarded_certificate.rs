//! The header `x-forwarded-client-cert`, in which a proxy describes the client certificate that it has verified.
//!
//! Format: <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers>. Each proxy on the way
//! can add an element after a comma. An element has pairs of a key and a value, separated by semicolons. A value in
//! double quotes can contain all separators, and a quote after a backslash.

use super::mtls::SanType;

/// Returns the name of this kind in the certificate.
///
/// # Errors
/// Returns the flaw, in words that follow the name of the header.
pub(super) fn certificate_name(header: &str, kind: SanType) -> Result<String, &'static str> {
    let wanted = match kind {
        SanType::Uri => "uri",
        SanType::Dns => "dns",
        // The subject is a distinguished name, which several programs write in different ways.
        SanType::Cn => return Err("has no common name that can be compared"),
    };
    let mut names = pairs(header)?.into_iter().filter(|(key, _)| key.eq_ignore_ascii_case(wanted));
    match (names.next(), names.next()) {
        (Some((_, name)), None) if !name.is_empty() => Ok(name),
        (Some(_), Some(_)) => Err("has more than one name of this kind"),
        (Some(_) | None, None) | (None, Some(_)) => Err("has no name of this kind"),
    }
}

/// Splits the only element into its pairs.
fn pairs(header: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs = Vec::new();
    let (mut key, mut text) = (None, String::new());
    let mut characters = header.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if key.is_some() && text.is_empty() => {
                text = quoted(&mut characters).ok_or("has a quote that is not closed")?;
                match characters.next() {
                    None | Some(';') => pairs.push((key.take().unwrap_or_default(), std::mem::take(&mut text))),
                    Some(',') => return Err(SEVERAL),
                    Some(_) => return Err("has text after a closing quote"),
                }
            }
            '=' if key.is_none() => key = Some(std::mem::take(&mut text)),
            ';' => pairs.push((key.take().ok_or(MALFORMED)?, std::mem::take(&mut text))),
            ',' => return Err(SEVERAL),
            '"' => return Err(MALFORMED),
            other => text.push(other),
        }
    }
    match key {
        Some(key) => pairs.push((key, text)),
        None if text.is_empty() => {}
        None => return Err(MALFORMED),
    }
    Ok(pairs)
}

const SEVERAL: &str = "describes more than one certificate: let the proxy remove what clients send (SANITIZE_SET)";
const MALFORMED: &str = "is not a list of pairs such as `URI=spiffe://example.com/orders`";

/// Reads up to the closing quote.
fn quoted(characters: &mut std::str::Chars<'_>) -> Option<String> {
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => text.push(characters.next()?),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(header: &str) -> Result<String, &'static str> {
        certificate_name(header, SanType::Uri)
    }

    #[test]
    fn the_name_of_the_only_certificate_is_read() {
        let orders = Ok("spiffe://example.com/orders".to_owned());
        for header in [
            "By=spiffe://example.com/signer;Hash=468ed33b;URI=spiffe://example.com/orders",
            "Hash=468ed33b;Cert=\"-----BEGIN%20CERTIFICATE-----\";uri=spiffe://example.com/orders",
            "Hash=1;Subject=\"/C=US;URI=spiffe://example.com/admin,O=\\\"x\\\"\";URI=spiffe://example.com/orders",
            "URI=\"spiffe://example.com/orders\";DNS=orders.example.com",
            "URI=spiffe://example.com/orders;",
        ] {
            assert_eq!(uri(header), orders, "{header}");
        }
        assert_eq!(certificate_name("URI=a;DNS=orders.example.com", SanType::Dns), Ok("orders.example.com".to_owned()));
        assert_eq!(uri("URI=a=b"), Ok("a=b".to_owned()));
    }

    #[test]
    fn what_could_be_two_callers_is_refused() {
        for (header, error) in [
            ("URI=spiffe://a/admin,URI=spiffe://a/orders", SEVERAL),
            ("Hash=1;URI=spiffe://a/orders,", SEVERAL),
            ("Subject=\"x\",URI=spiffe://a/orders", SEVERAL),
            ("URI=spiffe://a/admin;URI=spiffe://a/orders", "has more than one name of this kind"),
            ("Hash=1;DNS=a", "has no name of this kind"),
            ("URI=", "has no name of this kind"),
            ("", "has no name of this kind"),
            ("URI=\"spiffe://a/orders", "has a quote that is not closed"),
            ("URI=\"spiffe://a/orders\\", "has a quote that is not closed"),
            ("URI=\"spiffe://a\"/orders", "has text after a closing quote"),
            ("URI=spiffe://a\"/orders", MALFORMED),
            ("spiffe://a/orders", MALFORMED),
            ("Hash;URI=spiffe://a/orders", MALFORMED),
        ] {
            assert_eq!(uri(header), Err(error), "{header}");
        }
        assert!(certificate_name("Subject=\"CN=orders\"", SanType::Cn).is_err());
    }
}
