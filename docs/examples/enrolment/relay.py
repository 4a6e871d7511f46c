"""Passes enrolment codes on to Telegram, Slack and Matrix: what a deployment's WEBHOOK_URL leads to.

pip install standardwebhooks==1.1.0
WEBHOOK_KEY=whsec_... TELEGRAM_TOKEN=... python3 relay.py 127.0.0.1:8800    # behind something that speaks TLS

A subject's address in the directory says where to: telegram:CHAT, slack:CHANNEL or matrix:ROOM. Nothing is logged: codes
are secret.
"""

import http.server
import json
import os
import sys
import urllib.parse
import urllib.request

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 16 * 1024


def telegram(chat, text, _):
    api = os.environ.get("TELEGRAM_API", "https://api.telegram.org")
    return call("POST", f"{api}/bot{os.environ['TELEGRAM_TOKEN']}/sendMessage", {"chat_id": chat, "text": text})


def slack(channel, text, _):
    api, token = os.environ.get("SLACK_API", "https://slack.com"), os.environ["SLACK_TOKEN"]
    said = call("POST", f"{api}/api/chat.postMessage", {"channel": channel, "text": text}, token)
    if not said.get("ok"):
        raise OSError("Slack did not take it")


def matrix(room, text, message_id):
    # The message's id makes a repeated one a single message there.
    path = "/".join(urllib.parse.quote(part, safe="") for part in (room, "send", "m.room.message", message_id))
    url = f"{os.environ['MATRIX_SERVER']}/_matrix/client/v3/rooms/{path}"
    return call("PUT", url, {"msgtype": "m.text", "body": text}, os.environ["MATRIX_TOKEN"])


SERVICES = {"telegram": telegram, "slack": slack, "matrix": matrix}


def call(method, url, body, token=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=4) as answer:
        return json.load(answer)


class Relay(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(self.relay())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def relay(self):
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MAX_BODY:
            return 413
        try:
            # Signature and time: what is older than five minutes is refused.
            message = Webhook(os.environ["WEBHOOK_KEY"]).verify(self.rfile.read(length), dict(self.headers.items()))
        except WebhookVerificationError:
            return 401
        service, _, place = message["data"]["address"].partition(":")
        if service not in SERVICES:
            return 422
        try:
            SERVICES[service](place, message["data"]["text"], self.headers["webhook-id"])
        except (OSError, KeyError, ValueError):
            return 502
        return 204

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    http.server.ThreadingHTTPServer((host, int(port)), Relay).serve_forever()
