"""Each action of the roles of device provisioning is needed: without it, something that worked does not."""

import copy
import json

import pytest

import privileges
from private_authority import NEEDED, private, private_ca, role  # noqa: F401, fixtures
from provisioning import TEMPLATES, document, new_name, ref

# What RegisterThing needs of its caller, or a task of its role.
REGISTRATION = [
    ("Registration", "iot:RegisterThing"),
    ("Registration", "iot:RegisterCertificate"),
    ("Registration", "iot:CreateCertificateFromCsr"),
    ("Registration", "iot:AttachThingPrincipal"),
    ("Registration", "iot:DetachThingPrincipal"),
    ("Registration", "iot:ListThingPrincipals"),
    ("Registration", "iot:ListPrincipalThings"),
    ("Registration", "iot:ListAttachedPolicies"),
    ("Registration", "iot:ListPolicyPrincipals"),
    ("Registration", "iot:ListPrincipalPolicies"),
    ("Things", "iot:CreateThing"),
    ("Things", "iot:UpdateThing"),
    ("Things", "iot:DescribeThing"),
    ("Things", "iot:ListThingGroupsForThing"),
    ("Things", "iot:DescribeThingType"),
    ("Things", "iot:DescribeThingGroup"),
    ("Things", "iot:AddThingToThingGroup"),
    ("Things", "iot:RemoveThingFromThingGroup"),
    ("Things", "iot:UpdateThingGroupsForThing"),
    ("Things", "iot:DescribeBillingGroup"),
    ("Things", "iot:AddThingToBillingGroup"),
    ("Things", "iot:RemoveThingFromBillingGroup"),
    ("Certificates", "iot:DescribeCertificate"),
    ("Certificates", "iot:UpdateCertificate"),
    ("Certificates", "iot:AttachPolicy"),
    ("Certificates", "iot:DetachPolicy"),
    ("Certificates", "iot:AttachPrincipalPolicy"),
    ("DevicePolicies", "iot:CreatePolicy"),
    ("DevicePolicies", "iot:GetPolicy"),
    ("DevicePolicies", "iot:ListTargetsForPolicy"),
]
GRANTS = list(privileges.grants("provision", "bulk"))
# AWS's own policy for RegisterThing has these; the local AWS's RegisterThing does without.
UNASKED = {
    "iot:ListPolicyPrincipals", "iot:ListPrincipalPolicies", "iot:UpdateThingGroupsForThing", "iot:DescribeBillingGroup",
    "iot:AddThingToBillingGroup", "iot:RemoveThingFromBillingGroup", "iot:AttachPrincipalPolicy"}
UNASKED_OF_TASKS = UNASKED | {
    "iot:DetachThingPrincipal", "iot:ListThingPrincipals", "iot:ListPrincipalThings", "iot:ListAttachedPolicies",
    "iot:DetachPolicy", "iot:ListTargetsForPolicy"}
# The local AWS decrypts parameters without asking for the key.
TAKEN_AWAY = [
    (function, sid, action) for function, sid, action in GRANTS
    if action not in (UNASKED if function == "provision" else UNASKED_OF_TASKS)
    and not action.startswith("logs:") and sid != "CaKeysKmsKey"]


def test_the_roles_grant_this_and_nothing_else():
    assert sorted(GRANTS) == sorted([
        ("provision", "Templates", "s3:GetObject"),
        ("provision", "Policies", "s3:GetObject"),
        ("provision", "List", "s3:ListBucket"),
        ("provision", "BulkInputs", "s3:PutObject"),
        ("provision", "Ledger", "dynamodb:PutItem"),
        ("provision", "Deletions", "dynamodb:GetItem"),
        ("provision", "Deletions", "dynamodb:DeleteItem"),
        ("provision", "CaKeys", "ssm:GetParameter"),
        ("provision", "CaKeysKmsKey", "kms:Decrypt"),
        ("provision", "Cas", "iot:DescribeCACertificate"),
        ("provision", "Orders", "iot:CreateKeysAndCertificate"),
        ("provision", "Orders", "iot:RegisterCertificateWithoutCA"),
        ("provision", "Orders", "iot:StartThingRegistrationTask"),
        ("provision", "Orders", "iot:DescribeThingRegistrationTask"),
        ("provision", "Orders", "iot:ListThingRegistrationTaskReports"),
        ("provision", "BulkRole", "iam:PassRole"),
        *[("provision", *grant) for grant in REGISTRATION],
        ("provision", "EndedThings", "iot:DeleteThing"),
        ("provision", "EndedCertificates", "iot:DeleteCertificate"),
        ("provision", "EndedPolicies", "iot:ListPolicyVersions"),
        ("provision", "EndedPolicies", "iot:DeletePolicyVersion"),
        ("provision", "EndedPolicies", "iot:DeletePolicy"),
        ("provision", "PrivateCas", "acm-pca:DescribeCertificateAuthority"),
        ("provision", "PrivateCas", "acm-pca:GetCertificate"),
        ("provision", "PrivateCaOrders", "acm-pca:IssueCertificate"),
        ("provision", "PrivateCaRoles", "sts:AssumeRole"),
        ("provision", "Logs", "logs:CreateLogStream"),
        ("provision", "Logs", "logs:PutLogEvents"),
        ("bulk", "Inputs", "s3:GetObject"),
        *[("bulk", *grant) for grant in REGISTRATION],
    ])


