//! The contents of a client certificate (X.509, RFC 5280). They are read only after the TLS library has verified the
//! certificate.

use x509_cert::Certificate as X509;
use x509_cert::der::asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::{Any, Decode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::crypto;
use crate::model::Millis;

/// The SHA-256 hash of a certificate in DER (`x5t#S256`: RFC 8705, section 3.1).
pub type Thumbprint = [u8; 32];

/// A certificate of a peer that has proved that it holds the key of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCertificate {
    /// The certificate and its chain to an authority, as the peer sent them, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The names in the certificate.
    pub names: CertificateNames,
    /// The last moment at which the whole chain is valid.
    pub valid_until: Millis,
    /// A fingerprint of the authorities that were trusted when the connection began.
    pub authorities_fingerprint: [u8; 32],
}

/// The names in a certificate, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// The URIs of the subject alternative names.
    pub uris: Vec<String>,
    /// The DNS names of the subject alternative names, in lower case.
    pub dns_names: Vec<String>,
    /// The common names (CN) of the subject. A name in an outdated text encoding is an empty string.
    pub common_names: Vec<String>,
}

/// The state of the client certificate at the time of a request.
#[derive(Clone, Copy, Debug)]
pub enum ClientCertificate<'a> {
    /// There is no certificate.
    Absent,
    /// The certificate is valid.
    Valid(&'a VerifiedCertificate),
    /// The certificate was valid when the connection began, but it is no longer valid.
    NoLongerValid,
}

impl VerifiedCertificate {
    /// Takes a chain that authorities with this fingerprint have verified. If the certificate cannot be read, it has no
    /// names.
    pub fn new(chain: Vec<Vec<u8>>, authorities: [u8; 32]) -> VerifiedCertificate {
        let end = |der: &Vec<u8>| validity(der).map_or(Millis(0), |(_, end)| end);
        let until = chain.iter().map(end).min().unwrap_or(Millis(0));
        let names = chain.first().and_then(|der| X509::from_der(der).ok()).and_then(|leaf| names(&leaf));
        VerifiedCertificate {
            chain,
            names: names.unwrap_or_default(),
            valid_until: until,
            authorities_fingerprint: authorities,
        }
    }

    /// Returns the SHA-256 hash of the certificate itself, in DER.
    pub fn thumbprint(&self) -> Option<Thumbprint> {
        self.chain.first().map(|der| crypto::sha256(der))
    }
}

/// Returns the first and the last moment at which a certificate in DER is valid. Returns `None` if it cannot be read.
pub fn validity(der: &[u8]) -> Option<(Millis, Millis)> {
    let certificate = X509::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let at = |time: Time| Millis::from_seconds(time.to_unix_duration().as_secs());
    Some((at(validity.not_before), at(validity.not_after)))
}

fn names(certificate: &X509) -> Option<CertificateNames> {
    let certificate = certificate.tbs_certificate();
    let mut names =
        CertificateNames { common_names: common_names(certificate.subject()), ..CertificateNames::default() };
    let alternative = certificate.get_extension::<SubjectAltName>().ok()?;
    for name in alternative.iter().flat_map(|(_, SubjectAltName(names))| names) {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => names.uris.push(uri.to_string()),
            GeneralName::DnsName(name) => names.dns_names.push(name.as_str().to_ascii_lowercase()),
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
