//! Whether a certificate that was good when its connection began still is.

use chat_signer::authn::{CertificateNames, VerifiedCertificate, validity};
use chat_signer::clock;
use chat_signer::config::TlsConfig;
use chat_signer::model::Millis;

use crate::tls::authority::{Authority, Identity, client, uri, valid};
use crate::tls::files::Files;

/// What a configuration with these authorities speaks TLS with.
fn tls(authorities: &[&Authority]) -> TlsConfig {
    Files::trusting(authorities).load().settings.unwrap().server.tls.unwrap()
}

/// The certificate on a connection that began under these authorities.
fn shown(identity: &Identity, begun: &TlsConfig) -> VerifiedCertificate {
    VerifiedCertificate::new(identity.chain().iter().map(|der| der.to_vec()).collect(), begun.authorities_hash())
}

#[test]
fn it_counts_up_to_the_last_moment_of_its_validity() {
    let authority = Authority::new("fake clients");
    let identity = authority.sign(&valid(client(vec![uri("spiffe://example.com/orders")]), 2020, 2090));
    let tls = tls(&[&authority]);
    let certificate = shown(&identity, &tls);
    let (_, end) = validity(&identity.chain()[0]).unwrap();
    assert_eq!(end.to_string(), "2090-01-01T00:00:00.000Z");
    assert!(tls.accepts_certificate(&certificate, clock::now()));
    assert!(tls.accepts_certificate(&certificate, end));
    assert!(!tls.accepts_certificate(&certificate, Millis(end.0 + 1000)));
}

#[test]
fn it_counts_only_as_long_as_what_leads_to_its_authority() {
    let authority = Authority::new("fake clients");
    let team = authority.below_until("fake team", 2060);
    let identity = team.sign(&valid(client(vec![uri("spiffe://example.com/orders")]), 2020, 2090)).with(&team);
    let tls = tls(&[&authority]);
    let certificate = shown(&identity, &tls);
    let (_, end) = validity(&identity.chain()[1]).unwrap();
    assert!(tls.accepts_certificate(&certificate, end));
    assert!(!tls.accepts_certificate(&certificate, Millis(end.0 + 1000)));
}

#[test]
fn it_counts_under_new_authorities_if_one_of_them_vouches_for_it() {
    let [old, new] = [Authority::new("fake old"), Authority::new("fake new")];
    let begun = tls(&[&old]);
    let certificate = shown(&old.client(uri("spiffe://example.com/orders")), &begun);
    let now = clock::now();
    assert!(begun.accepts_certificate(&certificate, now));
    assert!(tls(&[&new, &old]).accepts_certificate(&certificate, now), "one was added");
    assert!(!tls(&[&new]).accepts_certificate(&certificate, now), "its own was withdrawn");
    // Another one by the same name.
    assert!(!tls(&[&Authority::new("fake old")]).accepts_certificate(&certificate, now));
}

#[test]
fn what_can_not_be_read_names_nobody() {
    let tls = tls(&[&Authority::new("fake clients")]);
    for chain in [vec![], vec![vec![]], vec![b"nonsense".to_vec()]] {
        let certificate = VerifiedCertificate::new(chain, tls.authorities_hash());
        assert_eq!((certificate.names.clone(), certificate.valid_until), (CertificateNames::default(), Millis(0)));
        assert!(!tls.accepts_certificate(&certificate, clock::now()));
    }
}