def replacing(certificate, *parameters):
    """A template that takes a thing and a certificate as they are, and has a resource of each kind."""
    made = copy.deepcopy(TEMPLATES[certificate])
    made.pop("CDF", None)
    resources = made["Resources"]
    resources["thing"]["Properties"] |= {
        "ThingTypeName": "common", "ThingGroups": [ref("Group")], "AttributePayload": {"group": ref("Group")}}
    resources["thing"]["OverrideSettings"] = {"ThingGroups": "REPLACE", "AttributePayload": "REPLACE"}
    # A document of its own each time: the policy is created.
    resources["own"] = {"Type": "AWS::IoT::Policy", "Properties": {
        "PolicyDocument": json.dumps(document("iot:Publish", f"arn:aws:iot:*:*:topic/{new_name()}"))}}
    made["Parameters"] |= {name: {"Type": "String"} for name in ("Group", *parameters)}
    return made


@pytest.fixture(scope="module")
def kinds(factory):
    """Two thing groups, and a thing type."""
    groups = [new_name("g"), new_name("g")]
    factory.iot.create_thing_type(thingTypeName="common")
    for group in groups:
        factory.iot.create_thing_group(thingGroupName=group)
    return groups


def templates_of_tasks(factory, kind):
    """Of things with a CSR, and with a certificate whose status may change."""
    factory.put_template(f"{kind}-csr", replacing("csr"))
    pem = replacing("sensor", "Status")
    pem["Resources"]["certificate"] |= {"OverrideSettings": {"Status": "REPLACE"}}
    pem["Resources"]["certificate"]["Properties"]["Status"] = ref("Status")
    factory.put_template(f"{kind}-pem", pem)


def rows_of_tasks(factory, groups):
    device, name = factory.device(), new_name("task")
    pem = {"CertificatePem": factory.ca.sign(device.csr), "CaCertificatePem": factory.ca.pem}
    return {
        "csr": [{"ThingName": name, "CSR": device.csr, "Group": group} for group in groups],
        "pem": [pem | {"ThingName": name, "Group": groups[1], "Status": status} for status in ("ACTIVE", "INACTIVE")]}


def registers(factory, groups):
    """Single things, by AWS IoT's options alone."""
    templates_of_tasks(factory, "one")
    for kind, rows in rows_of_tasks(factory, groups).items():
        for row in rows:
            answer = factory.things.provision(f"one-{kind}", row["ThingName"], parameters=row)
            assert answer.status == 201, answer.content


def works_in_bulk(factory, groups):
    templates_of_tasks(factory, "many")
    for kind, rows in rows_of_tasks(factory, groups).items():
        answer = factory.things.start(rows, f"many-{kind}")
        assert answer.status == 201, answer.content
        done = factory.things.ended(answer.content["taskId"])
        assert (done["successCount"], done["failureCount"]) == (len(rows), 0) and done["resultsReports"], done


def makes_and_ends(factory, groups):
    """A device by an assignment, of a CA, whose policy is its own; shown, blocked and deleted."""
    policy, name = new_name("policy"), new_name()
    content = factory.iot.get_policy(policyName="fleet")["policyDocument"]
    factory.iot.create_policy(policyName=policy, policyDocument=content)
    factory.iot.create_policy_version(policyName=policy, policyDocument=content, setAsDefault=True)
    made = copy.deepcopy(TEMPLATES["sensor"])
    made["Resources"]["policy"]["Properties"]["PolicyName"] = policy
    factory.put_template(policy, made)
    factory.put_template("assignments", {groups[0]: policy})
    body = {"groupPath": f"/{groups[0]}", "parameters": {"ThingName": name}, "cdfProvisioningParameters": factory.order()}
    for method, path, content, expected in [
        ("POST", "/things", body, 201),
        ("GET", f"/things/{name}", None, 200),
        ("PATCH", f"/things/{name}/certificates", {"certificateStatus": "INACTIVE"}, 204),
        ("DELETE", f"/things/{name}", None, 204),
    ]:
        answer = factory.things.send(method, path, content)
        assert answer.status == expected, answer.content


def of_other_certificates(factory, private):  # noqa: F811
    factory.make("aws", cdf={})
    factory.make("brought", cdf={"certificatePem": factory.ca.sign(factory.device().csr)})
    assert factory.things.provision("no-such-template").status == 400
    answer = factory.things.provision("broken", cdf=factory.order())
    assert answer.content["undone"] is True
    for named in ("ours", "theirs"):
        factory.make("private-without", cdf=private.order("private-without", acmpcaCaArn=None, acmpcaCaAlias=named))


def works(factory, groups, private, function):  # noqa: F811
    """All that the function does, or AWS IoT for it, from cold."""
    factory.stack.restart("provision")
    try:
        if function == "provision":
            makes_and_ends(factory, groups)
            of_other_certificates(factory, private)
            registers(factory, groups)
        works_in_bulk(factory, groups)
        return True
    except AssertionError:
        return False


@pytest.fixture(scope="module", autouse=True)
def trusted(factory, private):  # noqa: F811
    """The role of the other account's CA."""
    with role(private, *NEEDED, trusting=factory.stack.outputs["ProvisionRoleArn"]):
        yield


@pytest.mark.parametrize("function", ["provision", "bulk"])
def test_the_whole_of_it_works(factory, kinds, private, function):  # noqa: F811
    assert works(factory, kinds, private, function)


@pytest.mark.parametrize("function, sid, action", TAKEN_AWAY)
def test_without_the_action_it_fails(factory, kinds, private, function, sid, action):  # noqa: F811
    with privileges.taken_away(function, sid, action):
        assert not works(factory, kinds, private, function), f"{function} does not need {action} of {sid}"
    assert works(factory, kinds, private, function), "it was the action that was missing"
