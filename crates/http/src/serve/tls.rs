//! TLS: the certificates of the server, read once at the start.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use super::options::Tls;
use super::server::ServeError;
use super::validity::Validity;

const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

/// Reads certificate and key; the second value is the time in which the certificate is valid, if that can be read.
///
/// # Errors
/// `Pem` when a file cannot be read or holds something else, `Certificate` when certificate and key do not belong together.
pub fn acceptor(tls: &Tls) -> Result<(TlsAcceptor, Option<Validity>), ServeError> {
    let certificates = CertificateDer::pem_file_iter(&tls.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&tls.certificates, CERTIFICATE, &error))?;
    if certificates.is_empty() {
        return Err(unusable(&tls.certificates, CERTIFICATE, &pem::Error::NoItemsFound));
    }
    let validity = certificates.first().and_then(|certificate| Validity::of(certificate));
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unusable(&tls.key, KEY, &error))?;
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => ServeError::Certificate(format!(
            "`{}` is the key of another one than `{}`",
            tls.key.display(),
            tls.certificates.display()
        )),
        other => ServeError::Certificate(other.to_string()),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), validity))
}

fn unusable(path: &Path, what: &str, error: &pem::Error) -> ServeError {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("there is no {what} in PEM form in it"),
        other => other.to_string(),
    };
    ServeError::Pem { path: path.to_owned(), why }
}
