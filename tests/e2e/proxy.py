"""A proxy before the local AWS, which answers in its place where a test wants it to."""

import contextlib
import http.client
import http.server
import os
import threading
import urllib.parse

import relay


class Proxy(relay.Relay):
    """Passes requests on, except those that `interfere` takes."""

    protocol_version = "HTTP/1.1"

    def interfere(self, body):
        """Whether the request is answered, or never will be."""
        return False

    def passed_on(self, body):
        there = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
        with contextlib.closing(http.client.HTTPConnection(there.hostname, there.port)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def forward(self):
        body = self.body()
        if not self.interfere(body):
            self.answer(*self.passed_on(body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = forward


@contextlib.contextmanager
def running(handler):
    """Its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
