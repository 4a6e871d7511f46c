"""POST /things, every option of a template, through API Gateway; certificates are judged by OpenSSL."""

import json
import re
import ssl
import time

import pytest

from authority import KEYS, Authority, certificate_id, openssl
from provisioning import VENDOR, new_name

INFO = {
    "commonName": "Gerät 7", "organization": "Example & Söhne", "organizationalUnit": "Line 1", "locality": "Köln",
    "stateName": "NRW", "country": "DE", "emailAddress": "ops@example.com", "daysExpiry": 12}
SHOWN = {
    "CN=Gerät 7", "O=Example & Söhne", "OU=Line 1", "L=Köln", "ST=NRW", "C=DE", "emailAddress=ops@example.com"}


def text(path):
    return openssl("x509", "-in", path, "-noout", "-text", "-nameopt", "RFC2253,utf8,-esc_msb")


def lifetime(path):
    """From when to when, in Unix time."""
    dates = openssl("x509", "-in", path, "-noout", "-startdate", "-enddate").split("\n")
    return [ssl.cert_time_to_seconds(date.split("=")[1]) for date in dates[:2]]


def belong_together(certificate, key):
    return openssl("x509", "-in", certificate, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")


def test_a_certificate_of_the_ca_says_all_that_was_asked_for(factory):
    name, answer = factory.make(cdf={"caId": factory.ca.id, "certInfo": INFO})
    certificate, key = factory.device().keep(answer)
    factory.ca.verify(certificate)
    assert belong_together(certificate, key)
    assert openssl("pkey", "-in", key, "-pubout") == answer["publicKey"]
    shown = text(certificate)
    [subject] = [line.split("Subject: ")[1] for line in shown.split("\n") if "Subject: " in line]
    assert set(subject.split(",")) == SHOWN
    for extension in ("Version: 3", "CA:FALSE", "Digital Signature", "TLS Web Client Authentication", "prime256v1",
                      "X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier"):
        assert extension in shown
    assert "Key Encipherment" not in shown
    begins, ends = lifetime(certificate)
    assert -330 < begins - time.time() < -240 and ends - time.time() == pytest.approx(12 * 86400, abs=600)
    serial = openssl("x509", "-in", certificate, "-noout", "-serial").strip().split("=")[1]
    assert re.fullmatch("[0-9A-F]{32}", serial), "128 bits"
    identifier = certificate_id(answer["certificatePem"])
    arns = answer["resourceArns"]
    assert arns["certificate"].endswith(f":cert/{identifier}") and arns["thing"].endswith(f":thing/{name}")
    registered = factory.certificate(identifier)
    assert (registered["status"], registered["caCertificateId"]) == ("ACTIVE", factory.ca.id)
    principals = factory.iot.list_thing_principals(thingName=name)["principals"]
    assert principals == [arns["certificate"]] and factory.policies(answer) == {"fleet"}


@pytest.mark.parametrize("kind, shown", [
    (None, "prime256v1"), ("EC_P256", "prime256v1"), ("RSA_2048", "(2048 bit)")])
def test_keys_of_both_kinds_are_made(factory, kind, shown):
    order = factory.order() | ({"keyType": kind} if kind else {})
    certificate, key = factory.device().keep(factory.make(cdf=order)[1])
    factory.ca.verify(certificate)
    assert belong_together(certificate, key) and shown in text(certificate)
    assert ("Key Encipherment" in text(certificate)) == (kind == "RSA_2048")


@pytest.mark.parametrize("kind", KEYS)
def test_cas_have_keys_of_each_kind_and_form(factory, tmp_path, kind):
    ca = Authority(tmp_path, kind)
    certificate, _ = factory.device().keep(factory.make(cdf=factory.order() | {"caId": ca.id})[1])
    ca.verify(certificate)


def test_a_ca_has_a_short_name(factory):
    certificate, _ = factory.device().keep(factory.make(cdf=factory.order() | {"caId": "line1"})[1])
    factory.ca.verify(certificate)


def test_a_certificate_ends_with_its_ca_at_the_latest(factory):
    certificate, _ = factory.device().keep(factory.make(cdf=factory.order(daysExpiry=300))[1])
    assert lifetime(certificate)[1] == lifetime(factory.ca.path)[1]


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("extra", [{}, {"certInfo": {"daysExpiry": 3}}])
def test_a_csr_is_signed_and_the_key_stays_where_it_is(factory, kind, extra):
    device = factory.device("/C=DE/O=Example/CN=stays-here", kind)
    name, answer = factory.make(cdf={"caId": factory.ca.id, "csr": device.csr} | extra)
    assert "privateKey" not in answer and "publicKey" not in answer
    certificate, key = device.keep(answer)
    factory.ca.verify(certificate)
    assert belong_together(certificate, key) and "CN=stays-here" in text(certificate)
    assert not extra or lifetime(certificate)[1] - time.time() == pytest.approx(3 * 86400, abs=600)


def test_a_certificate_of_the_ca_goes_by_its_id_as_well(factory):
    name, answer = factory.make("sensor-by-id")
    certificate, key = factory.device().keep(answer)
    factory.ca.verify(certificate)
    assert belong_together(certificate, key)
    registered = factory.certificate(certificate_id(answer["certificatePem"]))
    assert (registered["status"], registered["certificateMode"]) == ("ACTIVE", "DEFAULT")
    assert registered["caCertificateId"] == factory.ca.id
    assert factory.iot.list_thing_principals(thingName=name)["principals"] == [answer["resourceArns"]["certificate"]]
    assert factory.policies(answer) == {"fleet"}


def test_no_two_certificates_have_a_serial_number_in_common(factory):
    made = {openssl("x509", "-noout", "-serial", input=factory.make()[1]["certificatePem"]) for _ in range(8)}
    assert len(made) == 8


def test_a_certificate_of_aws_comes_with_its_keys(factory):
    name, answer = factory.make("aws", cdf={})
    certificate, key = factory.device().keep(answer)
    assert belong_together(certificate, key)
    assert openssl("pkey", "-in", key, "-pubout").strip() == answer["publicKey"].strip()
    assert factory.certificate(certificate_id(answer["certificatePem"]))["status"] == "ACTIVE"
    assert factory.policies(answer) == {"fleet"}


def test_what_takes_no_parameters_wants_none(factory):
    status, _, answer = factory.things.provision("aws", new_name())
    assert status == 201 and "privateKey" in answer


@pytest.mark.parametrize("status", [None, "ACTIVE", "INACTIVE"])
def test_a_certificate_is_registered_without_its_ca(factory, tmp_path, status):
    stranger, device = Authority(tmp_path, register=False), factory.device()
    pem = stranger.sign(device.csr)
    order = {"certificatePem": pem} | ({"certificateStatus": status} if status else {})
    name, answer = factory.make("brought", cdf=order)
    assert "privateKey" not in answer and certificate_id(answer["certificatePem"]) == certificate_id(pem)
    registered = factory.certificate(certificate_id(pem))
    assert (registered["status"], registered["certificateMode"]) == (status or "ACTIVE", "SNI_ONLY")


def test_a_template_without_options_is_aws_iots_alone(factory):
    device = factory.device("/CN=ours")
    name = new_name()
    status, _, answer = factory.things.provision("csr", name, parameters={"CSR": device.csr})
    assert status == 201, answer
    assert belong_together(*device.keep(answer)) and "privateKey" not in answer


def test_many_devices_share_the_additional_policies(factory):
    made = [factory.make("shared")[1] for _ in range(3)]
    first = factory.policies(made[0])
    assert len(first) == 3 and {"fleet", "extra"} < first
    assert all(factory.policies(answer) == first for answer in made)
    [hashed] = first - {"fleet", "extra"}
    assert "things/${iot:Connection.Thing.ThingName}/*" in factory.iot.get_policy(policyName=hashed)["policyDocument"]
    targets = factory.iot.list_targets_for_policy(policyName=hashed)["targets"]
    assert {answer["resourceArns"]["certificate"] for answer in made} <= set(targets)


def test_the_older_form_of_additional_policies_is_taken_too(factory):
    made = [factory.make("shared-older")[1] for _ in range(2)]
    first = factory.policies(made[0])
    [hashed] = first - {"fleet"}
    assert factory.policies(made[1]) == first
    found = json.loads(factory.iot.get_policy(policyName=hashed)["policyDocument"])
    assert found["Statement"][0]["Action"] == "iot:Subscribe"


def test_the_client_id_is_tied_to_the_thing_by_one_policy(factory):
    made = [factory.make("tied")[1] for _ in range(2)]
    [policy] = factory.policies(made[0])
    assert factory.policies(made[1]) == {policy}
    [statement] = json.loads(factory.iot.get_policy(policyName=policy)["policyDocument"])["Statement"]
    assert statement["Action"] in ("iot:Connect", ["iot:Connect"])
    assert "client/${iot:Connection.Thing.ThingName}" in str(statement["Resource"])
    assert "iot:Connection.Thing.IsAttached" in str(statement["Condition"])


def test_a_groups_path_stands_for_the_nearest_template(factory):
    root, middle, leaf = new_name("g"), new_name("g"), new_name("g")
    factory.iot.create_thing_group(thingGroupName=root)
    factory.iot.create_thing_group(thingGroupName=middle, parentGroupName=root)
    factory.iot.create_thing_group(thingGroupName=leaf, parentGroupName=middle)
    factory.put_template("assignments", {root: "closed", middle: "aws"})
    factory.stack.restart("provision")

    def ask(path, cdf=None):
        body = {"groupPath": path, "parameters": {"ThingName": new_name()}}
        return factory.things.send("POST", "/things", body | ({"cdfProvisioningParameters": cdf} if cdf else {}))

    assert ask(f"/{root}/{middle}/{leaf}").status == 201
    assert ask(f"/{root}/{middle}").status == 201
    assert ask(f"/{root}", factory.order()).status == 403, "the template of the root, which policy closes"
    assert ask(f"/{middle}/{leaf}").status == 400, "not the way to it"
    assert ask(f"/{root}/{middle}/{new_name('g')}").status == 400
    both = {"groupPath": f"/{root}", "provisioningTemplateId": "aws", "parameters": {}}
    assert factory.things.send("POST", "/things", both).status == 400


@pytest.mark.parametrize("sent, accepted, answered", [
    ("application/json", None, "application/json"),
    (VENDOR, None, VENDOR),
    ("application/json", VENDOR, VENDOR),
    (f"{VENDOR}; charset=utf-8", "*/*", VENDOR),
])
def test_the_vendors_media_type_is_spoken_where_it_is_asked_for(factory, sent, accepted, answered):
    body = {"provisioningTemplateId": "aws", "parameters": {"ThingName": new_name()}}
    headers = {"Accept": accepted} if accepted else {}
    status, headers, answer = factory.things.send("POST", "/things", body, sent, **headers)
    assert status == 201 and headers["Content-Type"].split(";")[0] == answered
    assert headers["Cache-Control"] == "no-store" and headers["x-request-id"]


def test_an_issuance_is_audited_and_no_key_is_logged(factory):
    status, headers, answer = factory.things.provision("sensor", name := new_name(), factory.order())
    assert status == 201
    audit = factory.stack.audited(headers["x-request-id"], "provision")
    assert (audit["action"], audit["outcome"]) == ("device:provision", "granted") and name in audit["wants"]
    serial = openssl("x509", "-noout", "-serial", input=answer["certificatePem"]).strip().split("=")[1]
    told = json.dumps(audit).upper()
    for part in ("NETWORK:FACTORY", serial.lstrip("0"), factory.ca.id.upper(), "CN=DEVICE",
                 certificate_id(answer["certificatePem"]).upper()):
        assert part in told
    assert "PRIVATE KEY" not in json.dumps(factory.stack.events(headers["x-request-id"], "provision"))


def test_the_ledger_has_a_certificate_that_was_made(factory):
    identifier = certificate_id(factory.make()[1]["certificatePem"])
    assert factory.stack.ledger.get_item(Key={"pk": f"device#{identifier}"})["Item"]["ttl"] > time.time()
