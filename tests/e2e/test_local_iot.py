"""What local/iot adds to the local AWS: RegisterThing, registration tasks, what IoT requests are checked on, MQTT."""

import contextlib
import datetime
import hashlib
import json
import secrets
import ssl
import time
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mqtt import Mqtt
from private_authority import issue, private_ca  # noqa: F401, a fixture

REGION, ACCOUNT = "eu-west-1", "123456789012"
ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}"
ROOT = {"aws_access_key_id": "local-root", "aws_secret_access_key": "local-root"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{ARN}:client/${{iot:Connection.Thing.ThingName}}"},
    {"Effect": "Allow", "Action": "iot:Publish", "Resource": f"{ARN}:topic/things/${{iot:Connection.Thing.ThingName}}/*"},
]})
REGISTRATION = [
    ("iot:RegisterThing", "*"), ("iot:DescribeThing", ":thing/*"), ("iot:DescribeThingGroup", ":thinggroup/*"),
    ("iot:DescribeThingType", ":thingtype/*"), ("iot:CreateThing", ":thing/*"),
    ("iot:AddThingToThingGroup", ":thing*"), ("iot:DescribeCertificate", ":cert/*"), ("iot:RegisterCertificate", "*"),
    ("iot:AttachThingPrincipal", "*"), ("iot:CreatePolicy", ":policy/*"), ("iot:AttachPolicy", ":cert/*"),
]


def name(kind="t"):
    return f"{kind}-{secrets.token_hex(6)}"


def client(service, **keys):
    return boto3.client(service, region_name=REGION, **(keys or ROOT))


@pytest.fixture(scope="module")
def iot():
    return client("iot")


@contextlib.contextmanager
def refused(*codes):
    with pytest.raises(ClientError) as caught:
        yield caught
    assert caught.value.response["Error"]["Code"] in codes


def statements(actions):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": ARN + on if on.startswith(":") else on} for action, on in actions
    ]})


class User:
    """An IAM user that may this."""

    def __init__(self, actions):
        self.name, self.iam = name("user"), client("iam")
        self.iam.create_user(UserName=self.name)
        self.may(actions)
        key = self.iam.create_access_key(UserName=self.name)["AccessKey"]
        self.iot = client("iot", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    def may(self, actions):
        self.iam.put_user_policy(UserName=self.name, PolicyName="may", PolicyDocument=statements(actions))


class Made:
    """A certificate with its key: of a CA, or itself a CA."""

    def __init__(self, common_name=None, issuer=None):
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name("cn"))])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder().subject_name(subject).public_key(self.key.public_key())
            .issuer_name(issuer.certificate.subject if issuer else subject).serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        self.certificate = builder.sign(issuer.key if issuer else self.key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.id = hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
        self.arn = f"{ARN}:cert/{self.id}"
        self.csr = (
            x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM).decode()
        )

    def files(self, folder):
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = folder / f"{self.id}.pem"
        path.write_bytes(self.pem.encode() + private)
        return path


@pytest.fixture(scope="module")
def ca(iot):
    # Of a name of its own: the listener would not tell CAs of one name apart, without key identifiers in their certificates.
    made = Made()
    code = iot.get_registration_code()["registrationCode"]
    iot.register_ca_certificate(caCertificate=made.pem, verificationCertificate=Made(code, made).pem, setAsActive=True)
    return made


def template(thing=None, certificate=None, policies=(), overrides=None, certificate_overrides=None, **more):
    resources = {}
    if thing is not None:
        resources["device"] = {"Type": "AWS::IoT::Thing", "Properties": thing, "OverrideSettings": overrides or {}}
    if certificate is not None:
        resources["badge"] = {"Type": "AWS::IoT::Certificate", "Properties": certificate,
                              "OverrideSettings": certificate_overrides or {}}
    for number, policy in enumerate(policies):
        resources[f"policy{number}"] = {"Type": "AWS::IoT::Policy", "Properties": policy}
    return json.dumps({"Resources": resources} | more)


