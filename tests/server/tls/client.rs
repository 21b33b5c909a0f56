//! A server with TLS, and clients that speak it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::common::{Answer, Connection, LONG, Server, Setup, request};
use crate::tls::authority::{Authority, Identity};

pub(crate) const V12: &[&SupportedProtocolVersion] = &[&TLS12];
pub(crate) const V13: &[&SupportedProtocolVersion] = &[&TLS13];

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Both authorities: the server's and the clients'.
pub(crate) struct World {
    pub(crate) servers: Authority,
    pub(crate) clients: Authority,
}

impl World {
    pub(crate) fn new() -> World {
        World { servers: Authority::new("fake servers"), clients: Authority::new("fake clients") }
    }

    /// A server that takes clients' certificates, with these further sections.
    pub(crate) fn serve(&self, sections: &str) -> Server {
        Server::with(self.setup(sections))
    }

    pub(crate) fn setup(&self, sections: &str) -> Setup {
        let (cert, key) = self.servers.server().pem();
        let tls = "tls = { cert = \"tls.crt\", key = \"tls.key\", client_ca = \"clients.crt\" }";
        let files = vec![("tls.crt", cert), ("tls.key", key), ("clients.crt", self.clients.pem().to_owned())];
        Setup { files, more: sections.to_owned(), ..Setup::server(tls) }
    }

    /// A client without a certificate.
    pub(crate) fn client(&self) -> Client {
        self.client_in(ALL_VERSIONS, None)
    }

    /// A client with this certificate.
    pub(crate) fn client_as(&self, identity: &Identity) -> Client {
        self.client_in(ALL_VERSIONS, Some(identity))
    }

    pub(crate) fn client_in(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.servers.der()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let config = match identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        Client(config)
    }
}

#[derive(Clone)]
pub(crate) struct Client(pub(crate) ClientConfig);

impl Client {
    pub(crate) fn offering(mut self, protocols: &[&str]) -> Client {
        self.0.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Shakes hands.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(self.0.clone()), name).unwrap();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    /// A connection that is kept.
    pub(crate) fn keep(&self, server: &Server) -> Connection<Stream> {
        Connection::on(self.connect(server.main).unwrap())
    }

    /// Asks for a login with these headers, on a connection of its own.
    pub(crate) fn login(&self, server: &Server, headers: &str) -> Answer {
        self.keep(server).ask(&login(headers))
    }

    /// What the server says to a certificate that it doesn't take. In TLS 1.3 the client has finished by then.
    pub(crate) fn refused(&self, server: &Server) -> String {
        let refused = self.connect(server.main).and_then(|mut stream| {
            stream.write_all(login("").as_bytes())?;
            stream.read_exact(&mut [0])
        });
        refused.unwrap_err().to_string()
    }
}

pub(crate) fn login(headers: &str) -> String {
    request("POST", "/v1/leancloud/login", headers, "")
}
