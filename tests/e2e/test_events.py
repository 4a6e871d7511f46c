"""The events for `sam local invoke`, invoked on the deployed functions."""

import json
import pathlib
import secrets

import pytest

from stack import STACK

EVENTS = pathlib.Path(__file__).parent.parent.parent / "events"
# The exchange in the events was made for the key of the vectors.
EXPECTED = {
    "exchange/health.json": 200,
    "exchange/manifest.json": 200,
    "exchange/exchange.json": 401,
    "exchange/refused.json": 401,
    "exchange/v1_refused.json": 404,
    "rotate/schedule.json": None,
    "token/jwks.json": 200,
    "token/nonce.json": 200,
    "token/plain_pkce.json": 400,
    "token/unknown_state.json": 400,
    "token/verify.json": 401,
    "token/whoami.json": 200,
    "issue/network.json": None,
    "authorize/refused.json": None,
    "provision/provision.json": 201,
    "provision/denied.json": 403,
    "provision/no_token.json": 401,
    "provision/refused.json": 400,
    "provision/unknown_template.json": 400,
    "provision/get.json": 404,
    "provision/delete.json": 404,
    "provision/status.json": 404,
    "provision/bulk.json": 201,
    "provision/task.json": 404,
    "enroll/challenge.json": 202,
    "enroll/malformed.json": 400,
    "enroll/no_proof.json": 401,
    "enroll/wrong_code.json": 401,
    "enroll/two_proofs.json": 400,
    "enroll/revocation.json": 401,
    "enroll/registration.json": 200,
    "enroll/send_token.json": 200,
    "enroll/revoke_token.json": 200,
}


def test_every_event_has_its_expectation():
    assert {str(path.relative_to(EVENTS)) for path in EVENTS.rglob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_deployed_function_answers_the_event(stack, factory, enrolment, name):
    function = name.split("/")[0]
    event = json.loads((EVENTS / name).read_text())
    if name == "token/nonce.json":
        # A state is good for once.
        event["multiValueQueryStringParameters"]["state"] = [secrets.token_urlsafe()]
    answer = stack.lambda_.invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(event).encode())
    payload = json.loads(answer["Payload"].read())
    if name == "authorize/refused.json":
        assert payload["errorMessage"] == "Unauthorized", "the gateway makes a 401 of this text alone"
        return
    assert "FunctionError" not in answer, payload
    assert payload.get("statusCode") == EXPECTED[name]
    assert not payload.get("isBase64Encoded")


def test_a_stranger_cannot_choose_his_address(stack):
    """Nor the name of his request. Headers that claim an address do not reach policy; the local gateway itself takes one of
    them, AWS's does not."""
    event = json.loads((EVENTS / "exchange/refused.json").read_text())
    event["headers"] |= {"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1"}
    event["requestContext"]["requestId"] = "a-chosen-name"
    answer = stack.lambda_.invoke(FunctionName=f"{STACK}-exchange", Payload=json.dumps(event).encode())
    request_id = json.loads(answer["Payload"].read())["multiValueHeaders"]["x-request-id"][0]
    assert request_id != "a-chosen-name"
    audit = stack.audited(request_id)
    assert (audit["source_ip"], audit["request_id"]) == ("192.0.2.7", request_id)
