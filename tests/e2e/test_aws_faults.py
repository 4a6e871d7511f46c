"""AWS failing, throttling and stalling under the deployed binary: a proxy between it and the local AWS."""

import functools
import json
import os
import time

import pytest

import proxy

SECRET = {"type": "secret", "id": "app/db"}
ANSWERS = {
    "fails": (500, {"__type": "InternalServiceError", "message": "internal"}),
    "throttles": (400, {"__type": "ThrottlingException", "message": "slow down"}),
    "is not itself": (200, ["correct horse battery staple"]),
}


class Proxy(proxy.Proxy):
    """One service misbehaves."""

    service, manner = None, None

    def interfere(self, body):
        service = self.headers.get("X-Amz-Target", "s3").split(".")[0].split("_")[0].lower()
        if service != Proxy.service:
            return False
        if Proxy.manner == "stalls":
            time.sleep(20)
            self.close_connection = True
        else:
            status, answer = ANSWERS[Proxy.manner]
            self.answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer))
        return True


@pytest.fixture(scope="module")
def broker(stack):
    """A broker off Lambda behind whose back AWS misbehaves: (post, log lines)."""
    with proxy.running(Proxy) as endpoint:
        log = []
        with stack.off_lambda(log, ENDPOINT_URL=endpoint) as url:
            yield functools.partial(stack.exchange, url=url), log


@pytest.fixture(autouse=True)
def behave():
    yield
    Proxy.service = Proxy.manner = None


def logged(log, wanted):
    """The first line that is wanted, once it is there."""
    for _ in range(50):
        lines = [line for line in list(log) if wanted(line)]
        if lines:
            return lines[0]
        time.sleep(0.1)
    raise AssertionError(log)


@pytest.mark.parametrize("manner", [*ANSWERS, "stalls"])
@pytest.mark.parametrize("service, step", [("secretsmanager", "release"), ("dynamodb", "ledger")])
def test_a_service_that_misbehaves_gives_503_and_tells_nothing(broker, stack, service, step, manner):
    post, log = broker
    assert post([SECRET])[0] == 200, "warm"
    log.clear()
    Proxy.service, Proxy.manner = service, manner
    began = time.monotonic()
    status, text = post([SECRET])
    assert time.monotonic() - began < 10
    problem = json.loads(text)
    request_id = problem.pop("request_id")
    assert (status, problem) == (503, {
        "type": "urn:countersign:problem:unavailable", "title": "the broker cannot answer now", "status": 503})
    event = logged(log, lambda line: line.get("target") == "audit" and line["request_id"] == request_id)
    assert (event["outcome"], event["reason"]) == ("failed", step)
    assert "correct horse" not in json.dumps(log)
    # The record of the attempt is written before anything is fetched.
    kept = stack.ledger.get_item(Key={"pk": f"exchange#web#{event['jti']}"})
    assert ("Item" in kept) == (service == "secretsmanager")


@pytest.mark.parametrize("manner", [*ANSWERS, "stalls"])
def test_a_warm_broker_goes_on_without_s3(broker, manner):
    post, log = broker
    assert post([SECRET])[0] == 200, "warm"
    log.clear()
    Proxy.service, Proxy.manner = "s3", manner
    # A made-up pool has the broker look, once a second at most.
    time.sleep(1.1)
    assert post([SECRET], pool=os.urandom(64 * 1024))[0] == 401
    logged(log, lambda line: line.get("message") == "kept the last good value")
    assert post([SECRET])[0] == 200
