//! Certificates of the lab: whatever name or address a guest calls the outside host by, it shows one for that, signed by
//! an authority that the guest trusts when it is told to.

use crate::error::{Error, Result};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};
use std::net::IpAddr;
use std::sync::Arc;

/// The authority, and what it vouches for.
#[derive(Clone)]
pub struct Certificates {
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    authority: String,
}

struct Resolver {
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    called: IpAddr,
}

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
        Ok(Self { issuer: Arc::new(issuer), authority })
    }

    /// The authority's certificate (PEM).
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The server's side of a connection to this address.
    pub fn connection(&self, called: IpAddr) -> std::io::Result<ServerConnection> {
        let resolver = Resolver { issuer: Arc::clone(&self.issuer), called: called.to_canonical() };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        ServerConnection::new(Arc::new(config)).map_err(std::io::Error::other)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(error.to_string()).doing("making the lab's certificates")
}

impl Resolver {
    /// For a host's name, or an address.
    fn certified(&self, name: &str) -> Result<CertifiedKey> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &*self.issuer).map_err(failed)?;
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
        // Who calls an address says no name (RFC 6066, section 3).
        let certified = match hello.server_name() {
            Some(name) => self.certified(name),
            None => self.certified(&self.called.to_string()),
        };
        certified.map(Arc::new).ok()
    }
}
