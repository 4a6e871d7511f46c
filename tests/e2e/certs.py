"""`countersign cert`, and the files that it leaves, as OpenSSL reads them."""

import json
import os
import pathlib
import pty
import select
import ssl
import stat
import time

import messages
from authority import openssl
from waiting import until

FILES = {"ca.json", "certificate.pem", "chain.pem", "key.pem", "root.pem"}


def shown(certificate, *options):
    return openssl("x509", "-in", certificate, "-noout", *options).strip()


class Folder:
    """The files of a certificate."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.certificate, self.chain, self.key, self.root = (
            self.path / f"{name}.pem" for name in ("certificate", "chain", "key", "root"))

    @property
    def names(self):
        return {path.name for path in self.path.iterdir()}

    def serial(self):
        return str(int(shown(self.certificate, "-serial").split("=")[1], 16))

    def common_name(self):
        return shown(self.certificate, "-subject", "-nameopt", "RFC2253").split("CN=")[1]

    def sans(self):
        return {name.strip() for name in shown(self.certificate, "-ext", "subjectAltName").split("\n")[-1].split(",")}

    def ends(self):
        """In seconds from now."""
        return ssl.cert_time_to_seconds(shown(self.certificate, "-enddate").split("=")[1]) - time.time()

    def check(self, ca):
        """Everything is there, fits together, and leads to the CA's root."""
        assert self.names == FILES
        assert stat.S_IMODE(self.key.stat().st_mode) == 0o600
        assert shown(self.certificate, "-pubkey") == openssl("pkey", "-in", self.key, "-pubout").strip()
        assert shown(self.root, "-fingerprint", "-sha256").split("=")[1].replace(":", "").lower() == ca.fingerprint
        for purpose in ("sslserver", "sslclient"):
            openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", self.root, "-untrusted", self.chain, self.certificate)
        assert self.chain.read_text().startswith(self.certificate.read_text())
        told = json.loads((self.path / "ca.json").read_text())
        assert (told["url"], told["fingerprint"], told["subject"]) == (ca.url, ca.fingerprint, self.common_name())
        return self


class Certs:
    """The command for one deployment, with a token of an operator in a file."""

    def __init__(self, enrolment, folder):
        self.enrolment, self.folder, self.cli = enrolment, pathlib.Path(folder), enrolment.cli
        self.token = self.folder / "token"
        self.token.write_text(enrolment.token_of_registrar)

    def settings(self, changes):
        plain = {"COUNTERSIGN_GROUP": None, "COUNTERSIGN_MATERIAL": None, "SSH_AUTH_SOCK": None,
                 "XDG_STATE_HOME": str(self.folder / "state")}
        return plain | {"COUNTERSIGN_URL": self.enrolment.stack.url} | changes

    def run(self, *arguments, input=None, **changes):
        """Exit code, standard output, standard error."""
        done = self.cli.run("cert", *map(str, arguments), input=input, **self.settings(changes))
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def start(self, *arguments, **changes):
        return self.cli.start("cert", *arguments, **self.settings(changes))

    def at_a_terminal(self, *arguments, answers, **changes):
        """Exit code, and what a terminal showed. `answers` are pairs of a text that is waited for, and of what is typed then: a text,
        or what makes one."""
        process, terminal = pty.fork()
        if process == 0:
            environment = self.cli.environment(**self.settings(changes))
            os.execve(os.environ["COUNTERSIGN_BIN"], ["countersign", "cert", *map(str, arguments)], environment)
        screen, left = "", list(answers)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.5)[0]:
                continue
            try:
                screen += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                break
            if left and left[0][0] in screen:
                _, typed = left.pop(0)
                typed = typed() if callable(typed) else typed
                os.write(terminal, typed.encode())
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), screen

    def enroll(self, subject=None, *arguments, **changes):
        """The files of a certificate by the operator's token."""
        subject = subject or self.enrolment.subject()
        out = self.folder / f"{subject}-files"
        code, _, said = self.run("enroll", subject, "--out", out, "--token-file", self.token, *arguments, **changes)
        assert code == 0, said
        return Folder(out)

    def newest_code(self, subject, channel, before=0):
        """A code that arrives, once there are more than `before`."""
        received = until(lambda: self.enrolment.received(subject, channel)[before:], what="no code")
        return messages.code_in(received[-1])
