"""RegisterCertificate's refusal of a certificate that no registered CA issued."""

import json

from ministack.services import iot as service

from iot.registry import Failed


async def answer(method, path, headers, body, query):
    if (method, path) != ("POST", "/certificate/register"):
        return None
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
