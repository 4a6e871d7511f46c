"""A client of the token's wire that shares no code with the broker's: docs/protocol-token.md, OpenSSH's agent, joserfc."""

import base64
import hashlib
import json
import secrets
import urllib.parse

from joserfc import jws, jwt
from joserfc.jwk import KeySet

import ssh


def b64(data):
    """base64url with padding, as the older clients write it."""
    return base64.urlsafe_b64encode(data).decode()


def headers(address):
    """The local gateway takes the caller's address from this header; AWS's takes it from no header."""
    return {"X-Forwarded-For": address} if address else {}


class Attempt:
    """One attempt: state and verifier."""

    def __init__(self, stack, fingerprint, address=None):
        self.stack, self.client_id, self.address = stack, b64(fingerprint.encode()), address
        self.state = secrets.token_urlsafe(32)
        self.verifier = b64(secrets.token_bytes(32)).rstrip("=")

    def begin(self, **changes):
        """Status, headers and text of GET /nonce. A change to None leaves a parameter out."""
        challenge = b64(hashlib.sha256(self.verifier.encode()).digest()).rstrip("=")
        query = {
            "response_type": "code", "client_id": self.client_id, "state": self.state, "code_challenge": challenge,
            "code_challenge_method": "S256"} | changes
        query = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        return self.stack.http("GET", f"/nonce?{query}", headers=headers(self.address))

    def finish(self, signature, content_type="application/json", **changes):
        """Status, headers and text of POST /nonce."""
        body = {
            "grant_type": "authorization_code", "client_id": self.client_id, "state": self.state, "code": b64(signature),
            "code_verifier": self.verifier} | changes
        body = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        return self.stack.http("POST", "/nonce", body, {"Content-Type": content_type} | headers(self.address))


def keys(stack):
    status, _, text = stack.http("GET", "/.well-known/jwks.json")
    assert status == 200, text
    return KeySet.import_key_set(json.loads(text))


def open_nonce(text, key_set):
    """The nonce's claims and the PEM to sign with it."""
    opened = jws.deserialize_compact(text, key_set, algorithms=["ES256"])
    [key] = [key for key in key_set.keys if key.kid == opened.protected["kid"]]
    return json.loads(opened.payload), key.as_pem(private=False).decode()


def sign(agent, key, claims, pem, flags=4):
    """Flags are of RSA alone: SHA-512."""
    return ssh.sign(agent, key, (claims["nonce"] + pem).encode(), flags)


def get_token(stack, agent, key, address=None):
    attempt = Attempt(stack, key.fingerprint, address)
    status, _, text = attempt.begin()
    assert status == 200, text
    status, _, token = attempt.finish(sign(agent, key, *open_nonce(text, keys(stack))))
    assert status == 200, token
    return token


def claims(stack, token):
    decoded = jwt.decode(token, keys(stack), algorithms=["ES256"])
    return decoded.header, decoded.claims
