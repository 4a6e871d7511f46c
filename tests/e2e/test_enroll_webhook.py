"""The webhook, as the Standard Webhooks library verifies it, and a real receiver gets it."""

import base64
import datetime
import json
import re
import time

import boto3
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from stack import STACK


@pytest.fixture
def key(enrolment):
    return enrolment.secrets.get_secret_value(SecretId=f"{STACK}/enroll/webhook-key")["SecretString"]


@pytest.fixture
def received(enrolment):
    """A webhook, with its subject."""
    subject = enrolment.subject()
    enrolment.code(subject)
    [one] = enrolment.receiver.to(enrolment.addresses[subject]["webhook"])
    return subject, one


def test_the_library_verifies_it_under_the_stacks_key(enrolment, received, key):
    subject, one = received
    assert len(base64.b64decode(key)) == 48
    content = Webhook(f"whsec_{key}").verify(one.body, one.headers)
    assert content["type"] == "enrollment.code" and set(content) == {"type", "timestamp", "data"}
    data = content["data"]
    assert set(data) == {"subject", "address", "code", "text", "expires_in"}
    assert (data["subject"], data["address"]) == (subject, enrolment.addresses[subject]["webhook"])
    assert re.fullmatch("[0-9]{8}", data["code"]) and data["code"] in data["text"] and data["expires_in"] == 300
    assert abs(datetime.datetime.fromisoformat(content["timestamp"]).timestamp() - time.time()) < 60
    assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 60
    assert one.headers["content-type"].startswith("application/json")
    assert enrolment.token(subject, data["code"]).status == 200


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "key"])
def test_what_was_altered_is_not_verified(received, key, change):
    _, one = received
    body, headers = one.body, dict(one.headers)
    if change == "body":
        body = body.replace(b"telegram:", b"telegrams:")
    elif change == "key":
        key = base64.b64encode(bytes(48)).decode()
    else:
        headers[f"webhook-{change}"] = {"id": "another", "timestamp": str(int(time.time()) + 1)}[change]
    with pytest.raises(WebhookVerificationError):
        Webhook(f"whsec_{key}").verify(body, headers)


def test_each_has_an_id_of_its_own(enrolment):
    subject = enrolment.subject()
    for _ in range(2):
        assert enrolment.token(subject, enrolment.code(subject)).status == 200
    came = enrolment.receiver.to(enrolment.addresses[subject]["webhook"])
    assert len({one.headers["webhook-id"] for one in came}) == 2


def test_a_redirect_is_not_followed(enrolment):
    subject, receiver = enrolment.subject(), enrolment.receiver
    before = len(receiver.received)
    receiver.status, receiver.location = 307, f"http://127.0.0.1:{receiver.server.server_port}/elsewhere"
    try:
        answer = enrolment.challenge(subject)
    finally:
        receiver.status, receiver.location = 204, None
    assert answer.status == 202 and enrolment.audited(answer)["outcome"] == "failed"
    assert [one.path for one in receiver.received[before:]] == ["/codes"]


def test_codes_and_addresses_are_in_no_log(enrolment):
    subject = enrolment.subject()
    answer = enrolment.challenge(subject, "webhook")
    [one] = enrolment.receiver.to(enrolment.addresses[subject]["webhook"])
    code = json.loads(one.body)["data"]["code"]
    lines = json.dumps(enrolment.stack.events(answer.headers["x-request-id"], "enroll"))
    assert subject in lines and code not in lines and enrolment.addresses[subject]["webhook"] not in lines


def test_no_secret_of_the_function_is_in_its_settings(enrolment, key):
    configuration = enrolment.stack.lambda_.get_function_configuration(FunctionName=f"{STACK}-enroll")
    secrets = boto3.client("secretsmanager")
    code_key = secrets.get_secret_value(SecretId=f"{STACK}/enroll/code-key")["SecretString"]
    assert not any(value in json.dumps(configuration) for value in (key, code_key)) and key != code_key
