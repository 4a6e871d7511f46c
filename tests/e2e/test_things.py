"""GET and DELETE /things/{name}, PATCH /things/{name}/certificates, through API Gateway."""

import json

import pytest

import proxy
from authority import certificate_id
from interference import Interference, interfering
from provisioning import TEMPLATES, Things, new_name

ROUTES = [("GET", "", None), ("DELETE", "", None), ("PATCH", "/certificates", {"certificateStatus": "INACTIVE"})]


def gone(factory, name):
    try:
        factory.iot.describe_thing(thingName=name)
        return False
    except factory.iot.exceptions.ResourceNotFoundException:
        return True


def test_a_thing_is_shown_with_all_that_belongs_to_it(factory):
    group = new_name("g")
    factory.iot.create_thing_group(thingGroupName=group, thingGroupProperties={"attributePayload": {"attributes": {"a": "b"}}})
    factory.iot.create_thing_type(thingTypeName=group)
    name, answer = factory.make("numbered", parameters={"Serial": "7"})
    factory.make("sensor", name)
    factory.iot.update_thing(thingName=name, thingTypeName=group)
    factory.iot.add_thing_to_thing_group(thingName=name, thingGroupName=group)
    status, headers, shown = factory.things.send("GET", f"/things/{name}")
    assert status == 200 and headers["Cache-Control"] == "no-store"
    assert set(shown) == {"thingName", "arn", "thingType", "attributes", "certificates", "policies", "groups"}
    assert (shown["thingName"], shown["thingType"], shown["attributes"]) == (name, group, {"serial": "7"})
    assert shown["arn"] == answer["resourceArns"]["thing"]
    assert len(shown["certificates"]) == 2
    [first] = [one for one in shown["certificates"] if one["arn"] == answer["resourceArns"]["certificate"]]
    assert set(first) == {"certificateId", "arn", "certificateStatus", "certificatePem"}
    assert first["certificateStatus"] == "ACTIVE" and certificate_id(first["certificatePem"]) == first["certificateId"]
    [policy] = shown["policies"]
    assert policy["policyName"] == "fleet" and policy["arn"].endswith(":policy/fleet")
    parsed = policy["policyDocument"]
    parsed = json.loads(parsed) if isinstance(parsed, str) else parsed
    assert parsed["Statement"][0]["Action"] == "iot:Receive"
    [shown_group] = shown["groups"]
    assert (shown_group["groupName"], shown_group["attributes"]) == (group, {"a": "b"})
    assert shown_group["arn"].endswith(f":thinggroup/{group}")
    assert "PRIVATE" not in str(shown)


@pytest.mark.parametrize("method, path, body", ROUTES)
def test_what_is_not_there_is_not_found(factory, method, path, body):
    status, _, answer = factory.things.send(method, f"/things/{new_name()}{path}", body)
    assert status == 404 and set(answer) == {"error"}


@pytest.mark.parametrize("method, path, body", ROUTES)
def test_policy_is_asked_about_the_thing_by_its_name(factory, method, path, body):
    hidden, shown = new_name("secret"), new_name("shown")
    for name in (hidden, shown):
        factory.make(name=name)
    status, headers, answer = factory.things.send(method, f"/things/{hidden}{path}", body)
    assert status == 403 and set(answer) == {"error"}
    # What may not be seen is no other than what is not there.
    assert factory.things.send(method, f"/things/{new_name('secret')}{path}", body).status == 403
    visitor = Things(factory.stack, factory.token("visitor", "things:read"))
    assert visitor.send(method, f"/things/{shown}{path}", body).status == (200 if method == "GET" else 403)
    without = Things(factory.stack, factory.token("visitor", "things:write"))
    assert without.send(method, f"/things/{shown}{path}", body).status == 403
    assert not gone(factory, hidden) and not gone(factory, shown)


def set_status(factory, answer, status):
    identifier = certificate_id(answer["certificatePem"])
    factory.iot.update_certificate(certificateId=identifier, newStatus=status)
    return identifier


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED", "ACTIVE"])
def test_the_status_of_all_certificates_is_set(factory, status):
    name, answer = factory.make()
    factory.make(name=name)
    if status == "ACTIVE":
        set_status(factory, answer, "INACTIVE")
    answer = factory.things.send("PATCH", f"/things/{name}/certificates", {"certificateStatus": status})
    assert (answer.status, answer.content) == (204, "")
    principals = factory.iot.list_thing_principals(thingName=name)["principals"]
    assert [factory.certificate(arn.split("/")[1])["status"] for arn in principals] == [status] * 2
    shown = factory.things.send("GET", f"/things/{name}").content["certificates"]
    assert {one["certificateStatus"] for one in shown} == {status}