def whole(thing, certificate, group):
    """A template with a resource of each type; the thing is of the type `common`."""
    client("iot").create_thing_type(thingTypeName="common")
    properties = {"ThingName": thing, "ThingTypeName": "common", "ThingGroups": [group]}
    return template(properties, {"CertificatePem": certificate.pem}, [{"PolicyDocument": POLICY}])


# RegisterThing


def test_a_thing_its_certificate_and_its_policies(iot, ca):
    thing, group, kind, existing, device = name(), name("g"), name("k"), name("p"), Made(issuer=ca)
    iot.create_thing_group(thingGroupName=group)
    iot.create_thing_type(thingTypeName=kind)
    iot.create_policy(policyName=existing, policyDocument=POLICY)
    body = template(
        {"ThingName": {"Fn::Join": ["", ["t-", {"Ref": "Serial"}]]}, "ThingTypeName": {"Fn::FindInMap": ["Kinds", "a", "kind"]},
         "ThingGroups": [{"Ref": "Group"}], "AttributePayload": {"place": {"Ref": "Place"}, "who": {"Fn::Sub": "${Serial}@x"}}},
        {"CertificatePem": {"Ref": "Pem"}, "Status": "ACTIVE"},
        [{"PolicyDocument": POLICY}, {"PolicyName": existing}],
        Parameters={"Serial": {"Type": "String"}, "Group": {"Type": "String"}, "Pem": {"Type": "String"},
                    "Place": {"Type": "String", "Default": "WA"}},
        Mappings={"Kinds": {"a": {"kind": kind}}},
    )
    answer = iot.register_thing(templateBody=body, parameters={"Serial": thing[2:], "Group": group, "Pem": device.pem})
    hashed = hashlib.sha256(POLICY.encode()).hexdigest()
    assert answer["certificatePem"] == device.pem
    assert answer["resourceArns"] == {"device": f"{ARN}:thing/{thing}", "badge": device.arn,
                                      "policy0": f"{ARN}:policy/{hashed}", "policy1": f"{ARN}:policy/{existing}"}
    described = iot.describe_thing(thingName=thing)
    assert described["thingTypeName"] == kind
    assert described["attributes"] == {"place": "WA", "who": f"{thing[2:]}@x"}
    assert iot.list_thing_principals(thingName=thing)["principals"] == [device.arn]
    assert [found["groupName"] for found in iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]] == [group]
    attached = iot.list_attached_policies(target=device.arn)["policies"]
    assert {policy["policyName"] for policy in attached} == {hashed, existing}
    assert iot.get_policy(policyName=hashed)["policyDocument"] == POLICY
    certificate = iot.describe_certificate(certificateId=device.id)["certificateDescription"]
    assert (certificate["status"], certificate["caCertificateId"]) == ("ACTIVE", ca.id)
    # The same once more changes nothing.
    again = iot.register_thing(templateBody=body, parameters={"Serial": thing[2:], "Group": group, "Pem": device.pem})
    assert again["resourceArns"] == answer["resourceArns"]
    assert iot.list_thing_principals(thingName=thing)["principals"] == [device.arn]


def test_a_certificate_from_a_request(iot):
    for status in ("ACTIVE", "INACTIVE"):
        body = template({"ThingName": name()}, {"CertificateSigningRequest": Made("device").csr, "Status": status})
        answer = iot.register_thing(templateBody=body)
        made = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
        assert made.subject.rfc4514_string() == "CN=device"
        identity = answer["resourceArns"]["badge"].rsplit("/", 1)[1]
        assert iot.describe_certificate(certificateId=identity)["certificateDescription"]["status"] == status


def test_a_certificate_by_its_id(iot):
    made = iot.create_keys_and_certificate(setAsActive=True)
    thing = name()
    answer = iot.register_thing(templateBody=template({"ThingName": thing}, {"CertificateId": made["certificateId"]}))
    assert answer["certificatePem"] == made["certificatePem"]
    assert iot.list_principal_things(principal=made["certificateArn"])["things"] == [thing]


