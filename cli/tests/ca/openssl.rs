//! Certificates by OpenSSL: a root, an intermediate, and what it signs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pki::Certificate;
use tempfile::TempDir;

/// A root and an intermediate, and their keys.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self { folder: tempfile::tempdir().unwrap() };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let root = [
            "req",
            "-x509",
            "-days",
            "3650",
            "-subj",
            "/CN=Example Root CA",
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
        ];
        let constraints = ["-addext", "basicConstraints=critical,CA:TRUE,pathlen:1"];
        let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        authority.openssl(&[&root[..], &key, &constraints, &usage].concat());
        let request = ["req", "-subj", "/CN=Example Intermediate CA", "-keyout", "ca.key", "-out", "ca.csr"];
        authority.openssl(&[&request[..], &key].concat());
        authority
            .write("ca.ext", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n");
        authority.sign("root", "ca", 3000);
        // What a TLS server shows.
        let request = ["req", "-subj", "/CN=Step Online CA", "-keyout", "server.key", "-out", "server.csr"];
        authority.openssl(&[&request[..], &key].concat());
        authority.write("server.ext", "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n");
        authority.sign("ca", "server", 2);
        authority
    }

    pub fn root(&self) -> Certificate {
        self.certificate("root")
    }

    pub fn intermediate(&self) -> Certificate {
        self.certificate("ca")
    }

    pub fn server(&self) -> Certificate {
        self.certificate("server")
    }

    pub fn server_key(&self) -> String {
        self.read("server.key")
    }

    /// A certificate of a day for a request in PEM, with these names, as `DNS:web` and `IP:192.0.2.1`.
    pub fn issue(&self, csr: &str, names: &[String]) -> Certificate {
        self.write("leaf.csr", csr);
        let usage = "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth";
        self.write("leaf.ext", &format!("{usage}\nsubjectAltName={}\n", names.join(",")));
        self.sign("ca", "leaf", 1);
        self.certificate("leaf")
    }

    fn sign(&self, by: &str, name: &str, days: u32) {
        let file = |name: &str, kind: &str| format!("{name}.{kind}");
        let (csr, ext, pem) = (file(name, "csr"), file(name, "ext"), file(name, "pem"));
        let (ca, key, days) = (file(by, "pem"), file(by, "key"), days.to_string());
        let ca = ["-CA", &ca, "-CAkey", &key, "-CAcreateserial", "-days", &days];
        self.openssl(&[&["x509", "-req", "-in", &csr, "-extfile", &ext, "-out", &pem][..], &ca].concat());
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&self.read(&format!("{name}.pem"))).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn openssl(&self, arguments: &[&str]) {
        run(self.folder.path(), arguments);
    }
}

fn run(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
