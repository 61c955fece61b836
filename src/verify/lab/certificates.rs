//! Certificates of the lab: whatever name a guest calls the outside host by, it shows one for that name, signed by an
//! authority that the guest trusts when it is told to.

use crate::error::{Error, Result};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};
use std::sync::Arc;

/// The name on a certificate for a client that says none.
const NAMELESS: &str = "lab.test";

/// The authority, and what it vouches for.
#[derive(Clone)]
pub struct Certificates {
    config: Arc<ServerConfig>,
    authority: String,
}

struct Resolver(CertifiedIssuer<'static, KeyPair>);

impl Certificates {
    /// A new authority.
    pub fn new() -> Result<Self> {
        let make = || -> std::result::Result<_, rcgen::Error> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, "goldcast lab");
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        let issuer = make().map_err(failed)?;
        let authority = AsRef::<Certificate>::as_ref(&issuer).pem();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(issuer)));
        Ok(Self { config: Arc::new(config), authority })
    }

    /// The authority's certificate (PEM).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The server's side of a connection.
    pub fn connection(&self) -> std::io::Result<ServerConnection> {
        ServerConnection::new(Arc::clone(&self.config)).map_err(std::io::Error::other)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string()).doing("making the lab's certificates")
}

impl Resolver {
    fn for_name(&self, name: &str) -> Result<CertifiedKey> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).map_err(failed)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = ring::sign::any_supported_type(&private).map_err(failed)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_name(hello.server_name().unwrap_or(NAMELESS)).map(Arc::new).ok()
    }
}
