"""AWS throttling and failing while devices are made: a proxy between the deployed function and the local AWS."""

import time

import pytest

import proxy
from authority import certificate_id
from interference import Interference, interfering
from provisioning import new_name


@pytest.fixture(scope="module", autouse=True)
def endpoint(factory):
    with proxy.running(Interference) as url, factory.stack.configured("provision", ENDPOINT_URL=url):
        yield


@pytest.fixture(scope="module")
def group(factory):
    """The path of a group that has a template assigned."""
    name = new_name("g")
    factory.iot.create_thing_group(thingGroupName=name)
    factory.put_template("assignments", {name: "sensor"})
    return f"/{name}"


def bring(factory):
    return {"certificatePem": factory.ca.sign(factory.device().csr)}


def by_group(factory, group):
    body = {"groupPath": group, "parameters": {"ThingName": new_name()}, "cdfProvisioningParameters": factory.order()}
    return factory.things.send("POST", "/things", body)


def made(template, order):
    return lambda factory, _: factory.things.provision(template, new_name(), order and order(factory))


ORDERS = {
    "sensor": made("sensor", lambda factory: factory.order()),
    "sensor by id": made("sensor-by-id", lambda factory: factory.order()),
    "aws": made("aws", None),
    "brought": made("brought", bring),
    "by group": by_group,
}
# The calls of each kind of order; those up to and with the first that makes a certificate leave nothing to be undone.
CALLS = [
    *[("sensor", operation) for operation in (
        "GetObject", "DescribeCACertificate", "GetParameter", "PutItem", "RegisterThing")],
    *[("sensor by id", operation) for operation in ("PutItem", "RegisterCertificate", "RegisterThing")],
    ("aws", "CreateKeysAndCertificate"), ("aws", "PutItem"), ("aws", "RegisterThing"),
    ("brought", "RegisterCertificateWithoutCA"), ("brought", "RegisterThing"),
    ("by group", "DescribeThingGroup"), ("by group", "GetAssignments"),
]
EXPECTED = {"throttles": 429, "fails": 503}


@pytest.mark.parametrize("manner", EXPECTED)
@pytest.mark.parametrize("order, operation", CALLS)
def test_what_throttles_or_fails_is_told_and_may_be_asked_again(factory, group, order, operation, manner):
    # What the function remembers would spare it the call.
    factory.stack.restart("provision")
    with interfering(**{operation: manner}) as seen:
        status, headers, answer = ORDERS[order](factory, group)
    assert operation in seen
    assert (status, int(headers["Retry-After"]) > 0) == (EXPECTED[manner], True), answer
    assert answer["error"] and "interference" not in str(answer)
    if "certificateId" in answer:
        assert factory.certificate(answer["certificateId"]) is None
        # What was not answered may be going on still.
        assert answer["undone"] is (manner == "throttles" or not operation.startswith("Register"))
    status, _, answer = ORDERS[order](factory, group)
    assert status == 201, answer


@pytest.mark.parametrize("manner", EXPECTED)
@pytest.mark.parametrize("operation", ["ListPolicies", "GetPolicies"])
def test_without_policies_nothing_is_made_until_they_can_be_read(factory, group, operation, manner):
    before = factory.certificates()
    factory.stack.restart("provision")
    with interfering(**{operation: manner}) as seen:
        status, headers, answer = ORDERS["sensor"](factory, group)
    assert operation in seen
    # They are read as the function starts; who asks in the second after that is told to wait, whatever the cause was.
    assert status in (429, 503) and set(answer) == {"error"}, answer
    assert factory.certificates() == before
    time.sleep(int(headers["Retry-After"]))
    assert ORDERS["sensor"](factory, group)[0] == 201


@pytest.mark.parametrize("order", ["sensor", "sensor by id", "aws", "brought"])
def test_a_registration_whose_answer_is_lost_is_undone_and_not_called_so(factory, group, order):
    with interfering(RegisterThing="loses its answer"):
        status, _, answer = ORDERS[order](factory, group)
    assert (status, answer["undone"]) == (503, False), answer
    assert factory.certificate(answer["certificateId"]) is None


def test_a_certificate_whose_registration_loses_its_answer_is_undone_and_not_called_so(factory, group):
    with interfering(RegisterCertificate="loses its answer", RegisterThing="loses its answer") as seen:
        status, _, answer = ORDERS["sensor by id"](factory, group)
    assert set(seen) == {"RegisterCertificate"}
    assert (status, answer["undone"]) == (503, False), answer
    assert factory.certificate(answer["certificateId"]) is None


def test_a_registration_that_fails_in_the_middle_is_undone(factory):
    status, _, answer = factory.things.provision("broken", name := new_name(), factory.order())
    assert (status, answer["undone"]) == (400, True), answer
    assert factory.certificate(answer["certificateId"]) is None
    with pytest.raises(factory.iot.exceptions.ResourceNotFoundException):
        factory.iot.describe_thing(thingName=name)


@pytest.mark.parametrize("order", ["sensor", "sensor by id", "aws", "brought"])
def test_a_registration_that_is_refused_late_is_undone(factory, group, order):
    with interfering(RegisterThing="refuses late"):
        status, _, answer = ORDERS[order](factory, group)
    assert (status, answer["undone"]) == (400, True), answer
    assert factory.certificate(answer["certificateId"]) is None


@pytest.mark.parametrize("manner", EXPECTED)
@pytest.mark.parametrize("step", [
    "UpdateCertificate", "DescribeCertificate", "ListAttachedPolicies", "DetachPolicy", "ListPrincipalThings",
    "DetachThingPrincipal", "DeleteCertificate"])
@pytest.mark.parametrize("order", ["sensor", "aws"])
def test_what_could_not_be_undone_is_said_so_and_is_in_the_ledger(factory, group, order, step, manner):
    with interfering(RegisterThing="refuses late", **{step: manner}) as seen:
        status, headers, answer = ORDERS[order](factory, group)
    assert step in seen
    assert (status, answer["undone"]) == (400, False), answer
    identifier = answer["certificateId"]
    assert "Item" in factory.stack.ledger.get_item(Key={"pk": f"device#{identifier}"})
    # Who has the key cannot get in, where AWS IoT could be told so.
    if step != "UpdateCertificate":
        assert factory.certificate(identifier)["status"] == "INACTIVE"
    audit = factory.stack.audited(headers["x-request-id"], "provision")
    assert identifier in str(audit) and "not undone" in str(audit)


def test_a_ledger_that_refuses_keeps_a_certificate_from_being_registered(factory, group):
    before = factory.certificates()
    # RegisterThing would be seen here, and do what it does.
    with interfering(PutItem="fails", RegisterThing="loses its answer") as seen:
        status, _, answer = ORDERS["sensor"](factory, group)
    assert status == 503 and "PutItem" in seen and "RegisterThing" not in seen
    assert set(answer) == {"error"} and factory.certificates() == before
    assert ORDERS["sensor"](factory, group)[0] == 201
    assert len(factory.certificates()) == len(before) + 1


def test_a_certificate_that_was_brought_can_be_brought_again(factory):
    order = bring(factory)
    with interfering(RegisterThing="throttles"):
        status, _, answer = factory.things.provision("brought", name := new_name(), order)
    assert (status, answer["undone"]) == (429, True), answer
    assert factory.things.provision("brought", name, order).status == 201
    assert factory.certificate(certificate_id(order["certificatePem"]))["status"] == "ACTIVE"
