"""Whom functions and client believe: the deployed binary, before it and behind it a TLS that nobody else vouches for."""

import contextlib
import datetime
import functools
import http.server
import ipaddress
import os
import socket
import ssl
import threading
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def certificate(folder):
    """A certificate for this machine that nobody else vouches for: paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "not Amazon")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .sign(key, hashes.SHA256()))
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return paths


@contextlib.contextmanager
def tls_in_front_of(url, paths):
    """Forwards a TLS port to the one that the url names. Yields its url."""
    there = urllib.parse.urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)

    def pump(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve(connection):
        with contextlib.suppress(OSError):
            here = context.wrap_socket(connection, server_side=True)
            target = socket.create_connection((there.hostname, there.port))
            threading.Thread(target=pump, args=(here, target), daemon=True).start()
            pump(target, here)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_aws_is_whom_the_systems_roots_vouch_for(cli, stack, tmp_path):
    cli.pull()
    paths = certificate(tmp_path)
    with tls_in_front_of(os.environ["AWS_ENDPOINT_URL"], paths) as url:
        with stack.off_lambda(ENDPOINT_URL=url) as broker:
            done = cli.run("get", "app/db", "--url", broker, "--timeout", "60")
            assert done.returncode == 7 and b"503" in done.stderr, done.stderr
        with stack.off_lambda(ENDPOINT_URL=url, SSL_CERT_FILE=str(paths[0])) as broker:
            done = cli.run("get", "app/db", "--url", broker)
            assert (done.returncode, done.stdout) == (0, b"correct horse battery staple"), done.stderr


def test_the_broker_is_whom_the_clients_system_vouches_for(cli, stack, tmp_path):
    cli.pull()
    paths = certificate(tmp_path)
    with stack.off_lambda() as broker, tls_in_front_of(broker, paths) as url:
        done = cli.run("get", "app/db", "--url", url, "--timeout", "60")
        assert done.returncode == 7 and b"certificate" in done.stderr, done.stderr
        done = cli.run("get", "app/db", "--url", url, SSL_CERT_FILE=str(paths[0]))
        assert (done.returncode, done.stdout) == (0, b"correct horse battery staple"), done.stderr


def test_material_is_pulled_from_whom_the_clients_system_vouches_for(cli, tmp_path):
    cli.pull()
    paths = certificate(tmp_path)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(cli.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tls_in_front_of(f"http://127.0.0.1:{server.server_port}", paths) as url:
            changes = {"COUNTERSIGN_MATERIAL": str(tmp_path / "pulled")}
            done = cli.run("pull", "--from", url, "--timeout", "60", **changes)
            assert done.returncode == 3 and not (tmp_path / "pulled").exists(), done.stderr
            done = cli.run("pull", "--from", url, SSL_CERT_FILE=str(paths[0]), **changes)
            assert done.returncode == 0, done.stderr
        server.shutdown()
    assert cli.run("get", "app/db", **changes).stdout == b"correct horse battery staple"
