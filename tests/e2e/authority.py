"""CAs and devices of OpenSSL's making: what the broker signs is judged by code that did not."""

import hashlib
import pathlib
import secrets
import ssl
import subprocess
import time

import boto3

KEYS = {
    "ec": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ec_sec1": ["ecparam", "-genkey", "-noout", "-name", "secp384r1"],
    "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa_pkcs1": ["genrsa", "-traditional", "2048"],
}


def openssl(*arguments, **options):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def key(kind="ec"):
    """A private key, PEM: PKCS#8, or the older form that the kind names."""
    made = openssl(*KEYS[kind])
    return made[made.index("-----BEGIN"):]


def certificate_id(pem):
    """What AWS IoT calls it: the SHA-256 of the DER."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


class Device:
    """A key and a CSR for it."""

    def __init__(self, folder, subject="/C=DE/CN=device", kind="ec", extensions=()):
        self.folder = pathlib.Path(folder) / secrets.token_hex(8)
        self.folder.mkdir(parents=True)
        self.key = self.file("key.pem", key(kind))
        added = [part for extension in extensions for part in ("-addext", extension)]
        self.csr = openssl("req", "-new", "-key", self.key, "-subj", subject, *added)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def keep(self, answer):
        """The files of what a request was answered with: certificate, and its key where it was made for the device."""
        private = self.file("made.pem", answer["privateKey"]) if "privateKey" in answer else self.key
        return self.file("certificate.pem", answer["certificatePem"]), private


class Authority:
    """A CA that AWS IoT knows, with its key where the broker looks for it; `end` is YYYYMMDDHHMMSSZ."""

    def __init__(self, folder, kind="ec", register=True, end=None):
        self.folder = pathlib.Path(folder) / f"ca-{secrets.token_hex(8)}"
        self.folder.mkdir(parents=True)
        self.key, self.path = self.folder / "key.pem", self.folder / "ca.pem"
        self.key.write_text(key(kind))
        self.pem = self.sign_itself(end)
        self.path.write_text(self.pem)
        self.id = certificate_id(self.pem)
        self.iot, self.ssm = boto3.client("iot"), boto3.client("ssm")
        if register:
            self.register()
            self.store(self.key.read_text())

    def sign_itself(self, end):
        """`openssl ca` is what can sign into the past in each version."""
        configuration = self.folder / "ca.cnf"
        configuration.write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={self.folder}/index\nnew_certs_dir={self.folder}\n"
            f"rand_serial=yes\ndefault_md=sha256\npolicy=any\nx509_extensions=root\n[any]\ncommonName=supplied\n"
            "[root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
            "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=Factory CA " + secrets.token_hex(4) + "\n")
        (self.folder / "index").touch()
        request = self.folder / "request.pem"
        openssl("req", "-new", "-config", configuration, "-key", self.key, "-out", request)
        days = {name: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + after * 86400))
                for name, after in (("yesterday", -1), ("in a month", 30))}
        lifetime = ["-startdate", "20200101000000Z" if end else days["yesterday"], "-enddate", end or days["in a month"]]
        return openssl("ca", "-batch", "-notext", "-config", configuration, "-selfsign", "-keyfile", self.key, "-in", request,
                       "-preserveDN", *lifetime)

    def register(self):
        """Proves to AWS IoT that the key is ours, as the API wants it."""
        code = self.iot.get_registration_code()["registrationCode"]
        proof = Device(self.folder, f"/CN={code}")
        self.iot.register_ca_certificate(
            caCertificate=self.pem, verificationCertificate=self.sign(proof.csr), setAsActive=True)

    def sign(self, csr, days=1):
        return openssl("x509", "-req", "-CA", self.path, "-CAkey", self.key, "-CAcreateserial", "-days", days, input=csr)

    def store(self, private_key, **options):
        self.ssm.put_parameter(
            Name=f"cdf-ca-key-{self.id}", Value=private_key, Type="SecureString", Overwrite=True, **options)

    def verify(self, certificate):
        """OpenSSL's verdict of a file, as of a TLS client's certificate."""
        return openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", self.path, certificate)
