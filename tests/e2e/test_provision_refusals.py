"""What POST /things refuses: a row for each thing that is wrong, and nothing is made of it."""

import json

import pytest

from authority import Authority, certificate_id, key
from provisioning import SERIAL, TEMPLATES, new_name, template


def ordered(certInfo=None, **changes):
    """An order whose certInfo, or which itself, is changed; a change to None leaves a member out."""
    def order(factory):
        made = factory.order(**(certInfo or {})) | changes
        return {name: value for name, value in made.items() if value is not None}
    return order


def signing(**of):
    return lambda factory: {"caId": factory.ca.id, "csr": factory.device(**of).csr}


def with_bad_signature(factory):
    lines = factory.device().csr.strip().split("\n")
    # In the last whole line there is nothing but the signature.
    lines[-3] = lines[-3][:10] + ("A" if lines[-3][10] != "A" else "B") + lines[-3][11:]
    return {"caId": factory.ca.id, "csr": "\n".join(lines) + "\n"}


# What is wrong, the template, and cdfProvisioningParameters.
BAD_ORDERS = {
    "no cdfProvisioningParameters": ("sensor", lambda factory: None),
    "cdfProvisioningParameters of the wrong type": ("sensor", lambda factory: ["caId"]),
    "an unknown member": ("sensor", ordered(color="red")),
    "an unknown member of certInfo": ("sensor", ordered(certInfo={"color": "red"})),
    "no country": ("sensor", lambda factory: {"caId": factory.ca.id, "certInfo": {"commonName": "x"}}),
    "a country that is none": ("sensor", ordered(certInfo={"country": "Germany"})),
    "an empty name": ("sensor", ordered(certInfo={"commonName": ""})),
    "a name beyond X.520": ("sensor", ordered(certInfo={"commonName": "x" * 65})),
    "a name with a line's end": ("sensor", ordered(certInfo={"organization": "a\nb"})),
    "a name of the wrong type": ("sensor", ordered(certInfo={"commonName": 7})),
    "days in letters": ("sensor", ordered(certInfo={"daysExpiry": "ten"})),
    "no days at all": ("sensor", ordered(certInfo={"daysExpiry": 0})),
    "days back": ("sensor", ordered(certInfo={"daysExpiry": -1})),
    "half days": ("sensor", ordered(certInfo={"daysExpiry": 1.5})),
    "more days than the deployment allows": ("sensor", ordered(certInfo={"daysExpiry": 3651})),
    "no CA": ("sensor", ordered(caId=None)),
    "a path for a CA": ("sensor", ordered(caId="../../" + "a" * 58)),
    "a path after a CA": ("sensor", lambda factory: factory.order() | {"caId": factory.ca.id + "/../x"}),
    "a CA of the wrong length": ("sensor", ordered(caId="ab" * 31)),
    "a CA in other letters": ("sensor", lambda factory: factory.order() | {"caId": "g" * 64}),
    "a CA that is not registered": ("sensor", ordered(caId="ab" * 32)),
    "an alias that is none": ("sensor", ordered(caId="line9")),
    "a kind of key that is none": ("sensor", ordered(keyType="RSA_1024")),
    "a CSR that is none": ("sensor", lambda factory: {"caId": factory.ca.id, "csr": "not a csr"}),
    "a CSR and another subject": ("sensor", lambda factory: factory.order() | {"csr": factory.device("/C=DE/CN=other").csr}),
    "a CSR and a kind of key": ("sensor", lambda factory: {
        "caId": factory.ca.id, "csr": factory.device().csr, "keyType": "EC_P256"}),
    "a CSR with a bad signature": ("sensor", with_bad_signature),
    "a CSR that asks for CA rights": ("sensor", signing(extensions=["basicConstraints=critical,CA:TRUE"])),
    "a CSR that asks to sign certificates": ("sensor", signing(extensions=["keyUsage=keyCertSign"])),
    "a CSR that asks for a server's certificate": ("sensor", signing(extensions=["extendedKeyUsage=serverAuth"])),
    "a CSR that asks for other names": ("sensor", signing(extensions=["subjectAltName=DNS:example.com"])),
    "a certificate where none is asked for": ("aws", lambda factory: {"certificatePem": factory.ca.pem}),
    "no certificate": ("brought", lambda factory: {}),
    "a certificate that is none": ("brought", lambda factory: {"certificatePem": "not a certificate"}),
    "a status that is none": ("brought", lambda factory: {
        "certificatePem": factory.ca.sign(factory.device().csr), "certificateStatus": "REVOKED"}),
    "a private CA that is none": ("private-without", lambda factory: {
        "acmpcaCaAlias": "nobody", "certInfo": {"country": "DE"}}),
}


@pytest.mark.parametrize("case", BAD_ORDERS)
def test_a_bad_order_is_refused(factory, case):
    made_by, order = BAD_ORDERS[case]
    name = new_name()
    status, headers, answer = factory.things.provision(made_by, name, order(factory))
    assert status == 400 and set(answer) == {"error"} and answer["error"], answer
    assert headers["Cache-Control"] == "no-store"
    assert_nothing_was_made(factory, name)


