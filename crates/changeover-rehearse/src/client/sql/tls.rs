//! How a connection to a database is encrypted, and which servers are believed.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where systems keep the authorities that they trust, in one file.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Which certificates of a server are good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any, as libpq has it for `prefer` and `require`.
    Any,
    /// Those of a known authority, whatever the name in them: `verify-ca`.
    Authority,
    /// The same, and the name must be the host's: `verify-full`.
    AuthorityAndName,
}

/// What the options of a URL say about certificates.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    /// `sslrootcert`; `system` for what the system trusts.
    pub(super) roots: Option<PathBuf>,
    /// `sslcert`, to show to the server.
    pub(super) certificate: Option<PathBuf>,
    /// `sslkey`, that goes with it.
    pub(super) key: Option<PathBuf>,
}

/// A connector that believes whom `trust` says.
///
/// # Errors
///
/// A clause about a file that cannot be used.
pub(super) fn connector(trust: Trust, files: &Files) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = match trust {
        Trust::AuthorityAndName => builder.with_root_certificates(roots(files)?),
        Trust::Any | Trust::Authority => {
            let chain = match trust {
                Trust::Any => None,
                _ => Some(
                    WebPkiServerVerifier::builder_with_provider(
                        Arc::new(roots(files)?),
                        Arc::clone(&provider),
                    )
                    .build()
                    .map_err(|e| e.to_string())?,
                ),
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyName { provider, chain }))
        }
    };
    let config = match (&files.certificate, &files.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = certificates("sslcert", certificate)?;
            let key_file = key;
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|e| {
                format!(
                    "the private key in {} cannot be used: {e}",
                    key_file.display()
                )
            })?;
            builder.with_client_auth_cert(chain, key).map_err(|e| {
                format!(
                    "the private key in {} does not go with the certificate in {}: {e}",
                    key_file.display(),
                    certificate.display()
                )
            })?
        }
        (Some(_), None) => return Err("sslcert=FILE needs sslkey=FILE beside it".to_owned()),
        (None, Some(_)) => return Err("sslkey=FILE needs sslcert=FILE beside it".to_owned()),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn certificates(what: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |cause: String| {
        format!(
            "the certificates of {what} in {} cannot be used: {cause}",
            file.display()
        )
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| unusable(e.to_string()))?;
    match found.is_empty() {
        true => Err(unusable("there is none".to_owned())),
        false => Ok(found),
    }
}

fn roots(files: &Files) -> Result<RootCertStore, String> {
    let file = match &files.roots {
        Some(file) if file.as_os_str() != "system" => file.clone(),
        Some(_) => SYSTEM_ROOTS
            .iter()
            .map(PathBuf::from)
            .find(|file| file.exists())
            .ok_or("sslrootcert=system finds no authorities on this machine; name their file")?,
        None => return Err("there is no sslrootcert=FILE".to_owned()),
    };
    let mut store = RootCertStore::empty();
    let (added, refused) = store.add_parsable_certificates(certificates("sslrootcert", &file)?);
    match added {
        0 => Err(format!(
            "none of the {refused} certificates of sslrootcert in {} can be used",
            file.display()
        )),
        _ => Ok(store),
    }
}

/// Overlooks the name in a certificate, and without a chain to check also who signed it. The server must still prove
/// that the certificate is its own.
#[derive(Debug)]
struct AnyName {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is looked at last: everything else was in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
