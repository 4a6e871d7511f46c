"""RegisterThing of local/iot."""

import hashlib
import json

import pytest
from cryptography import x509

from local_iot import ARN, POLICY, REGISTRATION, Made, User, ca, iot, name, refused, template, whole  # noqa: F401, fixtures


def test_a_thing_its_certificate_and_its_policies(iot, ca):  # noqa: F811
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


def test_a_certificate_from_a_request(iot):  # noqa: F811
    for status in ("ACTIVE", "INACTIVE"):
        body = template({"ThingName": name()}, {"CertificateSigningRequest": Made("device").csr, "Status": status})
        answer = iot.register_thing(templateBody=body)
        made = x509.load_pem_x509_certificate(answer["certificatePem"].encode())
        assert made.subject.rfc4514_string() == "CN=device"
        identity = answer["resourceArns"]["badge"].rsplit("/", 1)[1]
        assert iot.describe_certificate(certificateId=identity)["certificateDescription"]["status"] == status


def test_a_certificate_by_its_id(iot):  # noqa: F811
    made = iot.create_keys_and_certificate(setAsActive=True)
    thing = name()
    answer = iot.register_thing(templateBody=template({"ThingName": thing}, {"CertificateId": made["certificateId"]}))
    assert answer["certificatePem"] == made["certificatePem"]
    assert iot.list_principal_things(principal=made["certificateArn"])["things"] == [thing]


def test_a_thing_alone(iot):  # noqa: F811
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
def test_overrides_of_a_thing(iot, setting, attributes, groups, kind):  # noqa: F811
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
def test_overrides_of_a_certificate(iot, setting, status):  # noqa: F811
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
def test_refused_as_invalid(iot, case):  # noqa: F811
    with refused("InvalidRequestException"):
        iot.register_thing(templateBody=REFUSED[case])


def test_refused_for_what_is_not_there(iot, ca):  # noqa: F811
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


def test_two_certificates_are_refused(iot):  # noqa: F811
    badge = {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": "0" * 64}}
    with refused("InvalidRequestException"):
        iot.register_thing(templateBody=json.dumps({"Resources": {"a": badge, "b": badge}}))


def test_with_these_permissions_it_works(iot, ca):  # noqa: F811
    group = name("g")
    iot.create_thing_group(thingGroupName=group)
    user = User(REGISTRATION)
    user.iot.register_thing(templateBody=whole(name(), Made(issuer=ca), group))


@pytest.mark.parametrize("missing", [grant[0] for grant in REGISTRATION])
def test_without_an_action_it_is_denied(iot, ca, missing):  # noqa: F811
    group = name("g")
    iot.create_thing_group(thingGroupName=group)
    user = User([grant for grant in REGISTRATION if grant[0] != missing])
    with refused("UnauthorizedException", "AccessDeniedException") as caught:
        user.iot.register_thing(templateBody=whole(name(), Made(issuer=ca), group))
    assert missing in caught.value.response["Error"]["Message"]


def test_on_another_resource_it_is_denied(iot, ca):  # noqa: F811
    group = name("g")
    iot.create_thing_group(thingGroupName=group)
    for action in ("iot:CreateThing", "iot:AttachPolicy", "iot:AddThingToThingGroup", "iot:CreatePolicy"):
        user = User([(one, f":{'policy' if one == 'iot:AttachPolicy' else 'thing'}/other" if one == action else on)
                     for one, on in REGISTRATION])
        with refused("UnauthorizedException"):
            user.iot.register_thing(templateBody=whole(name(), Made(issuer=ca), group))
