"""A step-ca of the tests' own, with a root and an intermediate of OpenSSL's making, and what it answers to plain HTTPS."""

import collections
import hashlib
import http.client
import json
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time

from authority import openssl

ROOT = pathlib.Path(__file__).parent.parent.parent
EXTENSIONS = """[root]
basicConstraints=critical,CA:TRUE,pathlen:1
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[intermediate]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""

Answer = collections.namedtuple("Answer", "status content")


def program():
    """The step-ca on PATH, or the one that scripts/lib.sh has built."""
    found = shutil.which("step-ca") or shutil.which("step-ca", path=ROOT / ".tools/step-ca")
    assert found, "there is no step-ca: scripts/test builds one"
    return found


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def der(pem):
    return ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE"):])


def split(pem):
    """The certificates of a PEM file, each as PEM."""
    end = "-----END CERTIFICATE-----\n"
    return [part + end for part in pem.replace("\r", "").split(end) if part.strip()]


class Files:
    """A root, and an intermediate of it with its key."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "extensions").write_text(EXTENSIONS)
        self.root = self.make("root", "Test Root")
        self.intermediate = self.make("intermediate", "Test Intermediate", issuer="root")
        self.fingerprint = hashlib.sha256(der(self.root.read_text())).hexdigest()

    def make(self, name, common_name, issuer=None):
        key, path = self.folder / f"{name}-key.pem", self.folder / f"{name}.pem"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        request = openssl("req", "-new", "-key", key, "-subj", f"/CN={common_name}")
        signer = ["-CA", self.folder / f"{issuer}.pem", "-CAkey", self.folder / f"{issuer}-key.pem", "-CAcreateserial"]
        openssl("x509", "-req", *(signer if issuer else ["-signkey", key]), "-days", 30, "-extensions", name,
                "-extfile", self.folder / "extensions", "-out", path, input=request)
        return path


class StepCa:
    """The server. `claims` are its durations; certificates begin `backdate` before they were made."""

    def __init__(self, folder, provisioners=(), claims=None, backdate="1m"):
        self.files = Files(folder)
        self.folder, self.root, self.fingerprint = self.files.folder, self.files.root, self.files.fingerprint
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.claims, self.backdate, self.provisioners = claims, backdate, list(provisioners)
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def configuration(self):
        authority = {"provisioners": self.provisioners, "backdate": self.backdate}
        return {
            "root": str(self.root), "crt": str(self.files.intermediate), "key": str(self.folder / "intermediate-key.pem"),
            "address": f"127.0.0.1:{self.port}", "dnsNames": ["127.0.0.1", "localhost"], "logger": {"format": "json"},
            "db": {"type": "badgerv2", "dataSource": str(self.folder / "db")},
            "authority": authority | ({"claims": self.claims} if self.claims else {}),
        }

    def start(self):
        path = self.folder / "ca.json"
        path.write_text(json.dumps(self.configuration()))
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([program(), path], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.ask("GET", "/health").status == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "step-ca does not answer"
            time.sleep(0.05)

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self, *provisioners):
        """Goes on with the same database and these provisioners, or with those that it had."""
        self.stop()
        self.provisioners = list(provisioners) or self.provisioners
        self.start()

    def ask(self, method, path, document=None, identity=None):
        """An answer, errors included; `identity` is the files of a certificate and its key."""
        context = ssl.create_default_context(cafile=self.root)
        if identity:
            context.load_cert_chain(*identity)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"null"))
        finally:
            connection.close()

    def sign(self, csr, token, **more):
        return self.ask("POST", "/1.0/sign", {"csr": csr, "ott": token} | more)

    def renew(self, certificate, key):
        return self.ask("POST", "/1.0/renew", identity=(certificate, key))

    def revoke(self, serial, token=None, identity=None, **more):
        order = {"serial": serial, "reasonCode": 0, "reason": "", "passive": True} | ({"ott": token} if token else {})
        return self.ask("POST", "/1.0/revoke", order | more, identity)

    def verify(self, certificate, chain, purpose="sslserver"):
        """OpenSSL's verdict of a certificate file, with the intermediates of another."""
        return openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", self.root, "-untrusted", chain, certificate)


class Request:
    """A key and a CSR for it, of OpenSSL's making, for one name and others."""

    def __init__(self, folder, common_name, sans=None, kind="ec"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key, self.certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        options = {"ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
        openssl("genpkey", "-algorithm", *options[kind], "-out", self.key)
        names = ",".join(sans if sans is not None else [f"DNS:{common_name}"])
        added = ["-addext", f"subjectAltName={names}"] if names else []
        self.pem = openssl("req", "-new", "-key", self.key, "-subj", f"/CN={common_name}", *added)
        (self.folder / "csr.pem").write_text(self.pem)

    def digest(self):
        """SHA-256 of the CSR's DER, hex."""
        path = self.folder / "csr.der"
        openssl("req", "-in", self.folder / "csr.pem", "-outform", "DER", "-out", path)
        return openssl("dgst", "-sha256", "-r", path).split()[0]

    def keep(self, answer):
        """Files of what step-ca answered: the certificate with its chain, as a TLS client shows it."""
        assert answer.status == 201, answer
        self.certificate.write_text("".join(answer.content["certChain"]))
        return self.certificate

    @property
    def identity(self):
        return self.certificate, self.key

    def serial(self):
        """In decimal, as step-ca has it."""
        return str(int(openssl("x509", "-in", self.certificate, "-noout", "-serial").strip().split("=")[1], 16))
