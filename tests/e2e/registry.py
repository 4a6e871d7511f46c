"""A private npm registry of the tests' own (local/registry), packages made by hand, and servers that play a registry."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import pathlib
import secrets
import shlex
import socket
import subprocess
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

import relay

ROOT = pathlib.Path(__file__).parent.parent.parent
MANIFEST = "package/groups/web/manifest.json"
POOL = "package/build/info2048.bin"


class Registry:
    def __init__(self, port):
        self.port = port
        shown = subprocess.run([ROOT / "local/registry/start", str(port)], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.environment = dict(word.split("=", 1) for word in shlex.split(shown) if "=" in word)
        self.url, self.token = self.environment["NPM_REGISTRY"], self.environment["NPM_TOKEN"]

    def stop(self):
        subprocess.run([ROOT / "local/registry/stop", str(self.port)], check=True)

    def ask(self, method, path, document=None):
        """Status and body of an answer, errors included."""
        body = None if document is None else json.dumps(document).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, method=method, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def packument(self, package):
        status, body = self.ask("GET", urllib.parse.quote(package, safe="@"))
        assert status == 200, body
        return json.loads(body)

    def versions(self, package):
        return list(self.packument(package)["versions"])

    def publish(self, package, version, tarball, **dist):
        """Publishes as npm does, with these members of `dist` changed; `None` leaves one out."""
        status, body = self.ask("PUT", urllib.parse.quote(package, safe="@"), {
            "_id": package,
            "name": package,
            "dist-tags": {"latest": version},
            "versions": {version: described(package, version, tarball, self.url, **dist)},
            "access": "restricted",
            "_attachments": {f"{package}-{version}.tgz": {
                "content_type": "application/octet-stream",
                "data": base64.b64encode(tarball).decode(),
                "length": len(tarball),
            }},
        })
        assert status == 201, body

    def stored(self, package, version):
        """Where the registry keeps a version's tarball."""
        return ROOT / f".tools/registry-{self.port}/storage/{package}/{package.split('/')[1]}-{version}.tgz"


def described(package, version, tarball, url, **dist):
    """A version's object in a packument."""
    dist = {
        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode(),
        "shasum": hashlib.sha1(tarball).hexdigest(),
        "tarball": f"{url}{package}/-/{package.split('/')[1]}-{version}.tgz",
    } | dist
    dist = {name: value for name, value in dist.items() if value is not None}
    return {"name": package, "version": version, "_id": f"{package}@{version}", "dist": dist}


def unpacked(tarball):
    """The files of a package, by their path."""
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def packed(files, *others):
    """A package of these files, by their path, behind other members: each a name and what is special about it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, special in others:
            member = tarfile.TarInfo(name)
            for attribute, value in special.items():
                setattr(member, attribute, value)
            archive.addfile(member, Zeros(member.size))
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


class Zeros:
    """A file of so many zeros."""

    def __init__(self, left):
        self.left = left

    def read(self, size):
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


class Npm:
    """The client with a registry and a package of the test's own."""

    def __init__(self, cli, registry):
        self.cli, self.registry = cli, registry
        self.package = f"@tests/keys-{secrets.token_hex(4)}"

    def run(self, *args, **changes):
        return self.cli.run(*args, **self.registry.environment | changes)

    def publish(self, **changes):
        return self.run("publish", "--from", f"s3://{self.cli.stack.bucket}", "--to", f"npm:{self.package}", **changes)

    def pull(self, version="", **changes):
        return self.run("pull", "--from", f"npm:{self.package}{version}", **changes)

    def files(self):
        """What belongs into a package of the current material."""
        manifest = self.cli.stack.manifest()
        return {MANIFEST: json.dumps(manifest).encode(), POOL: self.cli.stack.pool(manifest)}


@contextlib.contextmanager
def stand_in(answer):
    """A server on this machine that gives what `answer` does for a path: (status, headers, body). Yields its URL and the
    requests that it received: (path, headers)."""
    received = []

    class Handler(relay.Relay):
        def do_GET(self):
            path = urllib.parse.unquote(self.path)
            received.append((path, self.headers))
            self.answer(*answer(path))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        server.shutdown()


@pytest.fixture(scope="session")
def registry():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Registry(port)
    yield running
    running.stop()


@pytest.fixture
def npm(cli, registry):
    return Npm(cli, registry)
