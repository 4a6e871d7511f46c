"""Where codes arrive: text messages and mails as the local AWS keeps them, and the receiver of a webhook."""

import collections
import http.server
import json
import os
import re
import threading
import time
import urllib.parse
import urllib.request

CHANNELS = ("sms", "mail", "webhook")
# As tests/e2e/deploy has it.
SENDER = "sender@example.com"

Received = collections.namedtuple("Received", "path headers body")


def kept(path):
    """What the local AWS shows of what it was given to send."""
    with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"] + path, timeout=30) as answer:
        return json.load(answer)


def sms(number):
    """Text messages to a number, oldest first."""
    query = urllib.parse.urlencode({"phoneNumber": number})
    return kept(f"/_ministack/sns/sms-messages?{query}")["sms_messages"][number]


def mails(address):
    """Mails to an address, oldest first."""
    accounts = kept("/_ministack/ses/messages")["messages"].values()
    return [mail for sent in accounts for mail in sent if mail["To"] == [address]]


def code_in(text):
    """The code that a message has. No other word of it may look like one: a subject of a test has no eight digits."""
    [code] = re.findall(r"(?<![0-9+])[0-9]{8}(?![0-9])", text)
    return code


class Receiver:
    """A server for webhooks on a port of this machine. It keeps what came, and answers `status`, after `pause` seconds."""

    def __init__(self, port):
        self.received, self.status, self.pause, self.location = [], 204, 0, None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self.handler())
        self.server.daemon_threads = True

    def handler(receiver):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body))
                time.sleep(receiver.pause)
                self.send_response_only(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        return Handler

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def to(self, address):
        """What came for an address of the directory, oldest first."""
        return [one for one in self.received if json.loads(one.body)["data"]["address"] == address]
