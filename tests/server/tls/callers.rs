//! Callers with a certificate.

use rustls::HandshakeKind;

use crate::common::{Answer, Connection, SERVICE_KEY, Server, request, token};
use crate::tls::authority::{Identity, called, client, dns, uri};
use crate::tls::client::{Client, V12, V13, World, login};

pub(crate) const ORDERS: &str = "spiffe://example.com/orders";

/// An authenticator for these names.
pub(crate) fn mtls(san: &str, subjects: &str) -> String {
    format!(
        "[[authenticators]]\nname = \"by-{san}\"\ntype = \"mtls\"\ncaller = \"user\"\nsan = \"{san}\"\nsubjects = [{subjects}]\n"
    )
}

pub(crate) fn subject(name: &str, subject: &str) -> String {
    format!("{{ name = \"{name}\", subject = \"{subject}\" }}")
}

fn named(server: &Server, client: &Client, id: &str) -> Answer {
    let headers = "content-type: application/json\r\n";
    let body = format!("{{\"client_id\": \"{id}\"}}");
    client.keep(server).ask(&request("POST", "/v1/leancloud/login", headers, &body))
}

#[test]
fn a_caller_is_the_subject_of_its_certificate_s_name() {
    let world = World::new();
    for (san, name, identity) in [
        ("uri", ORDERS, world.clients.client(uri(ORDERS))),
        ("dns", "orders.example.com", world.clients.client(dns("Orders.Example.com"))),
        ("cn", "Orders", world.clients.sign(&called(client(vec![]), "Orders"))),
    ] {
        let server = world.serve(&mtls(san, &subject(name, "orders")));
        for versions in [V12, V13] {
            let client = world.client_in(versions, Some(&identity));
            assert_eq!(client.login(&server, "").status, 200, "{san}");
            assert_eq!(named(&server, &client, "orders").status, 200, "as itself");
            assert_eq!(named(&server, &client, "tom").status, 403, "and as nobody else");
        }
        let answer = world.client().login(&server, "");
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "without a certificate");
        assert!(answer.body.contains("a client certificate"), "{}", answer.body);
    }
}

#[test]
fn a_spiffe_id_below_a_listed_path_is_the_subject() {
    let world = World::new();
    let section =
        mtls("uri", "").replace("subjects = []", "spiffe_prefixes = [{ prefix = \"spiffe://example.com/ns/shop/\" }]");
    let server = world.serve(&section);
    let billing = "spiffe://example.com/ns/shop/sa/billing";
    let client = world.client_as(&world.clients.client(uri(billing)));
    let token = |body: &str| {
        client
            .keep(&server)
            .ask(&request("POST", "/v1/talkjs/token", "content-type: application/json\r\n", body))
            .status
    };
    assert_eq!(token(&format!("{{\"user_id\": \"{billing}\"}}")), 200, "as itself");
    assert_eq!(token("{\"user_id\": \"spiffe://example.com/ns/shop/sa/orders\"}"), 403, "and as nobody else");
    for other in [
        "spiffe://example.com/ns/shop2/sa/billing",
        "spiffe://example.com/ns/shop/../admin",
        "spiffe://example.com/ns/shop//x",
    ] {
        let answer = world.client_as(&world.clients.client(uri(other))).login(&server, "");
        assert_eq!(answer.status, 401, "{other}");
    }
}

#[test]
fn a_service_is_known_by_its_subject() {
    let world = World::new();
    let service = mtls("uri", &subject(ORDERS, "orders")).replace("\"user\"", "\"service\"");
    let server = world.serve(&service);
    let answer = world.client_as(&world.clients.client(uri(ORDERS))).login(&server, "");
    assert_eq!(answer.status, 400, "a service has no client of its own: {answer:?}");
}

#[test]
fn roles_stand_beside_the_name() {
    let world = World::new();
    let owner = format!("{{ name = \"{ORDERS}\", subject = \"orders\", roles = [\"member\", \"owner\"] }}");
    let identity = world.clients.client(uri(ORDERS));
    for (subjects, status) in [(owner, 200), (subject(ORDERS, "orders"), 403)] {
        let server = world.serve(&mtls("uri", &subjects));
        let body = "{\"conv_id\": \"5f3c2a1b9e8d7c6b5a493827\", \"members\": [\"tom\"]}";
        let kick = request("POST", "/v1/leancloud/kick", "content-type: application/json\r\n", body);
        assert_eq!(world.client_as(&identity).keep(&server).ask(&kick).status, status, "{subjects}");
    }
}

