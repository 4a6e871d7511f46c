"""moto's server, whose AWS Private CA issues for as long as it is asked to, and for clients alone where it is asked to.

usage: server.py PORT
"""

import contextvars
import datetime
import inspect
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from moto.acmpca.models import CertificateAuthority
from moto.acmpca.responses import ACMPCAResponse
from moto.server import main
from moto.core.exceptions import JsonRESTError

TEMPLATE = "arn:aws:acm-pca:::template/"
CLIENT, END_ENTITY, ROOT = (
    TEMPLATE + name for name in ("EndEntityClientAuthCertificate/V1", "EndEntityCertificate/V1", "RootCACertificate/V1"))
DAYS = {"DAYS": 1, "MONTHS": 30, "YEARS": 365}

EXPECTED = {
    ACMPCAResponse.issue_certificate: "self",
    CertificateAuthority.generate_cert: "self subject public_key extensions",
    CertificateAuthority._x509_extensions: "self csr template_arn",
}
for function, parameters in EXPECTED.items():
    if " ".join(inspect.signature(function).parameters) != parameters:
        sys.exit(f"local/private-ca is written for another moto: {function.__qualname__} has other parameters")

asked = contextvars.ContextVar("asked")
issue, extensions_of_moto = ACMPCAResponse.issue_certificate, CertificateAuthority._x509_extensions


def until(validity, now):
    kind, value = validity.get("Type"), validity.get("Value")
    if kind in DAYS:
        return now + datetime.timedelta(days=DAYS[kind] * value)
    if kind == "ABSOLUTE":
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    if kind == "END_DATE":
        return datetime.datetime.strptime(f"{value}+0000", "%Y%m%d%H%M%S%z")
    raise JsonRESTError("ValidationException", f"{validity} is no validity")


def issue_certificate(self):
    request = json.loads(self.body)
    if request.get("TemplateArn") not in (None, CLIENT, END_ENTITY, ROOT):
        raise JsonRESTError("InvalidArgsException", "The template is not one that this private CA knows")
    asked.set(request)
    return issue(self)


def generate_cert(self, subject, public_key, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    end = until(asked.get().get("Validity") or {}, now)
    if self.certificate and end > self.certificate.not_valid_after_utc:
        raise JsonRESTError("ValidationException", "The certificate would be valid for longer than the CA")
    # AWS Private CA dates a certificate back by an hour, for clocks that are slow.
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(self.issuer).public_key(public_key)
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def extensions(self, csr, template_arn):
    found = extensions_of_moto(self, csr, END_ENTITY if template_arn == CLIENT else template_arn)
    if template_arn != CLIENT:
        return found
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
    return [(usage if isinstance(one, x509.ExtendedKeyUsage) else one, critical) for one, critical in found]


ACMPCAResponse.issue_certificate = issue_certificate
CertificateAuthority.generate_cert, CertificateAuthority._x509_extensions = generate_cert, extensions
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
