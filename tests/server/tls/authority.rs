//! Certificate authorities, and the certificates that they give out.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

/// A certificate with its key, and those that lead from it to the authority.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let (params, key) = authority(name);
        let certificate = params.self_signed(&key).unwrap();
        let pem = certificate.pem();
        Authority { issuer: Issuer::new(params, key), der: certificate.into(), pem }
    }

    /// One that this one vouches for.
    pub(crate) fn below(&self, name: &str) -> Authority {
        self.below_until(name, 2099)
    }

    /// One that this one vouches for up to the beginning of this year.
    pub(crate) fn below_until(&self, name: &str, year: i32) -> Authority {
        let (params, key) = authority(name);
        let params = valid(params, 2020, year);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pem = certificate.pem();
        Authority { issuer: Issuer::new(params, key), der: certificate.into(), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// A certificate as `params` say.
    pub(crate) fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.into()], key }
    }

    /// A server's, for this machine.
    pub(crate) fn server(&self) -> Identity {
        self.sign(&CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap())
    }

    /// A client's, with this one name.
    pub(crate) fn client(&self, name: SanType) -> Identity {
        self.sign(&client(vec![name]))
    }
}

impl Identity {
    /// With one more certificate in its chain.
    pub(crate) fn with(mut self, further: &Authority) -> Identity {
        self.chain.push(further.der());
        self
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// The chain and the key as files hold them.
    pub(crate) fn pem(&self) -> (String, String) {
        let one = |der: &CertificateDer<'_>| {
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", base64(der))
        };
        (self.chain.iter().map(one).collect(), self.key.serialize_pem())
    }
}

fn base64(der: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(der)
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = called(CertificateParams::default(), name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, KeyPair::generate().unwrap())
}

/// What a client's certificate says, valid for as long as any test runs.
pub(crate) fn client(names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The same, valid in these years alone.
pub(crate) fn valid(mut params: CertificateParams, from: i32, to: i32) -> CertificateParams {
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}

/// The same, for servers alone.
pub(crate) fn for_servers(mut params: CertificateParams) -> CertificateParams {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The same, with this common name.
pub(crate) fn called(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub(crate) fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}
