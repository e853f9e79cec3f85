//! Keys and certificates made for a test.

use std::path::{Path, PathBuf};

use emr_serverless_spark_exporter::sim::TlsIdentity;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// An authority; its certificates are good for a century.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and addresses, for servers and clients.
    pub fn identity(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Identity { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// The simulator's identity for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> TlsIdentity {
        let Identity { cert, key } = self.identity(names);
        TlsIdentity::from_pem(&cert, &key).unwrap()
    }

    /// Writes its own certificate to a file in a directory.
    pub fn write_to(&self, directory: &Path) -> PathBuf {
        let file = directory.join("ca.pem");
        std::fs::write(&file, self.pem()).unwrap();
        file
    }
}

impl Identity {
    /// As `NAME.crt` and `NAME.key`.
    pub fn write(&self, directory: &Path, name: &str) {
        std::fs::write(directory.join(format!("{name}.crt")), &self.cert).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), &self.key).unwrap();
    }
}
