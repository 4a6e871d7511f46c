"""The steps of the older service's Python client, with the libraries that it uses: paramiko and urllib, and each key of the
bare list tried in turn."""

import base64
import hashlib
import json
import secrets
import urllib.parse

import paramiko
import pytest
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey


class OlderClient:
    def __init__(self, stack, fingerprint):
        self.stack = stack
        self.keys = [ECKey.import_key(key) for key in json.loads(stack.http("GET", "/jwks")[2])]
        [self.key] = [key for key in paramiko.Agent().get_keys() if key.fingerprint == fingerprint]
        self.client_id = base64.urlsafe_b64encode(fingerprint.encode()).decode()

    def opened(self, token):
        """The payload, and the key that opened it."""
        for key in self.keys:
            try:
                return json.loads(jws.deserialize_compact(token, key, algorithms=["ES256"]).payload), key
            except JoseError:
                continue
        raise AssertionError("no key opens it")

    def access_token(self):
        verifier = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().replace("=", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().replace("=", "")
        state = secrets.token_urlsafe(32)
        query = urllib.parse.urlencode({
            "response_type": "code", "client_id": self.client_id, "state": state, "code_challenge": challenge,
            "code_challenge_method": "S256"})
        status, _, nonce_token = self.stack.http("GET", f"/nonce?{query}")
        assert status == 200
        claims, key = self.opened(nonce_token)
        assert claims["state"] == state
        signature = self.key.sign_ssh_data(claims["nonce"].encode() + key.as_pem(private=False))
        body = {
            "grant_type": "authorization_code", "client_id": self.client_id, "state": state,
            "code": base64.urlsafe_b64encode(bytes(signature)).decode(), "code_verifier": verifier}
        status, headers, token = self.stack.http(
            "POST", "/nonce", json.dumps(body).encode(), {"Content-Type": "application/json"})
        return token if status == 200 and headers["Content-Type"].startswith("text/plain") else None

    def verify(self, token):
        return self.stack.http("GET", "/verify", headers={"Authorization": f"Bearer {token}"})[::2] == (200, "")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-384"])
def test_an_older_client_gets_a_token_and_goes_on_after_a_rotation(stack, agent, known_keys, monkeypatch, kind):
    monkeypatch.setenv("SSH_AUTH_SOCK", agent.env["SSH_AUTH_SOCK"])
    client = OlderClient(stack, known_keys[kind].fingerprint)
    token = client.access_token()
    claims, _ = client.opened(token)
    assert claims["iat"] < claims["exp"] and claims["ipn"] == "127.0.0.1/32" and client.verify(token)
    # With the keys that it fetched at its start.
    stack.rotate()
    stack.restart("token")
    assert client.verify(client.access_token()) and client.verify(token)


def test_an_older_client_with_an_rsa_key_signs_by_sha_1_which_is_refused(stack, agent, known_keys, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", agent.env["SSH_AUTH_SOCK"])
    assert OlderClient(stack, known_keys["rsa"].fingerprint).access_token() is None