def test_a_thing_alone(iot):
    thing = name()
    answer = iot.register_thing(templateBody=template({"ThingName": thing}))
    assert answer["resourceArns"] == {"device": f"{ARN}:thing/{thing}"}
    assert "certificatePem" not in answer


@pytest.mark.parametrize("setting, attributes, groups, kind", [
    ("DO_NOTHING", {"a": "1", "b": "2"}, "old", "old"),
    ("REPLACE", {"b": "3"}, "new", "new"),
    ("MERGE", {"a": "1", "b": "3"}, "old new", "old"),
    ("FAIL", None, None, None),
    (None, None, None, None),
])
def test_overrides_of_a_thing(iot, setting, attributes, groups, kind):
    thing, made = name(), {}
    for age in ("old", "new"):
        made[age] = name(age)
        iot.create_thing_group(thingGroupName=made[age])
        iot.create_thing_type(thingTypeName=made[age])
    iot.create_thing(thingName=thing, thingTypeName=made["old"], attributePayload={"attributes": {"a": "1", "b": "2"}})
    iot.add_thing_to_thing_group(thingName=thing, thingGroupName=made["old"])
    asked = {"ThingName": thing, "AttributePayload": {"b": "3"}, "ThingGroups": [made["new"]]}
    settings = {"AttributePayload": setting, "ThingGroups": setting} if setting else {}
    if setting != "MERGE":
        asked["ThingTypeName"] = made["new"]
        settings |= {"ThingTypeName": setting} if setting else {}
    if attributes is None:
        with refused("ResourceRegistrationFailureException"):
            iot.register_thing(templateBody=template(asked, overrides=settings))
        attributes, groups, kind = {"a": "1", "b": "2"}, "old", "old"
    else:
        iot.register_thing(templateBody=template(asked, overrides=settings))
    described = iot.describe_thing(thingName=thing)
    assert described["attributes"] == attributes
    assert described["thingTypeName"] == made[kind]
    found = iot.list_thing_groups_for_thing(thingName=thing)["thingGroups"]
    assert {group["groupName"] for group in found} == {made[age] for age in groups.split()}


@pytest.mark.parametrize("setting, status", [("DO_NOTHING", "INACTIVE"), ("REPLACE", "ACTIVE"), ("FAIL", None), (None, None)])
def test_overrides_of_a_certificate(iot, setting, status):
    made = iot.create_keys_and_certificate(setAsActive=False)["certificateId"]
    body = template({"ThingName": name()}, {"CertificateId": made, "Status": "ACTIVE"},
                    certificate_overrides={"Status": setting} if setting else {})
    if status is None:
        with refused("ResourceRegistrationFailureException"):
            iot.register_thing(templateBody=body)
    else:
        iot.register_thing(templateBody=body)
    assert iot.describe_certificate(certificateId=made)["certificateDescription"]["status"] == (status or "INACTIVE")


