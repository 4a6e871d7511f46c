"""docs/examples/enrolment/relay.py passes on what the deployed broker sends."""

import collections
import http.server
import json
import os
import pathlib
import secrets
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

import messages
import relay
from stack import STACK
from step_ca import free_port
from waiting import until

RELAY = pathlib.Path(__file__).parent.parent.parent / "docs/examples/enrolment/relay.py"

Call = collections.namedtuple("Call", "method path token content")


class Services(http.server.ThreadingHTTPServer):
    """Telegram, Slack and Matrix at once."""

    def __init__(self):
        self.calls, self.says = [], {"ok": True}
        super().__init__(("127.0.0.1", 0), Service)


class Service(relay.Relay):
    def do_POST(self):
        content = json.loads(self.body())
        self.server.calls.append(Call(self.command, self.path, self.headers.get("Authorization"), content))
        self.answer(200, {}, json.dumps(self.server.says))

    do_PUT = do_POST


@pytest.fixture(scope="module")
def services():
    with Services() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def relayed(enrolment, services):
    """Gives the relay a webhook as it came, or altered: the status of its answer."""
    port, here = free_port(), f"http://127.0.0.1:{services.server_port}"
    key = enrolment.secrets.get_secret_value(SecretId=f"{STACK}/enroll/webhook-key")["SecretString"]
    settings = {"WEBHOOK_KEY": f"whsec_{key}", "TELEGRAM_TOKEN": "of-telegram", "SLACK_TOKEN": "of-slack",
                "MATRIX_TOKEN": "of-matrix", "TELEGRAM_API": here, "SLACK_API": here, "MATRIX_SERVER": here}

    def send(one, **changes):
        headers = one.headers | {name.replace("_", "-"): value for name, value in changes.items() if name != "body"}
        body = changes.get("body", one.body)
        request = urllib.request.Request(f"http://127.0.0.1:{port}", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except urllib.error.URLError:
            return None

    with subprocess.Popen([sys.executable, RELAY, f"127.0.0.1:{port}"], env=os.environ | settings) as process:
        try:
            nothing = messages.Received("/", {}, b"{}")
            until(lambda: send(nothing) == 401)
            yield send
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def subjects(enrolment):
    """By service."""
    run = secrets.token_hex(3)
    made = {"telegram": "42", "slack": "C024BE91L", "matrix": "!room:example.com", "pigeon": "7"}
    addresses = {f"{service}-{run}": {"webhook": f"{service}:{place}"} for service, place in made.items()}
    enrolment.put_subjects(addresses, "relayed")
    enrolment.addresses |= addresses
    enrolment.stack.restart("enroll")
    yield {service: f"{service}-{run}" for service in made}
    enrolment.stack.s3.delete_object(Bucket=enrolment.stack.bucket, Key="subjects/relayed.json")
    enrolment.stack.restart("enroll")


def webhook(enrolment, subject):
    """A new one, with the code that is in it."""
    code = enrolment.code(subject)
    return enrolment.receiver.to(enrolment.addresses[subject]["webhook"])[-1], code


@pytest.mark.parametrize("service, method, path, token, place", [
    ("telegram", "POST", "/botof-telegram/sendMessage", None, ("chat_id", "42")),
    ("slack", "POST", "/api/chat.postMessage", "Bearer of-slack", ("channel", "C024BE91L")),
    ("matrix", "PUT", "/_matrix/client/v3/rooms/%21room%3Aexample.com/send/m.room.message/", "Bearer of-matrix", None),
])
def test_a_code_goes_where_its_address_says(enrolment, relayed, services, subjects, service, method, path, token, place):
    one, code = webhook(enrolment, subjects[service])
    assert relayed(one) == 204
    call = services.calls[-1]
    assert (call.method, call.token) == (method, token) and call.path.startswith(path)
    assert code in call.content.get("text", call.content.get("body"))
    assert place is None or call.content[place[0]] == place[1]
    assert enrolment.token(subjects[service], code).status == 200


def test_what_the_broker_did_not_send_goes_nowhere(enrolment, relayed, services, subjects):
    one, code = webhook(enrolment, subjects["telegram"])
    before = len(services.calls)
    assert relayed(one, body=one.body.replace(b"telegram:42", b"telegram:66")) == 401
    assert relayed(one, webhook_id="another") == 401
    assert relayed(one, webhook_timestamp=str(int(time.time()) - 600)) == 401
    assert relayed(one, webhook_signature="v1," + "A" * 43 + "=") == 401
    assert len(services.calls) == before
    assert enrolment.token(subjects["telegram"], code).status == 200


def test_what_cannot_be_passed_on_is_no_success(enrolment, relayed, services, subjects):
    one, _ = webhook(enrolment, subjects["pigeon"])
    assert relayed(one) == 422
    one, _ = webhook(enrolment, subjects["slack"])
    services.says = {"ok": False, "error": "channel_not_found"}
    assert relayed(one) == 502
