//! The certificate that a server shows, and its key.

use std::path::Path;
use std::sync::Arc;

use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use pgwire::tokio::tokio_rustls::rustls::crypto::ring::default_provider;
use pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What HTTP/2 is called where protocols are agreed on (RFC 7301).
const HTTP2: &[u8] = b"h2";

/// What a client is shown that speaks TLS.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
}

impl Tls {
    /// The certificate, with those that lead to its authority behind it, and its key, both PEM.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something else; it says which.
    pub fn read(certificates: &Path, key: &Path) -> Result<Tls, String> {
        let wrong = |path: &Path, error: &dyn std::fmt::Display| format!("{} cannot be used: {error}", path.display());
        let chain = CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| wrong(certificates, &error))?;
        if chain.is_empty() {
            return Err(wrong(certificates, &"it holds no certificate; name a PEM file with one"));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| wrong(key, &error))?;
        Ok(Tls { config: Arc::new(config) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    /// The same for HTTP/2, of which a client has to speak in the handshake (RFC 9113, section 3.2).
    pub(crate) fn http2_acceptor(&self) -> TlsAcceptor {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Arc::new(config).into()
    }
}