REFUSED = {
    "no_json": "{",
    "no_resources": "{}",
    "an_unknown_type": json.dumps({"Resources": {"x": {"Type": "AWS::IoT::Job", "Properties": {}}}}),
    "an_unknown_property": template({"ThingName": "t", "Colour": "red"}),
    "no_thing_name": template({}),
    "a_bad_thing_name": template({"ThingName": "a b"}),
    "an_unresolved_parameter": template({"ThingName": {"Ref": "Serial"}}),
    "an_unknown_function": template({"ThingName": {"Fn::Base64": "x"}}),
    "an_unknown_override": template({"ThingName": "t"}, overrides={"ThingTypeName": "MERGE"}),
    "a_parameter_of_another_type": template({"ThingName": "t"}, Parameters={"A": {"Type": "Number"}}),
    "two_sources_of_a_certificate": template(None, {"CertificateId": "0" * 64, "CertificatePem": "x"}),
    "no_source_of_a_certificate": template(None, {"Status": "ACTIVE"}),
    "a_revoked_certificate": template(None, {"CertificateId": "0" * 64, "Status": "REVOKED"}),
    "a_certificate_that_is_none": template(None, {"CertificatePem": "x"}),
    "a_request_that_is_none": template(None, {"CertificateSigningRequest": "x"}),
    "a_policy_without_certificate": template(None, None, [{"PolicyName": "p"}]),
    "a_policy_of_name_and_document": template(None, {"CertificateId": "0" * 64}, [{"PolicyName": "p", "PolicyDocument": "{}"}]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_as_invalid(iot, case):
    with refused("InvalidRequestException"):
        iot.register_thing(templateBody=REFUSED[case])


def test_refused_for_what_is_not_there(iot, ca):
    known = Made(issuer=ca)
    for body in (
        template({"ThingName": name(), "ThingTypeName": "nowhere"}),
        template({"ThingName": name(), "ThingGroups": ["nowhere"]}),
        template({"ThingName": name(), "BillingGroup": "nowhere"}),
        template({"ThingName": name()}, {"CertificateId": "0" * 64}),
        template({"ThingName": name()}, {"CertificatePem": Made(issuer=Made()).pem}),
        template({"ThingName": name()}, {"CertificatePem": known.pem, "CACertificatePem": Made().pem}),
        template({"ThingName": name()}, {"CertificatePem": known.pem}, [{"PolicyName": "nowhere"}]),
    ):
        with refused("ResourceRegistrationFailureException"):
            iot.register_thing(templateBody=body)


def test_two_certificates_are_refused(iot):
    badge = {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": "0" * 64}}
    with refused("InvalidRequestException"):
        iot.register_thing(templateBody=json.dumps({"Resources": {"a": badge, "b": badge}}))


def test_with_these_permissions_it_works(iot, ca):
    group = name("g")
    iot.create_thing_group(thingGroupName=group)
    user = User(REGISTRATION)
    user.iot.register_thing(templateBody=whole(name(), Made(issuer=ca), group))


@pytest.mark.parametrize("missing", [grant[0] for grant in REGISTRATION])
def test_without_an_action_it_is_denied(iot, ca, missing):
    group = name("g")
    iot.create_thing_group(thingGroupName=group)
    user = User([grant for grant in REGISTRATION if grant[0] != missing])
    with refused("UnauthorizedException", "AccessDeniedException") as caught:
        user.iot.register_thing(templateBody=whole(name(), Made(issuer=ca), group))
    assert missing in caught.value.response["Error"]["Message"]


def test_on_another_resource_it_is_denied(iot, ca):
    group = name("g")
    iot.create_thing_group(thingGroupName=group)
    for action in ("iot:CreateThing", "iot:AttachPolicy", "iot:AddThingToThingGroup", "iot:CreatePolicy"):
        user = User([(one, f":{'policy' if one == 'iot:AttachPolicy' else 'thing'}/other" if one == action else on)
                     for one, on in REGISTRATION])
        with refused("UnauthorizedException"):
            user.iot.register_thing(templateBody=whole(name(), Made(issuer=ca), group))


# Registration tasks


@pytest.fixture(scope="module")
def bucket():
    made = name("input")
    client("s3").create_bucket(Bucket=made, CreateBucketConfiguration={"LocationConstraint": REGION})
    return made


def role(actions, service="iot.amazonaws.com"):
    iam, made = client("iam"), name("role")
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName=made, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=made, PolicyName="may", PolicyDocument=statements(actions))
    return arn


def run(iot, bucket, lines, role_arn, body):
    key = name("lines")
    client("s3").put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())
    task = iot.start_thing_registration_task(
        templateBody=body, inputFileBucket=bucket, inputFileKey=key, roleArn=role_arn)["taskId"]
    for _ in range(200):
        described = iot.describe_thing_registration_task(taskId=task)
        if described["status"] not in ("InProgress", "Cancelling"):
            return task, described
        time.sleep(0.05)
    raise AssertionError(described)


def report(iot, task, kind):
    [link] = iot.list_thing_registration_task_reports(taskId=task, reportType=kind)["resourceLinks"]
    with urllib.request.urlopen(link, timeout=10) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


TASK = template({"ThingName": {"Ref": "Name"}}, {"CertificateSigningRequest": {"Ref": "Csr"}},
                Parameters={"Name": {"Type": "String"}, "Csr": {"Type": "String"}})
FOR_TASK = [*REGISTRATION, ("iot:CreateCertificateFromCsr", "*"), ("s3:GetObject", "arn:aws:s3:::input-*")]


def test_a_task_from_end_to_end(iot, bucket):
    things = [name(), name()]
    lines = [json.dumps({"Name": thing, "Csr": Made().csr}) for thing in things]
    lines[1:1] = ["not JSON", json.dumps({"Name": "a b", "Csr": "c"})]
    task, described = run(iot, bucket, lines, role(FOR_TASK), TASK)
    assert described["status"] == "Completed", described
    assert (described["successCount"], described["failureCount"], described["percentageProgress"]) == (2, 2, 100)
    assert described["templateBody"] == TASK and described["inputFileBucket"] == bucket
    assert described["creationDate"] <= described["lastModifiedDate"]
    results = report(iot, task, "RESULTS")
    assert [line["lineNumber"] for line in results] == [1, 4]
    assert results[0]["offset"] == 0 and results[1]["offset"] == sum(len(line) + 1 for line in lines[:3])
    assert results[0]["response"]["ResourceArns"]["device"] == f"{ARN}:thing/{things[0]}"
    assert "BEGIN CERTIFICATE" in results[0]["response"]["CertificatePem"]
    assert [line["lineNumber"] for line in report(iot, task, "ERRORS")] == [2, 3]
    assert [iot.describe_thing(thingName=thing)["thingName"] for thing in things] == things
    assert task in iot.list_thing_registration_tasks(status="Completed")["taskIds"]
    with refused("InvalidRequestException"):
        iot.stop_thing_registration_task(taskId=task)


def test_a_task_has_its_roles_permissions(iot, bucket):
    line = json.dumps({"Name": name(), "Csr": Made().csr})
    less = [grant for grant in FOR_TASK if grant[0] != "iot:CreateThing"]
    task, described = run(iot, bucket, [line], role(less), TASK)
    assert (described["status"], described["failureCount"]) == ("Completed", 1)
    assert "iot:CreateThing" in report(iot, task, "ERRORS")[0]["errorMessage"]
    assert iot.list_thing_registration_task_reports(taskId=task, reportType="RESULTS")["resourceLinks"] == []


def test_a_task_fails_without_its_file_or_its_role(iot, bucket):
    line = json.dumps({"Name": name(), "Csr": Made().csr})
    assert run(iot, bucket, [line], role(REGISTRATION), TASK)[1]["status"] == "Failed"
    assert run(iot, bucket, [line], role(FOR_TASK, "lambda.amazonaws.com"), TASK)[1]["status"] == "Failed"
    assert run(iot, bucket, [line], f"arn:aws:iam::{ACCOUNT}:role/nobody", TASK)[1]["message"]


def test_a_task_is_stopped(iot, bucket):
    lines = [json.dumps({"Name": name(), "Csr": Made().csr})] * 500
    key = name("lines")
    client("s3").put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())
    task = iot.start_thing_registration_task(
        templateBody=TASK, inputFileBucket=bucket, inputFileKey=key, roleArn=role(FOR_TASK))["taskId"]
    iot.stop_thing_registration_task(taskId=task)
    for _ in range(200):
        described = iot.describe_thing_registration_task(taskId=task)
        if described["status"] == "Cancelled":
            break
        time.sleep(0.05)
    assert described["status"] == "Cancelled" and described["percentageProgress"] < 100


