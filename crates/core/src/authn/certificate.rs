//! What a client's certificate says (X.509, RFC 5280). It is read only after the TLS library has found it good.

use x509_cert::Certificate as X509;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::{Any, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::time::Time;

use super::Thumbprint;
use crate::crypto;
use crate::model::Millis;

/// A certificate that a peer has shown, with the proof that it holds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    /// It, and those that lead from it to an authority, as they were shown, in DER.
    pub chain: Vec<Vec<u8>>,
    /// Whom it names.
    pub names: CertificateNames,
    /// The last moment at which all of the chain is valid.
    pub until: Millis,
    /// Marks the authorities that vouched for it when the connection began.
    pub authorities: [u8; 32],
}

/// Whom a certificate names, each in its own kind of name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// The URIs among its subject alternative names.
    pub uris: Vec<String>,
    /// The DNS names among them, in small letters.
    pub dns: Vec<String>,
    /// The common names (CN) of its subject. One that is no text of today is there, but empty.
    pub common: Vec<String>,
}

/// What can be said of a client's certificate when a request comes.
#[derive(Clone, Copy, Debug)]
pub enum ClientCertificate<'a> {
    /// There is none.
    Nothing,
    /// It is good.
    Valid(&'a VerifiedCertificate),
    /// It was good when the connection began, and isn't any more.
    Stale,
}

impl VerifiedCertificate {
    /// A chain that authorities with this mark have vouched for. What can't be read names nobody.
    pub fn new(chain: Vec<Vec<u8>>, authorities: [u8; 32]) -> VerifiedCertificate {
        let end = |der: &Vec<u8>| validity(der).map_or(Millis(0), |(_, end)| end);
        let until = chain.iter().map(end).min().unwrap_or(Millis(0));
        let names = chain.first().and_then(|der| X509::from_der(der).ok()).and_then(|leaf| names(&leaf));
        VerifiedCertificate { chain, names: names.unwrap_or_default(), until, authorities }
    }

    /// The SHA-256 of the certificate itself, in DER.
    pub fn thumbprint(&self) -> Option<Thumbprint> {
        self.chain.first().map(|der| crypto::sha256(der))
    }
}

/// From when to when a certificate in DER is valid, both included; none if it can't be read.
pub fn validity(der: &[u8]) -> Option<(Millis, Millis)> {
    let certificate = X509::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let at = |time: Time| Millis::from_seconds(time.to_unix_duration().as_secs());
    Some((at(validity.not_before), at(validity.not_after)))
}

fn names(certificate: &X509) -> Option<CertificateNames> {
    let certificate = certificate.tbs_certificate();
    let mut names = CertificateNames { common: common_names(certificate.subject()), ..CertificateNames::default() };
    let alternative = certificate.get_extension::<SubjectAltName>().ok()?;
    for name in alternative.iter().flat_map(|(_, SubjectAltName(names))| names) {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
            GeneralName::DnsName(name) => names.dns.push(name.as_str().to_ascii_lowercase()),
            _ => {}
        }
    }
    Some(names)
}

fn common_names(subject: &Name) -> Vec<String> {
    let attributes = subject.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    attributes.map(|attribute| text(&attribute.value).unwrap_or_default().to_owned()).collect()
}

fn text(value: &Any) -> Option<&str> {
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.as_str());
    let printable = || value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.as_str());
    let ia5 = || value.decode_as::<Ia5StringRef<'_>>().ok().map(|text| text.as_str());
    utf8.or_else(printable).or_else(ia5)
}