@pytest.mark.parametrize("status", ["INACTIVE", "ACTIVE"])
def test_a_revoked_certificate_stays_so_and_all_others_are_set(factory, status):
    name, answer = factory.make()
    made = [answer, *(factory.make(name=name)[1] for _ in range(2))]
    set_status(factory, made[1], "REVOKED")
    for other in (made[0], made[2]):
        set_status(factory, other, "ACTIVE" if status == "INACTIVE" else "INACTIVE")
    refused = factory.things.send("PATCH", f"/things/{name}/certificates", {"certificateStatus": status})
    assert refused.status == 409 and set(refused.content) == {"error"}, refused
    found = [factory.certificate(certificate_id(one["certificatePem"]))["status"] for one in made]
    assert found == [status, "REVOKED", status]


def test_a_thing_with_a_revoked_certificate_is_deleted(factory):
    name, answer = factory.make()
    identifier = set_status(factory, answer, "REVOKED")
    assert factory.things.send("DELETE", f"/things/{name}").status == 204
    assert gone(factory, name) and factory.certificate(identifier) is None


@pytest.mark.parametrize("status, expected", [("INACTIVE", 204), ("REVOKED", 204), ("ACTIVE", 403)])
def test_policy_is_asked_about_the_status(factory, status, expected):
    """The guard may block devices, and not let them in again."""
    name, answer = factory.make()
    identifier = set_status(factory, answer, "INACTIVE")
    guard = Things(factory.stack, factory.token("guard", "things:write"))
    answer = guard.send("PATCH", f"/things/{name}/certificates", {"certificateStatus": status})
    assert answer.status == expected, answer
    assert factory.certificate(identifier)["status"] == (status if expected == 204 else "INACTIVE")


@pytest.mark.parametrize("body", [
    b"{", {}, {"certificateStatus": "PENDING_TRANSFER"}, {"certificateStatus": "active"}, {"certificateStatus": 1},
    {"certificateStatus": "ACTIVE", "more": 1}, [], None])
def test_a_status_that_is_none_is_refused(factory, body):
    name, answer = factory.make()
    assert factory.things.send("PATCH", f"/things/{name}/certificates", body).status == 400
    assert factory.certificate(certificate_id(answer["certificatePem"]))["status"] == "ACTIVE"


@pytest.mark.parametrize("name", ["a%20b", "x" * 129, "%00", "%ff"])
def test_a_name_that_no_thing_can_have_is_not_found(factory, name):
    for method, path, body in ROUTES:
        status, _, answer = factory.things.send(method, f"/things/{name}{path}", body)
        # The gateway decodes the path: with a space or a zero it is none of the function's routes any more.
        expected = {"type", "title", "status", "request_id"} if name in ("a%20b", "%00") else {"error"}
        assert status == 404 and set(answer) == expected, answer


def test_a_deleted_thing_takes_its_own_certificate_along(factory):
    name, answer = factory.make()
    identifier = certificate_id(answer["certificatePem"])
    deleted = factory.things.send("DELETE", f"/things/{name}")
    assert (deleted.status, deleted.content) == (204, "")
    assert gone(factory, name) and factory.certificate(identifier) is None
    assert factory.things.send("DELETE", f"/things/{name}").status == 404
    assert "Item" not in factory.stack.ledger.get_item(Key={"pk": f"deletion#{name}"})
    assert factory.iot.get_policy(policyName="fleet"), "others have it"


def test_what_serves_another_thing_stays(factory):
    name, answer = factory.make()
    arn, other = answer["resourceArns"]["certificate"], new_name()
    factory.iot.create_thing(thingName=other)
    factory.iot.attach_thing_principal(thingName=other, principal=arn)
    assert factory.things.send("DELETE", f"/things/{name}").status == 204
    assert gone(factory, name)
    assert factory.certificate(arn.split("/")[1])["status"] == "ACTIVE"
    assert factory.policies(answer) == {"fleet"}
    assert factory.iot.list_thing_principals(thingName=other)["principals"] == [arn]


def own_policy(factory):
    """A template with a policy that nothing else has, in two versions: both their names."""
    policy = new_name("policy")
    document = factory.iot.get_policy(policyName="fleet")["policyDocument"]
    factory.iot.create_policy(policyName=policy, policyDocument=document)
    factory.iot.create_policy_version(policyName=policy, policyDocument=document, setAsDefault=True)
    template = json.loads(json.dumps(TEMPLATES["sensor"]))
    template["Resources"]["policy"]["Properties"]["PolicyName"] = policy
    factory.put_template(policy, template)
    return policy


