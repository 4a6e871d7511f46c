"""One-time tokens as step-ca defines them, read and made by joserfc: what the broker signs is judged by code that did not, and
what it would never sign is made with its keys."""

import base64
import json
import secrets
import time

from cryptography import x509
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from step_ca import split


class Registry(JWSRegistry):
    """With headers that hold certificates."""

    max_header_length = 1 << 14


def b64(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def parts(token):
    """Header and claims, not verified."""
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def opened(enrolment, token):
    """Header and claims, once the signature is verified with what step-ca has of the provisioner."""
    header, _ = parts(token)
    if enrolment.kind == "jwk":
        key = ECKey.import_key(enrolment.provisioner["key"])
    else:
        certificate = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
        key = {"RS256": RSAKey, "ES256": ECKey}[header["alg"]].import_key(certificate.public_key())
    decoded = jwt.decode(token, key, registry=Registry(algorithms=[header["alg"]]))
    return decoded.header, decoded.claims


def signing(enrolment):
    """The header and the key that the broker's function signs with."""
    if enrolment.kind == "jwk":
        key = enrolment.secret("jwk")
        return {"alg": "ES256", "kid": key["kid"], "typ": "JWT"}, ECKey.import_key(key)
    stored = enrolment.secret("x5c")
    x5c = ["".join(certificate.split("-----")[2].split()) for certificate in split(stored["chain"])]
    return {"alg": "ES256", "typ": "JWT", "x5c": x5c}, ECKey.import_key(stored["key"])


def right(enrolment, subject):
    """Claims of a token that gets a certificate."""
    now = int(time.time())
    fragment = "" if enrolment.kind == "jwk" else "#x5c/" + enrolment.provisioner["name"]
    return {
        "iss": enrolment.provisioner["name"], "aud": f"{enrolment.ca.url}/1.0/sign{fragment}", "sub": subject, "sans": [subject],
        "sha": enrolment.ca.fingerprint, "iat": now, "nbf": now, "exp": now + 300, "jti": secrets.token_urlsafe(16)}


def minted(enrolment, subject, key=None, **changes):
    """A token with the broker's header, and its key unless there is another, whose claims are changed."""
    header, own = signing(enrolment)
    return jwt.encode(header, right(enrolment, subject) | changes, key or own, algorithms=[header["alg"]])


def unsigned(token):
    _, claims, _ = token.split(".")
    return ".".join([b64(json.dumps({"alg": "none", "typ": "JWT"}).encode()), claims, ""])


def with_claims(token, **changes):
    """The same signature over other claims."""
    header, _, signature = token.split(".")
    claims = json.dumps(parts(token)[1] | changes, separators=(",", ":")).encode()
    return ".".join([header, b64(claims), signature])


def with_signature(token):
    """The same token, one bit of whose signature is another."""
    head, _, signature = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[len(raw) // 2] ^= 1
    return f"{head}.{b64(bytes(raw))}"