def test_a_task_is_refused(iot, bucket):
    with refused("ResourceNotFoundException"):
        iot.describe_thing_registration_task(taskId="nobody")
    wanted = {"templateBody": TASK, "inputFileBucket": bucket, "inputFileKey": "k", "roleArn": role(FOR_TASK)}
    with refused("InvalidRequestException"):
        iot.start_thing_registration_task(**wanted | {"inputFileBucket": "a b c"})
    user = User([("iot:StartThingRegistrationTask", "*")])
    with refused("UnauthorizedException") as caught:
        user.iot.start_thing_registration_task(**wanted)
    assert "iam:PassRole" in caught.value.response["Error"]["Message"]
    user.may([("iam:PassRole", wanted["roleArn"])])
    with refused("AccessDeniedException"):
        user.iot.start_thing_registration_task(**wanted)


# What ministack's own operations are checked on


@pytest.fixture(scope="module")
def world(iot, ca):
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


# ministack's own operations, where they are stricter than it was


def test_a_group_names_those_above_it(iot):
    names = [name("g") for _ in range(3)]
    for parent, child in zip([None, *names], names):
        iot.create_thing_group(thingGroupName=child, **({"parentGroupName": parent} if parent else {}))
    metadata = iot.describe_thing_group(thingGroupName=names[2])["thingGroupMetadata"]
    assert metadata["parentGroupName"] == names[1]
    assert metadata["rootToParentThingGroups"] == [
        {"groupName": group, "groupArn": f"{ARN}:thinggroup/{group}"} for group in names[:2]]
    assert iot.describe_thing_group(thingGroupName=names[0])["thingGroupMetadata"]["rootToParentThingGroups"] == []