#[test]
fn explain_knows_a_certificate_s_caller_and_its_roles() {
    let owner = format!("{{ name = \"{ORDERS}\", subject = \"orders\", roles = [\"owner\"] }}");
    let server = World::new().serve(&mtls("uri", &format!("{owner}, {}", subject("spiffe://example.com/a", "a"))));
    let explain = |user: &str, roles: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chat-signer"));
        command.args(["explain", "leancloud", "kick", "--conv-id", "5f3c2a1b9e8d7c6b5a493827", "--members", "tom"]);
        command.args(["--authenticator", "by-uri", "--as", user]).args(roles);
        command.arg("--config").arg(server.directory.join("signer.toml")).output().unwrap()
    };
    assert_eq!(explain("orders", &[]).status.code(), Some(0));
    assert_eq!(explain("orders", &["--roles", "owner"]).status.code(), Some(0));
    assert_eq!(explain("a", &[]).status.code(), Some(1));
    let claimed = explain("a", &["--roles", "owner"]);
    assert_eq!(claimed.status.code(), Some(1));
    assert!(
        format!("{claimed:?}").contains("gives only the roles that the configuration lists for the certificate"),
        "{claimed:?}"
    );
    assert_ne!(explain("tom", &[]).status.code(), Some(0), "nobody is called so");
}

#[test]
fn names_that_are_not_listed_are_nobody_s() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    for name in [
        "spiffe://example.com/orders2",
        "spiffe://example.com/order",
        "spiffe://example.com/orders/",
        "spiffe://EXAMPLE.com/orders",
        "spiffe://example.com/ORDERS",
        "spiffe://example.com/%6frders",
        "spiffe://example.org/orders",
        "https://example.com/orders",
        "orders",
    ] {
        let answer = world.client_as(&world.clients.client(uri(name))).login(&server, "");
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{name}");
        assert!(!answer.body.contains(name) || name == "orders", "{}", answer.body);
    }
    // Another kind of name is not the same name.
    let params = called(client(vec![dns("orders.example.com")]), ORDERS);
    for identity in [world.clients.sign(&params), world.clients.sign(&client(vec![]))] {
        assert_eq!(world.client_as(&identity).login(&server, "").status, 401);
    }
}

#[test]
fn a_certificate_that_could_be_two_callers_is_neither() {
    let world = World::new();
    let ask = |san: &str, subjects: &[(&str, &str)], identity: &Identity| {
        let subjects: Vec<_> = subjects.iter().map(|(name, own)| subject(name, own)).collect();
        world.client_as(identity).login(&world.serve(&mtls(san, &subjects.join(", "))), "").status
    };
    let other = "spiffe://example.com/billing";
    let uris = world.clients.sign(&client(vec![uri(ORDERS), uri(other)]));
    assert_eq!(ask("uri", &[(ORDERS, "orders")], &uris), 401, "SPIFFE knows no two");
    assert_eq!(ask("uri", &[(ORDERS, "orders"), (other, "billing")], &uris), 401);
    assert_eq!(ask("uri", &[(ORDERS, "orders"), (other, "orders")], &uris), 401);

    let hosts = world.clients.sign(&client(vec![dns("a.example.com"), dns("b.example.com"), uri(other)]));
    assert_eq!(ask("dns", &[("a.example.com", "orders")], &hosts), 200, "servers have many");
    assert_eq!(ask("dns", &[("a.example.com", "orders"), ("b.example.com", "orders")], &hosts), 200);
    assert_eq!(ask("dns", &[("a.example.com", "orders"), ("b.example.com", "billing")], &hosts), 401);
    assert_eq!(ask("uri", &[(other, "billing")], &hosts), 200, "the one URI");
}

#[test]
fn authorities_in_between_are_shown_by_the_caller() {
    let world = World::new();
    let team = world.clients.below("fake team");
    let identity = team.client(uri(ORDERS)).with(&team);
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    for versions in [V12, V13] {
        assert_eq!(world.client_in(versions, Some(&identity)).login(&server, "").status, 200);
    }
}

#[test]
fn a_session_is_resumed_as_its_caller_and_without_early_data() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    for versions in [V12, V13] {
        let mut client = world.client_in(versions, Some(&world.clients.client(uri(ORDERS))));
        client.0.enable_early_data = true;
        assert_eq!(client.login(&server, "").status, 200);
        let mut again = client.connect(server.main).unwrap();
        assert_eq!(again.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        assert!(again.conn.early_data().is_none());
        let mut again = Connection::on(again);
        assert_eq!(again.ask(&login("")).status, 200);
    }
}

#[test]
fn each_authenticator_looks_at_its_own_names() {
    let world = World::new();
    let host = subject("a.example.com", "mallory");
    let server = world.serve(&format!("{}{}", mtls("uri", &subject(ORDERS, "orders")), mtls("dns", &host)));
    let ask = |names| world.client_as(&world.clients.sign(&client(names))).login(&server, "").status;
    assert_eq!(ask(vec![uri(ORDERS)]), 200);
    // The policy of these tests bans mallory.
    assert_eq!(ask(vec![dns("a.example.com")]), 403);
    assert_eq!(ask(vec![uri("spiffe://example.com/else"), dns("a.example.com")]), 403, "the second knows it");
    assert_eq!(ask(vec![uri(ORDERS), dns("a.example.com")]), 200, "the first in the file decides");
    assert_eq!(ask(vec![uri("spiffe://example.com/else")]), 401);
}

