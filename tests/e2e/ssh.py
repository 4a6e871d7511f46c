"""OpenSSH: its agent, keys of every kind, signatures asked for by the agent's protocol (draft-ietf-sshm-ssh-agent)."""

import base64
import dataclasses
import functools
import os
import pathlib
import re
import secrets
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa-256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa-384": ["-t", "ecdsa", "-b", "384"],
    "rsa": ["-t", "rsa", "-b", "3072"],
    "ed25519-sk": ["-t", "ed25519-sk"],
    "ecdsa-sk": ["-t", "ecdsa-sk"],
}
# With these, OpenSSH asks a desktop's user.
DESKTOP = ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE")


@dataclasses.dataclass(frozen=True)
class Key:
    path: pathlib.Path
    public: str
    fingerprint: str
    comment: str

    @property
    def blob(self):
        return base64.b64decode(self.public.split()[1])


class Agent:
    """An ssh-agent of its own, which may load the authenticator. `env` is what a process needs to find it."""

    def __enter__(self):
        # Not pytest's folder: a socket's path has 107 bytes at most.
        self.folder = tempfile.TemporaryDirectory(dir="/tmp", prefix="agent-")
        self.env = {"SSH_AUTH_SOCK": f"{self.folder.name}/s"}
        command = ["ssh-agent", "-D", "-a", self.env["SSH_AUTH_SOCK"], "-P", provider()["SSH_SK_PROVIDER"]]
        self.process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self.await_socket()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def await_socket(self):
        end = time.monotonic() + 10
        while True:
            assert self.process.poll() is None, f"ssh-agent ended with {self.process.returncode}"
            try:
                return self.connect().close()
            except OSError:
                assert time.monotonic() < end, "ssh-agent does not listen"
                time.sleep(0.01)

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(30)
            connection.connect(self.env["SSH_AUTH_SOCK"])
        except BaseException:
            connection.close()
            raise
        return connection

    def ask(self, message):
        """The agent's answer, its type first."""
        with self.connect() as connection, connection.makefile("rb") as answer:
            connection.sendall(string(message))
            (length,) = struct.unpack(">I", answer.read(4))
            return answer.read(length)

    def add(self, key, *options):
        """Adds a key, or the key of this file; `options` are ssh-add's."""
        run(["ssh-add", "-q", *options, getattr(key, "path", key)], self.env)

    def keys(self):
        """Lines as of authorized_keys."""
        done = subprocess.run(["ssh-add", "-L"], env=environment(self.env), capture_output=True, text=True, timeout=30)
        # 1: it holds none.
        assert done.returncode in (0, 1), done.stderr
        return done.stdout.splitlines() if done.returncode == 0 else []


def make_key(folder, kind, comment="of the tests", options=()):
    """A new key of one of KINDS without a passphrase. `options` are those of `ssh-keygen -O`, for keys in hardware:
    verify-required, no-touch-required, application=ssh:NAME."""
    path = pathlib.Path(folder) / f"{kind}-{secrets.token_hex(4)}"
    named = [word for option in options for word in ("-O", option)]
    run(["ssh-keygen", "-q", "-N", "", "-C", comment, *KINDS[kind], *named, "-f", path])
    public = path.with_name(f"{path.name}.pub")
    fingerprint = run(["ssh-keygen", "-lf", public]).split()[1]
    return Key(path, public.read_text().strip(), fingerprint, comment)


def sign(agent, key, data, flags=0):
    """A signature as of RFC 4253, section 6.6: the algorithm's name and the signature, each with its length. `flags`: 2
    and 4 ask an RSA key for rsa-sha2-256 and rsa-sha2-512 (RFC 8332); without, it signs with SHA-1. After that of a key
    in hardware: a byte of flags (1 user present, 4 user verified) and a counter of 32 bits (PROTOCOL.u2f)."""
    answer = agent.ask(bytes([13]) + string(key.blob) + string(data) + struct.pack(">I", flags))
    assert answer[0] == 14, f"the agent does not sign: {answer.hex()}"
    (length,) = struct.unpack(">I", answer[1:5])
    return answer[5 : 5 + length]


def string(data):
    return struct.pack(">I", len(data)) + data


def run(command, changes=None):
    environ = environment(changes)
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def environment(changes=None):
    """For OpenSSH: of this process, with the authenticator, and with no other agent than that of `changes`."""
    mine = {name: value for name, value in os.environ.items() if name not in (*DESKTOP, "SSH_AUTH_SOCK")}
    return mine | provider() | (changes or {})


@functools.cache
def provider():
    """The variables by which OpenSSH finds the library of tests/authenticator (the newest that is built, unless
    AUTHENTICATOR names one), and takes it for one of its version."""
    library = os.environ.get("AUTHENTICATOR")
    if not library:
        built = [*ROOT.glob("target/debug/libauthenticator.so"), *ROOT.glob("target/*/debug/libauthenticator.so")]
        assert built, "there is no authenticator: cargo build --package authenticator"
        library = max(built, key=lambda path: path.stat().st_mtime)
    # ssh-agent compares real paths.
    found = {"SSH_SK_PROVIDER": os.path.realpath(library)}
    # OpenSSH names its version when it refuses another.
    with tempfile.TemporaryDirectory() as folder:
        command = ["ssh-keygen", "-q", "-N", "", "-t", "ed25519-sk", "-f", f"{folder}/key"]
        refused = subprocess.run(
            command,
            env=os.environ | found | {"AUTHENTICATOR_API": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
    version = re.search(r"supported: (0x[0-9a-f]+)", refused.stderr)
    assert version, f"OpenSSH does not load {library}: {refused.stderr}"
    return found | {"AUTHENTICATOR_API": version[1]}
