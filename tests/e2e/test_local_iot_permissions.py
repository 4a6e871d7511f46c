"""What ministack's own IoT operations are checked on, with local/iot."""

import pytest

from local_iot import POLICY, Made, User, ca, iot, name, refused  # noqa: F401, fixtures


@pytest.fixture(scope="module")
def world(iot, ca):  # noqa: F811
    """A thing of a group in a group, with an active certificate and a policy."""
    made = {"thing": name(), "group": name("g"), "parent": name("g"), "policy": name("p"), "kind": name("k"), "ca": ca.id}
    iot.create_thing_group(thingGroupName=made["parent"])
    iot.create_thing_group(thingGroupName=made["group"], parentGroupName=made["parent"])
    iot.create_policy(policyName=made["policy"], policyDocument=POLICY)
    iot.create_thing(thingName=made["thing"])
    device = Made(issuer=ca)
    iot.register_certificate(certificatePem=device.pem, caCertificatePem=ca.pem, status="ACTIVE")
    iot.attach_thing_principal(thingName=made["thing"], principal=device.arn)
    more = {"csr": Made().csr, "pem": Made(issuer=ca).pem, "stray": Made().pem}
    return made | {"certificate": device.id, "arn": device.arn} | more


# An operation, its arguments by the names above, and the resource that its action is checked on.
CHECKED = [
    ("describe_ca_certificate", {"certificateId": "ca"}, ":cacert/{ca}"),
    ("get_registration_code", {}, "*"),
    ("describe_certificate", {"certificateId": "certificate"}, ":cert/{certificate}"),
    ("update_certificate", {"certificateId": "certificate", "newStatus": "=ACTIVE"}, ":cert/{certificate}"),
    ("describe_thing", {"thingName": "thing"}, ":thing/{thing}"),
    ("list_thing_principals", {"thingName": "thing"}, "*"),
    ("list_principal_things", {"principal": "arn"}, "*"),
    ("list_thing_groups_for_thing", {"thingName": "thing"}, ":thing/{thing}"),
    ("attach_policy", {"policyName": "policy", "target": "arn"}, ":cert/{certificate}"),
    ("list_attached_policies", {"target": "arn"}, "*"),
    ("list_targets_for_policy", {"policyName": "policy"}, ":policy/{policy}"),
    ("detach_policy", {"policyName": "policy", "target": "arn"}, ":cert/{certificate}"),
    ("get_policy", {"policyName": "policy"}, ":policy/{policy}"),
    ("list_policy_versions", {"policyName": "policy"}, ":policy/{policy}"),
    ("attach_thing_principal", {"thingName": "thing", "principal": "arn"}, "*"),
    ("describe_thing_group", {"thingGroupName": "group"}, ":thinggroup/{group}"),
    ("add_thing_to_thing_group", {"thingName": "thing", "thingGroupName": "group"}, ":thing*/{either}"),
    ("remove_thing_from_thing_group", {"thingName": "thing", "thingGroupName": "group"}, ":thing*/{either}"),
    ("detach_thing_principal", {"thingName": "thing", "principal": "arn"}, "*"),
    ("delete_policy", {"policyName": "policy"}, ":policy/{policy}"),
    ("create_policy", {"policyName": "policy", "policyDocument": "=" + POLICY}, ":policy/{policy}"),
    ("create_thing_type", {"thingTypeName": "kind"}, ":thingtype/{kind}"),
    ("create_policy_version", {"policyName": "policy", "policyDocument": "=" + POLICY}, ":policy/{policy}"),
    ("delete_policy_version", {"policyName": "policy", "policyVersionId": "=2"}, ":policy/{policy}"),
    ("create_keys_and_certificate", {}, "*"),
    ("create_certificate_from_csr", {"certificateSigningRequest": "csr"}, "*"),
    ("register_certificate", {"certificatePem": "pem"}, "*"),
    ("register_certificate_without_ca", {"certificatePem": "stray"}, "*"),
    ("create_thing", {"thingName": "kind"}, ":thing/{kind}"),
    ("delete_thing", {"thingName": "kind"}, ":thing/{kind}"),
    ("create_thing_group", {"thingGroupName": "kind"}, ":thinggroup/{kind}"),
    ("update_certificate", {"certificateId": "certificate", "newStatus": "=INACTIVE"}, ":cert/{certificate}"),
    ("delete_certificate", {"certificateId": "certificate"}, ":cert/{certificate}"),
]


@pytest.mark.parametrize("operation, arguments, on", CHECKED, ids=[f"{row[0]}-{number}" for number, row in enumerate(CHECKED)])
def test_an_action_is_checked_on(world, operation, arguments, on):
    words = operation.replace("ca_certificate", "CA_certificate").replace("without_ca", "without_CA").split("_")
    action = "iot:" + "".join(word if word == "CA" else word.capitalize() for word in words)
    given = {key: value[1:] if value.startswith("=") else world[value] for key, value in arguments.items()}
    user = User([("s3:ListAllMyBuckets", "*")])
    with refused("AccessDeniedException"):
        getattr(user.iot, operation)(**given)
    user.may([(action, ":other/*")])
    with refused("AccessDeniedException"):
        getattr(user.iot, operation)(**given)
    user.may([(action, on.format(**world, either="*"))])
    getattr(user.iot, operation)(**given)


def test_membership_is_checked_on_the_group_and_on_the_thing(world):
    wanted = {"thingName": world["thing"], "thingGroupName": world["group"]}
    for on in (":thing/*", ":thinggroup/*"):
        with refused("AccessDeniedException"):
            User([("iot:AddThingToThingGroup", on)]).iot.add_thing_to_thing_group(**wanted)