def assert_nothing_was_made(factory, name):
    with pytest.raises(factory.iot.exceptions.ResourceNotFoundException):
        factory.iot.describe_thing(thingName=name)


SENSOR = {"provisioningTemplateId": "sensor", "parameters": {"ThingName": "never"}}
BAD_BODIES = {
    "not JSON": b"{",
    "no body": b"",
    "not an object": b"[]",
    "not UTF-8": b'{"provisioningTemplateId": "\xff"}',
    "a member twice": b'{"provisioningTemplateId":"aws","provisioningTemplateId":"aws","parameters":{"ThingName":"never"}}',
    "an unknown member": SENSOR | {"color": "red"},
    "no template": {"parameters": {"ThingName": "never"}},
    "no parameters": {"provisioningTemplateId": "sensor"},
    "a template's id of the wrong type": SENSOR | {"provisioningTemplateId": 7},
    "a template's id with a path": SENSOR | {"provisioningTemplateId": "../policies/devices"},
    "a template that is the assignments' file with a suffix": SENSOR | {"provisioningTemplateId": "sensor.json"},
    "an unknown template": SENSOR | {"provisioningTemplateId": "no-such-template"},
    "a group's path that is none": {"groupPath": "sensors", "parameters": {"ThingName": "never"}},
    "a parameter of the wrong type": SENSOR | {"parameters": {"ThingName": 7}},
    "parameters in a list": SENSOR | {"parameters": [{"ThingName": "never"}]},
    "a parameter that AWS IoT fills": SENSOR | {"parameters": {"ThingName": "never", "AWS::IoT::Certificate::Id": "x"}},
    "a parameter that the broker fills": SENSOR | {"parameters": {"ThingName": "never", "CertificatePem": "x"}},
    "a parameter missing": SENSOR | {"parameters": {}},
    "a name that is none": SENSOR | {"parameters": {"ThingName": "a/b"}},
    "more than 64 KiB": SENSOR | {"parameters": {"ThingName": "x" * 66_000}},
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body_is_refused(factory, case):
    body = BAD_BODIES[case]
    if isinstance(body, dict) and body.get("provisioningTemplateId") == "sensor":
        body = body | {"cdfProvisioningParameters": factory.order()}
    before = factory.certificates()
    status, _, answer = factory.things.send("POST", "/things", body)
    assert status == 400 and set(answer) == {"error"} and answer["error"], answer
    assert_nothing_was_made(factory, "never")
    assert factory.certificates() == before, "no certificate either"


def with_name(name):
    made = template("signed", createDeviceCertificate=True)
    made["Resources"]["thing"]["Properties"]["ThingName"] = name
    return made


def with_default(value):
    made = template("signed", thing=SERIAL, parameters=["Serial"], createDeviceCertificate=True)
    made["Parameters"]["Serial"]["Default"] = value
    return made


# A template, the parameters, and whether they do.
PARAMETERS = {
    "a name that is none": (TEMPLATES["numbered"], {"ThingName": "a b", "Serial": "1"}, False),
    "a name that is too long": (TEMPLATES["numbered"], {"ThingName": "x" * 129, "Serial": "1"}, False),
    "an empty name": (TEMPLATES["numbered"], {"ThingName": "", "Serial": "1"}, False),
    "a name of the template's that is none": (with_name("a/b"), {"ThingName": "thing"}, False),
    "none for what has no default": (TEMPLATES["numbered"], {}, False),
    "one that AWS IoT fills in": (TEMPLATES["numbered"], {"Serial": "1", "AWS::IoT::Certificate::Id": "x"}, False),
    "one for what has a default": (with_default("1"), {"Serial": "2"}, True),
    "none for what has a default": (with_default("1"), {}, True),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_are_checked_before_a_certificate_is_made(factory, case):
    content, parameters, do = PARAMETERS[case]
    factory.put_template("checked", content)
    before = factory.certificates()
    status, _, answer = factory.things.provision("checked", new_name(), factory.order(), parameters)
    assert status == (201 if do else 400), answer
    assert do or set(answer) == {"error"}, answer
    assert len(factory.certificates() - before) == do


@pytest.mark.parametrize("media", ["text/plain", "application/vnd.aws-cdf-v2.0+json", None])
def test_another_media_type_is_refused(factory, media):
    assert factory.things.send("POST", "/things", SENSOR, media).status == 400


BAD_TEMPLATES = {
    "not JSON": b"{",
    "not an object": [],
    "an unknown option": template("signed", createDeviceCertificate=True, color="red"),
    "an option's wrong type": template("signed", createDeviceCertificate="yes"),
    "a mode that is none": template("signed", acmpca={"mode": "REGISTER"}),
    "two certificates": template("signed", createDeviceCertificate=True, createDeviceAWSCertificate=True),
    "policies of the wrong type": template("signed", createDeviceCertificate=True, attachAdditionalPolicies="extra"),
    "a policy of nothing": template("signed", createDeviceCertificate=True, attachAdditionalPolicies=[{}]),
    "a policy's document that is none": template(
        "signed", createDeviceCertificate=True, attachAdditionalPolicies=[{"document": "{"}]),
    "no resources": {"CDF": {"createDeviceCertificate": True}},
    "more than AWS IoT takes": template("signed", createDeviceCertificate=True, policy="x" * 10_240),
}


@pytest.mark.parametrize("case", BAD_TEMPLATES)
def test_a_bad_template_is_refused(factory, case):
    name = new_name("bad")
    factory.put_template(name, BAD_TEMPLATES[case])
    try:
        status, _, answer = factory.things.provision(name, thing := new_name(), factory.order())
        assert status == 400 and set(answer) == {"error"} and answer["error"], answer
        assert_nothing_was_made(factory, thing)
    finally:
        factory.stack.s3.delete_object(Bucket=factory.stack.bucket, Key=f"templates/{name}.json")


def expired(folder):
    return Authority(folder, end="20210101000000Z")


def inactive(folder):
    ca = Authority(folder)
    ca.iot.update_ca_certificate(certificateId=ca.id, newStatus="INACTIVE")
    return ca


def keyed(value):
    def made(folder):
        ca = Authority(folder, register=False)
        ca.register()
        if value is not None:
            ca.store(value(ca))
        return ca
    return made


BAD_CAS = {
    "expired": expired,
    "inactive": inactive,
    "without a key": keyed(None),
    "with the key of another": keyed(lambda ca: key("ec")),
    "with a key of another kind": keyed(lambda ca: key("rsa")),
    "with a key that is none": keyed(lambda ca: "not a key"),
    "with its certificate for a key": keyed(lambda ca: ca.pem),
}


@pytest.mark.parametrize("case", BAD_CAS)
def test_a_ca_that_does_not_do_is_refused(factory, tmp_path, case):
    ca = BAD_CAS[case](tmp_path)
    name = new_name()
    status, _, answer = factory.things.provision("sensor", name, factory.order() | {"caId": ca.id})
    assert status == 400 and set(answer) == {"error"}, answer
    assert "PRIVATE KEY" not in json.dumps(answer)
    assert_nothing_was_made(factory, name)


def test_a_thing_with_other_settings_is_a_conflict_and_its_certificate_undone(factory):
    name, _ = factory.make("numbered", parameters={"Serial": "1"})
    status, _, answer = factory.things.provision("numbered", name, factory.order(), parameters={"Serial": "2"})
    assert status == 409 and answer["error"] and answer["undone"] is True, answer
    assert factory.certificate(answer["certificateId"]) is None
    assert factory.iot.describe_thing(thingName=name)["attributes"] == {"serial": "1"}
    # With the same settings it gets one more certificate.
    factory.make("numbered", name, parameters={"Serial": "1"})
    assert len(factory.iot.list_thing_principals(thingName=name)["principals"]) == 2


def test_a_certificate_that_is_known_already_is_not_undone(factory):
    pem = factory.ca.sign(factory.device().csr)
    name, _ = factory.make("brought", cdf={"certificatePem": pem})
    status, _, answer = factory.things.provision("brought", new_name(), {"certificatePem": pem})
    assert status == 409 and set(answer) == {"error"}, answer
    assert factory.certificate(certificate_id(pem))["status"] == "ACTIVE"
    assert factory.iot.list_thing_principals(thingName=name)["principals"]


DENIED = {
    "the template": ("closed", lambda factory: factory.order()),
    "the thing's name": ("sensor", lambda factory: factory.order()),
    "the subject": ("sensor", lambda factory: factory.order(commonName="root of all")),
    "the subject of a CSR": ("sensor", signing(subject="/C=DE/CN=root of all")),
    "the days": ("sensor", lambda factory: factory.order(daysExpiry=3001)),
}


@pytest.mark.parametrize("case", DENIED)
def test_policy_denies(factory, case):
    made_by, order = DENIED[case]
    name = new_name("crown" if case == "the thing's name" else "thing")
    status, headers, answer = factory.things.provision(made_by, name, order(factory))
    assert status == 403 and set(answer) == {"error"}, answer
    assert_nothing_was_made(factory, name)
    audit = factory.stack.audited(headers["x-request-id"], "provision")
    assert (audit["action"], audit["outcome"]) == ("device:provision", "denied")


@pytest.mark.parametrize("token", [None, "garbage"])
def test_without_a_token_the_gateway_refuses(factory, token):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    for method, path in [("POST", "/things"), ("GET", "/things/x"), ("DELETE", "/things/x"), ("POST", "/bulkthings"),
                         ("PATCH", "/things/x/certificates"), ("GET", "/bulkthings/x")]:
        # The local AWS answers in a form of its own.
        assert factory.stack.http(method, path, b"{}" if method[0] == "P" else None, headers)[0] == 401
