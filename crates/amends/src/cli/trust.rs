//! Which server certificates are trusted besides those that the system trusts.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::exit::{Exit, Failure};

/// Reads certificates.
pub fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |why: &str| {
        let what = format!("--ca: {} cannot be used: {why}", path.display());
        Failure::new(Exit::Usage, what)
            .hint("it holds certificates as PEM, -----BEGIN CERTIFICATE-----")
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error.to_string()))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let read = read.map_err(|error| wrong(&error.to_string()))?;
    if read.is_empty() { Err(wrong("there is no certificate in it")) } else { Ok(read) }
}

/// Trusts what the roots vouch for, and a server that shows exactly one of these certificates: one
/// that has signed itself is mostly marked as an authority, and then no server's by the rules.
pub fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
    shown: Vec<CertificateDer<'static>>,
) -> Result<Arc<dyn ServerCertVerifier>, Failure> {
    let rules = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let rules = rules.map_err(|error| Failure::new(Exit::Usage, format!("--ca: {error}")))?;
    Ok(Arc::new(Trust { rules, shown }))
}

#[derive(Debug)]
struct Trust {
    rules: Arc<WebPkiServerVerifier>,
    shown: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // That the server has the certificate's key is checked with its signature, as always.
        if self.shown.iter().any(|known| known == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.rules.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.rules.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.rules.supported_verify_schemes()
    }
}