def has_policy(factory, name):
    try:
        return bool(factory.iot.get_policy(policyName=name))
    except factory.iot.exceptions.ResourceNotFoundException:
        return False


def test_a_policy_goes_with_the_last_certificate_that_has_it(factory):
    policy = own_policy(factory)
    with factory.stack.configured("provision", DELETE_POLICIES="true"):
        first, second = factory.make(policy)[0], factory.make(policy)[0]
        assert factory.things.send("DELETE", f"/things/{first}").status == 204 and has_policy(factory, policy)
        assert factory.things.send("DELETE", f"/things/{second}").status == 204 and not has_policy(factory, policy)


@pytest.mark.parametrize("certificates, policies", [("false", "false"), ("false", "true"), ("true", "false")])
def test_what_is_not_to_be_deleted_is_not(factory, certificates, policies):
    policy = own_policy(factory)
    with factory.stack.configured("provision", DELETE_CERTIFICATES=certificates, DELETE_POLICIES=policies):
        name, answer = factory.make(policy)
        assert factory.things.send("DELETE", f"/things/{name}").status == 204
    assert gone(factory, name)
    kept = factory.certificate(certificate_id(answer["certificatePem"]))
    assert (kept is not None) == (certificates == "false")
    assert has_policy(factory, policy) == (policies == "false")
    if kept:
        assert factory.policies(answer) == ({policy} if policies == "false" else set())


STEPS = ["GetItem", "ListThingPrincipals", "ListAttachedPolicies", "PutItem", "DetachThingPrincipal", "ListPrincipalThings",
         "UpdateCertificate", "DetachPolicy", "DeleteCertificate", "ListTargetsForPolicy", "ListPolicyVersions",
         "DeletePolicyVersion", "DeletePolicy", "DeleteThing", "DeleteItem"]


@pytest.mark.parametrize("manner", ["throttles", "fails", "loses its answer"])
@pytest.mark.parametrize("step", STEPS)
def test_a_deletion_that_failed_in_the_middle_is_done_by_repeating_it(factory, step, manner):
    policy = own_policy(factory)
    name, answer = factory.make(policy)
    with proxy.running(Interference) as url, factory.stack.configured(
            "provision", ENDPOINT_URL=url, DELETE_POLICIES="true"):
        with interfering(**{step: manner}) as seen:
            status, headers, failed = factory.things.send("DELETE", f"/things/{name}")
        assert step in seen
        assert status == (429 if manner == "throttles" else 503) and headers["Retry-After"], failed
        repeated = factory.things.send("DELETE", f"/things/{name}")
    # Only that it is done was not known.
    assert repeated.status == (404 if (step, manner) == ("DeleteItem", "loses its answer") else 204), repeated.content
    assert gone(factory, name) and not has_policy(factory, policy)
    assert factory.certificate(certificate_id(answer["certificatePem"])) is None
    assert "Item" not in factory.stack.ledger.get_item(Key={"pk": f"deletion#{name}"})


READS = ["DescribeThing", "ListThingPrincipals", "DescribeCertificate", "ListAttachedPolicies", "GetPolicy",
         "ListThingGroupsForThing", "DescribeThingGroup"]
CHANGES = ["ListThingPrincipals", "ListPrincipalThings", "UpdateCertificate"]


@pytest.mark.parametrize("method, path, body, operation", [
    *[(*ROUTES[0], operation) for operation in READS], *[(*ROUTES[2], operation) for operation in CHANGES]])
@pytest.mark.parametrize("manner, expected", [("throttles", 429), ("fails", 503)])
def test_what_throttles_or_fails_while_a_thing_is_shown_or_blocked(factory, method, path, body, operation, manner, expected):
    name, group = factory.make()[0], new_name("g")
    factory.iot.create_thing_group(thingGroupName=group)
    factory.iot.add_thing_to_thing_group(thingName=name, thingGroupName=group)
    with proxy.running(Interference) as url, factory.stack.configured("provision", ENDPOINT_URL=url):
        with interfering(**{operation: manner}) as seen:
            status, headers, answer = factory.things.send(method, f"/things/{name}{path}", body)
        assert operation in seen
        assert status == expected and headers["Retry-After"] and answer["error"]
        assert factory.things.send(method, f"/things/{name}{path}", body).status == (200 if method == "GET" else 204)