def test_a_certificate_of_an_unknown_ca_is_registered_without_one_alone(iot):
    device = Made(issuer=Made())
    with refused("CertificateStateException"):
        iot.register_certificate(certificatePem=device.pem, status="ACTIVE")
    made = iot.register_certificate_without_ca(certificatePem=device.pem, status="ACTIVE")
    assert made["certificateId"] == device.id
    assert iot.describe_certificate(certificateId=device.id)["certificateDescription"]["certificateMode"] == "SNI_ONLY"


def test_a_ca_is_registered_with_the_code_in_a_certificate_of_its_own(iot):
    made, code = Made(), iot.get_registration_code()["registrationCode"]
    for verification, error in [(Made("another code", made), "RegistrationCodeValidationException"),
                                (Made(code, Made()), "CertificateValidationException")]:
        with refused(error):
            iot.register_ca_certificate(caCertificate=made.pem, verificationCertificate=verification.pem)


def test_a_certificate_ends_in_order(iot):
    made = iot.create_keys_and_certificate(setAsActive=True)
    identity, arn, thing, policy = made["certificateId"], made["certificateArn"], name(), name("p")
    iot.create_thing(thingName=thing)
    iot.create_policy(policyName=policy, policyDocument=POLICY)
    with refused("ResourceAlreadyExistsException"):
        iot.create_policy(policyName=policy, policyDocument=POLICY)
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.attach_policy(policyName=policy, target=arn)
    with refused("InvalidRequestException"):
        iot.delete_thing(thingName=thing)
    with refused("CertificateStateException"):
        iot.delete_certificate(certificateId=identity)
    iot.update_certificate(certificateId=identity, newStatus="REVOKED")
    with refused("DeleteConflictException"):
        iot.delete_certificate(certificateId=identity, forceDelete=True)
    iot.detach_thing_principal(thingName=thing, principal=arn)
    with refused("DeleteConflictException"):
        iot.delete_certificate(certificateId=identity)
    with refused("DeleteConflictException"):
        iot.delete_policy(policyName=policy)
    iot.delete_certificate(certificateId=identity, forceDelete=True)
    iot.delete_policy(policyName=policy)
    iot.delete_thing(thingName=thing)


