//! The `openssl` command in a folder of its own: it makes what we read, and judges what we write.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    fs,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

/// Nothing comes from the machine's own configuration.
const CONFIG: &str = "
[req]
distinguished_name = dn
prompt = no
utf8 = yes
[dn]
CN = device
[challenge]
challengePassword = opensesame
[unstructured]
unstructuredName = device
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[authority_for_all]
basicConstraints = CA:TRUE
[authority_for_servers]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = serverAuth
[signs_nothing]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature
[no_authority]
basicConstraints = critical, CA:FALSE
[no_constraints]
keyUsage = critical, keyCertSign
";

pub(crate) struct Openssl(TempDir);

/// Arguments of `openssl` for each kind of key.
pub(crate) const P256: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
pub(crate) const P384: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384";
pub(crate) const P521: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521";
pub(crate) const RSA_2048: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048";

impl Openssl {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("openssl.cnf"), CONFIG).unwrap();
        Self(folder)
    }

    /// Runs it on words without spaces.
    pub(crate) fn output(&self, arguments: &str) -> Output {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command.env("OPENSSL_CONF", self.0.path().join("openssl.cnf")).output().unwrap()
    }

    pub(crate) fn run(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    /// A self-signed certificate with the extensions of a section of the configuration, for a year.
    pub(crate) fn root(&self, key_pem: &str, section: &str) -> String {
        self.write("root.key", key_pem);
        self.run(&format!(
            "req -x509 -new -key root.key -subj /C=DE/O=Wasserwerke/CN=Root+OU=Devices -days 365 -extensions {section}"
        ))
    }

    /// A request, by a key and further arguments.
    pub(crate) fn request(&self, key_pem: &str, arguments: &str) -> String {
        self.write("device.key", key_pem);
        self.run(&format!("req -new -key device.key {arguments}"))
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
