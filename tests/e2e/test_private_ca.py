"""POST /things with AWS Private CA: both modes, this account's CA and another's through a role."""

import ssl
import time

import pytest

import proxy
from authority import certificate_id, openssl
from device_client import SUBJECT, devices, files, fits  # noqa: F401, a fixture
from interference import Interference, interfering
from private_authority import NEEDED, private, private_ca, role  # noqa: F401, fixtures
from provisioning import new_name

MODES = ["private-with", "private-with-by-id", "private-without"]


def days(certificate):
    ends = openssl("x509", "-in", certificate, "-noout", "-enddate").strip().split("=")[1]
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86400


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind, shown", [(None, "prime256v1"), ("RSA_2048", "(2048 bit)")])
def test_the_private_ca_signs_for_a_key_that_is_made(factory, private, mode, kind, shown):  # noqa: F811
    name, answer = factory.make(mode, cdf=private.order(mode, **({"keyType": kind} if kind else {})))
    certificate, key = factory.device().keep(answer)
    private.verify(certificate)
    assert openssl("x509", "-in", certificate, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
    text = openssl("x509", "-in", certificate, "-noout", "-text")
    for part in (shown, "TLS Web Client Authentication", "CN = device", "C = DE"):
        assert part in text
    assert "TLS Web Server Authentication" not in text and "CA:TRUE" not in text
    assert days(certificate) == pytest.approx(9, abs=0.1)
    registered = factory.certificate(certificate_id(answer["certificatePem"]))
    assert registered["status"] == "ACTIVE"
    assert registered["certificateMode"] == ("SNI_ONLY" if mode == "private-without" else "DEFAULT")
    assert registered.get("caCertificateId") == (None if mode == "private-without" else private.id)
    assert factory.iot.list_thing_principals(thingName=name)["principals"] == [answer["resourceArns"]["certificate"]]


@pytest.mark.parametrize("mode", MODES)
def test_the_private_ca_signs_a_csr(factory, private, mode):  # noqa: F811
    device = factory.device("/C=DE/CN=stays-here")
    _, answer = factory.make(mode, cdf=private.order(mode, certInfo=None, csr=device.csr))
    assert "privateKey" not in answer
    certificate, key = device.keep(answer)
    private.verify(certificate)
    assert openssl("x509", "-in", certificate, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
    assert "stays-here" in openssl("x509", "-in", certificate, "-noout", "-subject")


def test_cas_have_names(factory, private):  # noqa: F811
    named = {"acmpcaCaArn": None, "acmpcaCaAlias": "ours", "awsiotCaArn": None, "awsiotCaAlias": "private"}
    _, answer = factory.make("private-with", cdf=private.order("private-with", **named))
    private.verify(factory.device().keep(answer)[0])


@pytest.mark.parametrize("mode, iot_ca", [
    ("private-with", ["--iot-ca", "private"]), ("private-with-by-id", ["--iot-ca", "private"]), ("private-without", [])])
def test_the_client_has_the_private_ca_sign_for_its_key(factory, private, devices, mode, iot_ca):  # noqa: F811
    out = devices.provision(mode, new_name(), "--private-ca", "ours", *iot_ca, *SUBJECT, "--days", 9)
    # The broker tells the CA where AWS IoT knows it.
    assert files(out) == ["certificate.pem", *(["chain.pem"] if iot_ca else []), "key.pem"] and fits(out)
    private.verify(out / "certificate.pem")
    assert days(out / "certificate.pem") == pytest.approx(9, abs=0.1)
    registered = factory.certificate(certificate_id((out / "certificate.pem").read_text()))
    assert registered.get("caCertificateId") == (private.id if iot_ca else None)
    # The option and the template have to go together.
    other = [] if iot_ca else ["--iot-ca", "private"]
    refused = ("provision", "--template", mode, "-p", f"ThingName={new_name()}", "--out", devices.folder / "refused")
    code, _, said = devices.run(*refused, "--private-ca", "ours", *other, *SUBJECT)
    assert code == 2 and "hint: " in said


@pytest.mark.parametrize("mode, changes", [
    ("private-with", {"awsiotCaArn": None}),
    ("private-with", {"awsiotCaArn": "arn:aws:iot:eu-west-1:123456789012:cacert/../x"}),
    ("private-with", {"awsiotCaArn": None, "awsiotCaAlias": "nobody"}),
    ("private-without", {"acmpcaCaArn": None}),
    ("private-without", {"acmpcaCaArn": "not an arn"}),
    ("private-without", {"acmpcaCaArn": None, "acmpcaCaAlias": "nobody"}),
    ("private-without", {"certInfo": None}),
    ("private-without", {"certInfo": {"commonName": "no country"}}),
    ("private-without", {"csr": "not a csr", "certInfo": None}),
    ("private-without", {"caId": "ab" * 32}),
    ("private-without", {"color": "red"}),
])
def test_a_bad_order_is_refused(factory, private, mode, changes):  # noqa: F811
    status, _, answer = factory.things.provision(mode, new_name(), private.order(mode, **changes))
    assert status == 400 and set(answer) == {"error"}, answer


def test_a_ca_that_the_certificate_is_not_of_is_refused(factory, private):  # noqa: F811
    order = private.order("private-with", awsiotCaArn=None, awsiotCaAlias="line1")
    status, _, answer = factory.things.provision("private-with", new_name(), order)
    assert status == 400 and answer.get("undone", True) is True, answer


def test_a_ca_of_another_account_is_asked_through_its_role(factory, private):  # noqa: F811
    order = private.order("private-without", acmpcaCaArn=None, acmpcaCaAlias="theirs")
    ours = factory.stack.outputs["ProvisionRoleArn"]
    with role(private, *NEEDED, trusting=ours):
        _, answer = factory.make("private-without", cdf=order)
        private.verify(factory.device().keep(answer)[0])
    # It is the role's permission that counts, and its trust.
    for number in range(len(NEEDED)):
        with role(private, *NEEDED[:number], *NEEDED[number + 1:], trusting=ours):
            assert factory.things.provision("private-without", new_name(), order).status == 503
    with role(private, *NEEDED, trusting=factory.stack.outputs["ExchangeRoleArn"]):
        assert factory.things.provision("private-without", new_name(), order).status == 503


@pytest.mark.parametrize("mode, operation", [
    *[("private-without", operation) for operation in (
        "DescribeCertificateAuthority", "IssueCertificate", "GetCertificate", "PutItem", "RegisterCertificateWithoutCA",
        "RegisterThing")],
    ("private-with", "DescribeCACertificate"), ("private-with-by-id", "RegisterCertificate"),
    ("private-with-by-id", "RegisterThing")])
@pytest.mark.parametrize("manner, expected", [("throttles", 429), ("fails", 503)])
def test_what_throttles_or_fails_is_told(factory, private, mode, operation, manner, expected):  # noqa: F811
    with proxy.running(Interference) as url, factory.stack.configured("provision", ENDPOINT_URL=url, **private.settings):
        with interfering(**{operation: manner}) as seen:
            status, headers, answer = factory.things.provision(mode, new_name(), private.order(mode))
    assert operation in seen
    assert (status, bool(headers["Retry-After"])) == (expected, True), answer
    if "certificateId" in answer:
        assert factory.certificate(answer["certificateId"]) is None


@pytest.mark.parametrize("manner, expected", [("throttles", 429), ("fails", 503)])
def test_a_role_that_cannot_be_assumed_now_is_told(factory, private, manner, expected):  # noqa: F811
    order = private.order("private-without", acmpcaCaArn=None, acmpcaCaAlias="theirs")
    with role(private, *NEEDED, trusting=factory.stack.outputs["ProvisionRoleArn"]):
        with proxy.running(Interference) as url, factory.stack.configured(
                "provision", ENDPOINT_URL=url, **private.settings):
            with interfering(AssumeRole=manner) as seen:
                status, headers, answer = factory.things.provision("private-without", new_name(), order)
            assert "AssumeRole" in seen
            assert (status, bool(headers["Retry-After"]), set(answer)) == (expected, True, {"error"}), answer
            factory.make("private-without", cdf=order)
