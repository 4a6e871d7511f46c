"""A step-ca on whose way back an answer is lost: it signed, and nobody hears of it."""

import contextlib
import http.server
import json
import ssl
import threading

from authority import openssl

EXTENSIONS = "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1\n"


def certificate(ca, folder):
    """Of the CA's own making, for a server before it: a file with its chain and its key."""
    key, extensions, path = (folder / name for name in ("lossy-key.pem", "lossy-extensions", "lossy.pem"))
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    extensions.write_text(EXTENSIONS)
    request = openssl("req", "-new", "-key", key, "-subj", "/CN=lossy")
    made = openssl("x509", "-req", "-CA", ca.files.intermediate, "-CAkey", ca.folder / "intermediate-key.pem", "-CAcreateserial",
                   "-days", 1, "-extfile", extensions, input=request)
    path.write_text(made + ca.files.intermediate.read_text() + key.read_text())
    return path


@contextlib.contextmanager
def lossy(ca, folder):
    """Its URL, and the requests to sign that the CA granted and nobody was told of."""
    lost = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def pass_on(self):
            length = int(self.headers.get("Content-Length") or 0)
            answer = ca.ask(self.command, self.path, json.loads(self.rfile.read(length)) if length else None)
            if self.path == "/1.0/sign":
                lost.append(answer)
                self.close_connection = True
                return
            body = json.dumps(answer.content).encode()
            self.send_response_only(answer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = pass_on

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate(ca, folder))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://127.0.0.1:{server.server_port}", lost
        finally:
            server.shutdown()
