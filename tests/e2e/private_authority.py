"""A CA of AWS Private CA, beside the local AWS, and as AWS IoT and the broker know it."""

import contextlib
import json
import pathlib
import socket
import subprocess

import boto3
import pytest

from authority import Device, certificate_id, openssl

# As tests/e2e/deploy has it in PRIVATE_CA_ROLES.
ROLE = "private-ca"
NEEDED = ["acm-pca:DescribeCertificateAuthority", "acm-pca:IssueCertificate", "acm-pca:GetCertificate"]
SCRIPTS = pathlib.Path(__file__).parent.parent.parent / "local/private-ca"


@pytest.fixture(scope="module")
def private_ca():
    """The ARN of a CA that is active."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    subprocess.run([SCRIPTS / "start", port], check=True)
    try:
        yield create(boto3.client("acm-pca"))
    finally:
        subprocess.run([SCRIPTS / "stop", port], check=True)


def create(pca):
    arn = pca.create_certificate_authority(CertificateAuthorityType="ROOT", CertificateAuthorityConfiguration={
        "KeyAlgorithm": "RSA_2048", "SigningAlgorithm": "SHA256WITHRSA", "Subject": {"CommonName": "Private CA"},
    })["CertificateAuthorityArn"]
    csr = pca.get_certificate_authority_csr(CertificateAuthorityArn=arn)["Csr"].encode()
    root = issue(pca, arn, csr, 3650, "RootCACertificate")
    pca.import_certificate_authority_certificate(CertificateAuthorityArn=arn, Certificate=root["Certificate"].encode())
    return arn


def issue(pca, ca_arn, csr, days, template):
    arn = pca.issue_certificate(
        CertificateAuthorityArn=ca_arn, Csr=csr, SigningAlgorithm="SHA256WITHRSA", Validity={"Value": days, "Type": "DAYS"},
        TemplateArn=f"arn:aws:acm-pca:::template/{template}/V1")["CertificateArn"]
    return pca.get_certificate(CertificateAuthorityArn=ca_arn, CertificateArn=arn)


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
        return issue(self.pca, self.arn, csr, 1, "EndEntityCertificate")["Certificate"]

    def order(self, template, **more):
        """cdfProvisioningParameters; a member that is None is left out."""
        made = {"acmpcaCaArn": self.arn, "certInfo": {"commonName": "device", "country": "DE", "daysExpiry": 9}}
        made |= {"awsiotCaArn": self.iot_arn} if template != "private-without" else {}
        return {name: value for name, value in (made | more).items() if value is not None}

    def verify(self, certificate):
        return openssl("verify", "-purpose", "sslclient", "-CAfile", self.ca, certificate)


@pytest.fixture(scope="module")
def private(factory, private_ca, tmp_path_factory):
    made = PrivateFactory(factory, private_ca, tmp_path_factory.mktemp("private"))
    with factory.stack.configured("provision", **made.settings):
        yield made


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
