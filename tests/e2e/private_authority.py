"""A CA of AWS Private CA, beside the local AWS."""

import pathlib
import socket
import subprocess

import boto3
import pytest

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
