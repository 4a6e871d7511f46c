"""What ministack does not refuse: to register a certificate that no registered CA issued, and to change the status of one
that is revoked."""

import json
import re

from ministack.services import iot as service

from iot.registry import Failed

CERTIFICATE = re.compile(r"/certificates/([^/]+)")


async def answer(method, path, headers, body, query):
    if (method, path) == ("POST", "/certificate/register"):
        return unknown_issuer(body)
    named = CERTIFICATE.fullmatch(path)
    return still_revoked(named[1], query) if named and method == "PUT" else None


def still_revoked(identifier, query):
    certificate = service._certificates.get(identifier)
    if certificate and certificate["status"] == "REVOKED" and query.get("newStatus") != ["REVOKED"]:
        message = f"The certificate is revoked, and its status cannot be changed. Id: {identifier}"
        return Failed("CertificateStateException", message, 406).answer()
    return None


def unknown_issuer(body):
    try:
        document = json.loads(body)
        unknown = not document.get("caCertificatePem") and not service._registered_issuer_id(document["certificatePem"])
    except Exception:
        # Not a certificate: ministack says what is wrong with it.
        return None
    if unknown:
        message = "No CA certificate exists for the given certificate"
        return Failed("CertificateStateException", message, 406).answer()
    return None