def test_a_certificate_can_be_one_things_alone(iot):
    arn, things = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"], [name(), name()]
    for thing in things:
        iot.create_thing(thingName=thing)
    iot.attach_thing_principal(thingName=things[0], principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    with refused("InvalidRequestException"):
        iot.attach_thing_principal(thingName=things[1], principal=arn)
    exclusive = {"thingPrincipalType": "EXCLUSIVE_THING"}
    assert iot.list_principal_things_v2(principal=arn)["principalThingObjects"] == [{"thingName": things[0]} | exclusive]
    assert iot.list_thing_principals_v2(thingName=things[0])["thingPrincipalObjects"] == [{"principal": arn} | exclusive]


# The private CA


def test_the_private_ca_issues_for_as_long_as_it_is_asked_to(private_ca):
    pca, device = client("acm-pca"), Made("device")
    issued = issue(pca, private_ca, device.csr.encode(), 7, "EndEntityClientAuthCertificate")
    made = x509.load_pem_x509_certificate(issued["Certificate"].encode())
    root = x509.load_pem_x509_certificate(issued["CertificateChain"].encode())
    made.verify_directly_issued_by(root)
    assert made.public_key() == device.key.public_key()
    assert made.not_valid_after_utc - made.not_valid_before_utc == datetime.timedelta(days=7, hours=1)
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    with refused("ValidationException"):
        issue(pca, private_ca, device.csr.encode(), 4000, "EndEntityCertificate")


def test_the_private_ca_is_asked_with_the_callers_permissions(private_ca):
    def pca(*granted):
        user = User(granted)
        key = user.iam.create_access_key(UserName=user.name)["AccessKey"]
        return client("acm-pca", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    wanted = ("acm-pca:IssueCertificate", private_ca), ("acm-pca:GetCertificate", private_ca)
    csr = Made().csr.encode()
    issue(pca(*wanted), private_ca, csr, 7, "EndEntityCertificate")
    for missing in range(2):
        with refused("AccessDeniedException"):
            issue(pca(wanted[1 - missing]), private_ca, csr, 7, "EndEntityCertificate")
    with refused("AccessDeniedException"):
        issue(pca(("acm-pca:*", private_ca + "-other")), private_ca, csr, 7, "EndEntityCertificate")


# MQTT


@pytest.fixture
def device(iot, ca, tmp_path):
    """A thing, its certificate and the file of certificate and key."""
    thing, made = name(), Made(issuer=ca)
    iot.register_thing(templateBody=template({"ThingName": thing}, {"CertificatePem": made.pem}, [{"PolicyDocument": POLICY}]))
    return thing, made, made.files(tmp_path)


def test_a_device_connects_as_its_thing_and_publishes_where_its_policy_says(device):
    thing, _, files = device
    session = Mqtt(files)
    assert session.connect(thing)
    assert session.publish(f"things/{thing}/state")
    assert not session.publish("things/another/state")
    assert not Mqtt(files).connect("another")


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_device_is_refused_once_its_certificate_ends(iot, device, status):
    thing, made, files = device
    session = Mqtt(files)
    assert session.connect(thing)
    iot.update_certificate(certificateId=made.id, newStatus=status)
    assert not Mqtt(files).connect(thing)
    assert not session.publish(f"things/{thing}/state")


def test_a_device_is_refused_without_a_certificate_that_is_registered(iot, ca, device, tmp_path):
    assert not Mqtt(None).connect(device[0])
    assert not Mqtt(Made(issuer=ca).files(tmp_path)).connect(device[0])
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert not Mqtt(Made().files(tmp_path)).connect(device[0])


def test_a_groups_policy_is_its_things(iot, ca, tmp_path):
    thing, made, group, parent, policy = name(), Made(issuer=ca), name("g"), name("g"), name("p")
    iot.create_thing_group(thingGroupName=parent)
    iot.create_thing_group(thingGroupName=group, parentGroupName=parent)
    iot.create_policy(policyName=policy, policyDocument=POLICY)
    iot.register_thing(templateBody=template({"ThingName": thing, "ThingGroups": [group]}, {"CertificatePem": made.pem}))
    files = made.files(tmp_path)
    assert not Mqtt(files).connect(thing)
    iot.attach_policy(policyName=policy, target=f"{ARN}:thinggroup/{parent}")
    assert Mqtt(files).connect(thing)