#[test]
fn explicit_credentials_come_first_and_bad_ones_are_not_passed_over() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    for name in [ORDERS, "spiffe://example.com/else"] {
        let client = world.client_as(&world.clients.client(uri(name)));
        assert_eq!(client.login(&server, &format!("authorization: Bearer {}\r\n", token("tom"))).status, 200);
        assert_eq!(client.login(&server, &format!("authorization: Bearer {}\r\n", token("mallory"))).status, 403);
        assert_eq!(client.login(&server, &format!("x-api-key: {SERVICE_KEY}\r\n")).status, 400);
        assert_eq!(client.login(&server, "authorization: Bearer nonsense\r\n").status, 401);
        assert_eq!(client.login(&server, "x-api-key: nonsense\r\n").status, 401);
    }
}

#[test]
fn nobody_else_can_be_called_like_a_certificate_s_caller() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "tom")));
    let ask = |user: &str| world.client().login(&server, &format!("authorization: Bearer {}\r\n", token(user))).status;
    assert_eq!(ask("tom"), 401);
    assert_eq!(ask("alice"), 200);
    // Services are others than users.
    let service = mtls("uri", &subject(ORDERS, "tom")).replace("\"user\"", "\"service\"");
    let server = world.serve(&service);
    let bearer = format!("authorization: Bearer {}\r\n", token("tom"));
    assert_eq!(world.client().login(&server, &bearer).status, 200);
}

const INGRESS: &str = r#"
[[authenticators]]
name = "ingress"
type = "forwarded"
caller = "user"
header = "x-forwarded-user"
trusted_proxies = ["127.0.0.1/32"]
"#;

#[test]
fn a_certificate_never_answers_for_those_its_holder_forwards() {
    let world = World::new();
    let identity = world.clients.client(uri(ORDERS));
    let own = mtls("uri", &subject(ORDERS, "orders"));
    let server = world.serve(&format!("{own}{INGRESS}"));
    let client = world.client_as(&identity);
    assert_eq!(client.login(&server, "x-forwarded-user: tom\r\n").status, 200);
    assert_eq!(client.login(&server, "x-forwarded-user: mallory\r\n").status, 403);
    for lost in ["", "x-forwarded-user:\r\n", "connection: x-forwarded-user\r\n"] {
        let answer = client.login(&server, lost);
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthenticated"), "{lost}");
    }
    // Nor where the proxy is not one of those configured, or its callers may not use the app.
    let server = world.serve(&format!("{own}{}", INGRESS.replace("127.0.0.1/32", "192.0.2.1/32")));
    assert_eq!(client.login(&server, "x-forwarded-user: tom\r\n").status, 401);
    assert_eq!(client.login(&server, "").status, 200, "at another address than the proxies' it is itself");
    let server = world
        .serve(&format!("{own}{}", INGRESS.replace("trusted_proxies =", "apps = [\"talkjs\"]\ntrusted_proxies =")));
    for headers in ["x-forwarded-user: tom\r\n", ""] {
        assert_eq!(client.login(&server, headers).status, 401, "{headers}");
    }
}

#[test]
fn other_sites_pages_can_not_use_a_certificate() {
    let world = World::new();
    let server = world.serve(&mtls("uri", &subject(ORDERS, "orders")));
    let client = world.client_as(&world.clients.client(uri(ORDERS)));
    for (origin, status) in
        [("https://localhost", 200), ("http://localhost", 403), ("https://evil.example", 403), ("null", 403)]
    {
        assert_eq!(client.login(&server, &format!("origin: {origin}\r\n")).status, status, "{origin}");
    }
    assert_eq!(client.login(&server, "sec-fetch-site: cross-site\r\n").status, 403);
}

#[test]
fn headers_that_tell_of_certificates_mean_nothing() {
    let world = World::new();
    let certificate = world.clients.client(uri(ORDERS)).pem().0.replace('\n', " ");
    let authenticator = mtls("uri", &subject(ORDERS, "orders"));
    let plain = Server::with(crate::common::Setup::more(&authenticator));
    let secure = world.serve(&authenticator);
    for header in [
        format!("x-forwarded-client-cert: URI={ORDERS}"),
        format!("client-cert: :{certificate}:"),
        format!("x-client-cert: {certificate}"),
        format!("ssl-client-cert: {certificate}"),
        "x-ssl-client-verify: SUCCESS\r\nx-ssl-client-s-dn: CN=orders".to_owned(),
    ] {
        assert_eq!(plain.ask(&login(&format!("{header}\r\n"))).status, 401, "{header}");
        assert_eq!(world.client().login(&secure, &format!("{header}\r\n")).status, 401, "{header}");
    }
}
