"""POST /things with AWS Private CA: both modes, this account's CA and another's through a role."""

import contextlib
import json
import ssl
import time

import boto3
import pytest

import proxy
from authority import Device, certificate_id, openssl
from interference import Interference, interfering
from private_authority import private_ca  # noqa: F401, a fixture
from provisioning import new_name

# As tests/e2e/deploy has it in PRIVATE_CA_ROLES.
ROLE = "private-ca"
MODES = {"private-with": "CertificatePem", "private-without": "CertificateId"}


class PrivateFactory:
    """The private CA as AWS IoT knows it, and the names that the deployment has for both."""

    def __init__(self, factory, arn, folder):
        self.factory, self.arn, self.folder = factory, arn, folder
        self.pca, self.iot, self.iam = boto3.client("acm-pca"), boto3.client("iot"), boto3.client("iam")
        pem = self.pca.get_certificate_authority_certificate(CertificateAuthorityArn=arn)["Certificate"]
        self.ca = folder / "private-ca.pem"
        self.ca.write_text(pem)
        self.id = certificate_id(pem)
        self.iot.register_ca_certificate(
            caCertificate=pem, verificationCertificate=self.proof(), setAsActive=True)
        self.iot_arn = self.iot.describe_ca_certificate(certificateId=self.id)["certificateDescription"]["certificateArn"]
        self.role = f"arn:aws:iam::{arn.split(':')[4]}:role/{ROLE}"
        self.settings = {
            "IOT_CAS": json.dumps({"line1": factory.ca.id, "private": self.id}),
            "PRIVATE_CAS": json.dumps({"ours": {"arn": arn}, "theirs": {"arn": arn, "role_arn": self.role}})}

    def proof(self):
        code = self.iot.get_registration_code()["registrationCode"]
        csr = Device(self.folder, f"/CN={code}").csr.encode()
        order = self.pca.issue_certificate(
            CertificateAuthorityArn=self.arn, Csr=csr, SigningAlgorithm="SHA256WITHRSA",
            Validity={"Value": 1, "Type": "DAYS"}, TemplateArn="arn:aws:acm-pca:::template/EndEntityCertificate/V1")
        return self.pca.get_certificate(
            CertificateAuthorityArn=self.arn, CertificateArn=order["CertificateArn"])["Certificate"]

    def order(self, template, **more):
        """cdfProvisioningParameters; a member that is None is left out."""
        made = {"acmpcaCaArn": self.arn, "certInfo": {"commonName": "device", "country": "DE", "daysExpiry": 9}}
        made |= {"awsiotCaArn": self.iot_arn} if template == "private-with" else {}
        return {name: value for name, value in (made | more).items() if value is not None}

    def verify(self, certificate):
        return openssl("verify", "-purpose", "sslclient", "-CAfile", self.ca, certificate)


@pytest.fixture(scope="module")
def private(factory, private_ca, tmp_path_factory):  # noqa: F811
    made = PrivateFactory(factory, private_ca, tmp_path_factory.mktemp("private"))
    with factory.stack.configured("provision", **made.settings):
        yield made


def days(certificate):
    ends = openssl("x509", "-in", certificate, "-noout", "-enddate").strip().split("=")[1]
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86400


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind, shown", [(None, "prime256v1"), ("RSA_2048", "(2048 bit)")])
def test_the_private_ca_signs_for_a_key_that_is_made(factory, private, mode, kind, shown):
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
    assert registered["certificateMode"] == ("DEFAULT" if mode == "private-with" else "SNI_ONLY")
    assert registered.get("caCertificateId") == (private.id if mode == "private-with" else None)
    assert factory.iot.list_thing_principals(thingName=name)["principals"] == [answer["resourceArns"]["certificate"]]


@pytest.mark.parametrize("mode", MODES)
def test_the_private_ca_signs_a_csr(factory, private, mode):
    device = factory.device("/C=DE/CN=stays-here")
    _, answer = factory.make(mode, cdf=private.order(mode, certInfo=None, csr=device.csr))
    assert "privateKey" not in answer
    certificate, key = device.keep(answer)
    private.verify(certificate)
    assert openssl("x509", "-in", certificate, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
    assert "stays-here" in openssl("x509", "-in", certificate, "-noout", "-subject")


def test_cas_have_names(factory, private):
    named = {"acmpcaCaArn": None, "acmpcaCaAlias": "ours", "awsiotCaArn": None, "awsiotCaAlias": "private"}
    _, answer = factory.make("private-with", cdf=private.order("private-with", **named))
    private.verify(factory.device().keep(answer)[0])


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
def test_a_bad_order_is_refused(factory, private, mode, changes):
    status, _, answer = factory.things.provision(mode, new_name(), private.order(mode, **changes))
    assert status == 400 and set(answer) == {"error"}, answer


def test_a_ca_that_the_certificate_is_not_of_is_refused(factory, private):
    order = private.order("private-with", awsiotCaArn=None, awsiotCaAlias="line1")
    status, _, answer = factory.things.provision("private-with", new_name(), order)
    assert status == 400 and answer.get("undone", True) is True, answer


@contextlib.contextmanager
def role(private, *statements, trusting):
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": trusting}, "Action": "sts:AssumeRole"}]}
    private.iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    may = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": private.arn} for action in statements]}
    private.iam.put_role_policy(RoleName=ROLE, PolicyName="may", PolicyDocument=json.dumps(may))
    try:
        yield
    finally:
        private.iam.delete_role_policy(RoleName=ROLE, PolicyName="may")
        private.iam.delete_role(RoleName=ROLE)


NEEDED = ["acm-pca:DescribeCertificateAuthority", "acm-pca:IssueCertificate", "acm-pca:GetCertificate"]


def test_a_ca_of_another_account_is_asked_through_its_role(factory, private):
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


@pytest.mark.parametrize("operation", [
    "DescribeCertificateAuthority", "IssueCertificate", "GetCertificate", "PutItem", "RegisterCertificateWithoutCA",
    "RegisterThing"])
@pytest.mark.parametrize("manner, expected", [("throttles", 429), ("fails", 503)])
def test_what_throttles_or_fails_is_told(factory, private, operation, manner, expected):
    with proxy.running(Interference) as url, factory.stack.configured("provision", ENDPOINT_URL=url, **private.settings):
        with interfering(**{operation: manner}) as seen:
            status, headers, answer = factory.things.provision(
                "private-without", new_name(), private.order("private-without"))
    assert operation in seen
    assert (status, bool(headers["Retry-After"])) == (expected, True), answer
    if "certificateId" in answer:
        assert answer["undone"] is True and factory.certificate(answer["certificateId"]) is None
