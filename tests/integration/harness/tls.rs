//! A certificate authority of the test's own.

use std::path::{Path, PathBuf};

use emr_serverless_spark_exporter::sim::TlsIdentity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// See the module.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for these names and addresses, with its key, both as PEM.
    pub fn issue_pem(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server's identity for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> TlsIdentity {
        let (certificate, key) = self.issue_pem(names);
        TlsIdentity::from_pem(&certificate, &key).unwrap()
    }

    /// Writes its own certificate to a file in a directory.
    pub fn write_to(&self, directory: &Path) -> PathBuf {
        let file = directory.join("ca.pem");
        std::fs::write(&file, self.0.pem()).unwrap();
        file
    }
}
