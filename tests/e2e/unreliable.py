"""A proxy before the broker that delays, cuts, refuses and corrupts what it passes on, as a test wants it."""

import contextlib
import http.server
import json
import threading
import time

import relay

JOSE = {"Content-Type": "application/jose"}


def passes(handler, pass_on):
    handler.answer(*pass_on())


def answers(status, headers, body):
    """Another answer than the broker's."""
    return lambda handler, pass_on: handler.answer(status, headers, body)


def delays(seconds):
    def delayed(handler, pass_on):
        answer = pass_on()
        time.sleep(seconds)
        with contextlib.suppress(OSError):
            handler.answer(*answer)
    return delayed


def hangs_up(handler, pass_on):
    handler.close_connection = True


def cuts(handler, pass_on):
    """The connection ends in the middle of the answer."""
    status, headers, body = pass_on()
    handler.send_response_only(status)
    for name, value in JOSE.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[:len(body) // 2].encode())
    handler.close_connection = True


def alters(handler, pass_on):
    """One bit of the ciphertext is another one."""
    status, headers, body = pass_on()
    header, key, nonce, text, tag = body.split(".")
    text = text[:8] + ("A" if text[8] != "A" else "B") + text[9:]
    handler.answer(status, headers, ".".join((header, key, nonce, text, tag)))


def replays():
    """Each answer is the first one's, which was for another request."""
    kept = []

    def replayed(handler, pass_on):
        kept.append(pass_on())
        handler.answer(*kept[0])
    return replayed


def throttles(seconds, times=None):
    """With `Retry-After`; for so many requests, or for all."""
    left = [None] * (times or 10**6)

    def throttled(handler, pass_on):
        if left:
            left.pop()
            handler.answer(429, {"Retry-After": str(seconds)}, json.dumps({"message": "Too Many Requests"}))
        else:
            passes(handler, pass_on)
    return throttled


class Unreliable:
    """A context. `manner` is what happens to each exchange, `asked` when each came, by the monotonic clock."""

    def __init__(self, stack, url=None):
        """`url` is the broker's, by default the deployed one."""
        self.stack, self.broker, self.port = stack, url, 0
        self.manner, self.asked = passes, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.listen()
        return self

    def __exit__(self, *raised):
        self.leave()

    def listen(self):
        unreliable = self

        class Handler(relay.Relay):
            def do_POST(self):
                unreliable.asked.append(time.monotonic())
                body = self.body()
                post = lambda: unreliable.stack.http("POST", self.path, body, JOSE, unreliable.broker)
                unreliable.manner(self, post)

            def do_GET(self):
                self.answer(*unreliable.stack.http("GET", self.path, url=unreliable.broker))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def leave(self):
        self.server.shutdown()
        self.server.server_close()

    @contextlib.contextmanager
    def with_manner(self, manner):
        self.manner = manner
        try:
            yield
        finally:
            self.manner = passes

    @contextlib.contextmanager
    def gone(self):
        """Connections are refused."""
        self.leave()
        try:
            yield
        finally:
            self.listen()
