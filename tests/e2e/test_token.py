"""Access tokens from ssh keys, through API Gateway, with OpenSSH's own agent and keys of every kind."""

import base64
import hashlib
import hmac
import json
import secrets
import time

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

import ssh
import token_client
from stack import STACK
from token_client import Attempt

MALFORMED = (
    '{"type":"urn:countersign:problem:malformed","title":"the request is not one that this route takes","status":400}')
REFUSED = '{"type":"urn:countersign:problem:refused","title":"the request was refused","status":401}'
ELSEWHERE = "192.0.2.9"


def bearer(token, address=None):
    return {"Authorization": f"Bearer {token}"} | token_client.headers(address)


def accepted(stack, token, address=None):
    """Whether /verify and the authorizer take the token; they must be of one mind."""
    status, headers, text = stack.http("GET", "/verify", headers=bearer(token, address))
    assert (status, text) == (200, "") or (status, text) == (401, REFUSED)
    assert status == 200 or headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    behind = stack.http("GET", "/v2/whoami", headers=bearer(token, address))[0]
    assert behind == status
    return status == 200


def audit(stack, headers, action):
    event = stack.audited(headers["x-request-id"], "token")
    assert event["action"] == action
    return event


@pytest.mark.parametrize("kind", ssh.KINDS)
def test_a_key_of_each_kind_gets_a_token_that_is_valid_at_its_address_alone(stack, agent, known_keys, kind):
    key = known_keys[kind]
    began = int(time.time())
    token = token_client.get_token(stack, agent, key)
    header, claims = token_client.claims(stack, token)
    assert set(header) == {"alg", "kid", "typ"} and (header["alg"], header["typ"]) == ("ES256", "JWT")
    assert set(claims) == {"iss", "sub", "iat", "exp", "ipn", "ses", "scope"}
    assert (claims["iss"], claims["sub"], claims["ipn"]) == (STACK, key.fingerprint, "127.0.0.1/32")
    assert claims["scope"] == "things:read things:write" and claims["exp"] - claims["iat"] == 1200
    assert began <= claims["iat"] <= time.time() and len(base64.urlsafe_b64decode(claims["ses"] + "=")) == 32
    assert accepted(stack, token) and not accepted(stack, token, ELSEWHERE)
    seen = json.loads(stack.http("GET", "/v2/whoami", headers=bearer(token))[2])
    assert seen == {name: claims[name] for name in ("sub", "scope", "ses")}


@pytest.mark.parametrize("flags, name", [(2, b"rsa-sha2-256"), (4, b"rsa-sha2-512")])
def test_both_hashes_of_rsa_are_taken(stack, agent, known_keys, flags, name):
    attempt = Attempt(stack, known_keys["rsa"].fingerprint)
    claims, pem = token_client.open_nonce(attempt.begin()[2], token_client.keys(stack))
    signature = token_client.sign(agent, known_keys["rsa"], claims, pem, flags)
    assert name in signature and attempt.finish(signature)[0] == 200


def test_the_nonce_is_as_older_clients_know_it(stack, known_key):
    _, key = known_key
    attempt = Attempt(stack, key.fingerprint)
    status, headers, text = attempt.begin()
    assert status == 200 and headers["Content-Type"].startswith("text/plain") and headers["Cache-Control"] == "no-store"
    claims, _ = token_client.open_nonce(text, token_client.keys(stack))
    assert set(claims) == {"client_id", "nonce", "state"}
    assert (claims["client_id"], claims["state"]) == (attempt.client_id, attempt.state)
    assert attempt.client_id.endswith("=") and len(base64.urlsafe_b64decode(claims["nonce"] + "==")) == 16
    # What may be left out, and padding.
    plain = Attempt(stack, key.fingerprint)
    plain.client_id = plain.client_id.rstrip("=")
    assert plain.begin(response_type=None, code_challenge_method=None)[0] == 200
    # Of a key that nobody knows it says the same.
    assert Attempt(stack, "SHA256:" + "A" * 43).begin()[0] == 200


@pytest.mark.parametrize("changes, reason", [
    ({"code_challenge_method": "plain"}, "wrong_challenge_method"),
    ({"code_challenge_method": ""}, "wrong_challenge_method"),
    ({"code_challenge": "short"}, "malformed_challenge"),
    ({"code_challenge": None}, "malformed"),
    ({"client_id": None}, "malformed"),
    ({"client_id": "bm90IGEgZmluZ2VycHJpbnQ"}, "malformed_client_id"),
    ({"state": None}, "malformed"),
    ({"state": ""}, "malformed_state"),
    ({"state": "s" * 513}, "malformed_state"),
    ({"response_type": "token"}, "wrong_response_type"),
    ({"more": "1"}, "malformed"),
])
def test_what_is_no_request_for_a_nonce_gets_none(stack, known_key, changes, reason):
    status, headers, text = Attempt(stack, known_key[1].fingerprint).begin(**changes)
    assert (status, text) == (400, MALFORMED)
    assert audit(stack, headers, "nonce")["reason"] == reason


def test_a_state_that_is_pending_is_not_taken_over(stack, known_key):
    attempt = Attempt(stack, known_key[1].fingerprint)
    assert attempt.begin()[0] == 200
    status, headers, text = attempt.begin()
    assert (status, text) == (400, MALFORMED) and audit(stack, headers, "nonce")["reason"] == "state_taken"


def row(attempt):
    return {"pk": f"nonce#{hashlib.sha256(attempt.state.encode()).hexdigest()}"}


def attempts(stack, agent, known_keys, stranger):
    """Each broken attempt: its name, what it came to, and the status and reason that it must come to."""
    key = known_keys["ed25519"]
    key_set = token_client.keys(stack)

    def begun(of=key):
        attempt = Attempt(stack, of.fingerprint)
        claims, pem = token_client.open_nonce(attempt.begin()[2], key_set)
        return attempt, claims, pem

    def sign(claims, pem, by=key, **flags):
        return token_client.sign(agent, by, claims, pem, **flags)

    attempt, claims, pem = begun()
    yield "other state", attempt.finish(sign(claims, pem), state="another"), 400, "unknown_state"
    assert attempt.finish(sign(claims, pem))[0] == 200, "its own is as it was"
    yield "reused after success", attempt.finish(sign(claims, pem)), 400, "unknown_state"
    attempt, claims, pem = begun()
    yield "wrong verifier", attempt.finish(sign(claims, pem), code_verifier="v" * 43), 400, "wrong_verifier"
    yield "reused after failure", attempt.finish(sign(claims, pem)), 400, "unknown_state"
    attempt, claims, pem = begun()
    other = token_client.b64(known_keys["rsa"].fingerprint.encode())
    yield "client_id of another key", attempt.finish(sign(claims, pem), client_id=other), 400, "wrong_client"
    attempt, claims, pem = begun()
    for part in ("client_id", "state", "code", "code_verifier"):
        yield f"without {part}", attempt.finish(sign(claims, pem), **{part: None}), 400, "malformed"
    yield "not base64", attempt.finish(b"", code="!"), 400, "malformed"
    yield "empty code", attempt.finish(b""), 400, "malformed"
    yield "short verifier", attempt.finish(sign(claims, pem), code_verifier="v" * 42), 400, "malformed"
    yield "a member more", attempt.finish(sign(claims, pem), more=1), 400, "malformed"
    yield "wrong grant type", attempt.finish(sign(claims, pem), grant_type="password"), 400, "malformed"
    yield "not JSON by name", attempt.finish(sign(claims, pem), content_type="text/plain"), 400, "malformed"
    assert attempt.finish(sign(claims, pem))[0] == 200, "what is malformed spends no state"
    attempt, claims, pem = begun()
    stack.ledger.update_item(
        Key=row(attempt), UpdateExpression="SET expires_at = :past", ExpressionAttributeValues={":past": str(int(time.time()))})
    yield "expired", attempt.finish(sign(claims, pem)), 400, "expired_state"
    attempt, claims, pem = begun(stranger)
    yield "unknown key", attempt.finish(sign(claims, pem, stranger)), 401, "unknown_key"
    attempt, claims, pem = begun()
    yield "another key's signature", attempt.finish(sign(claims, pem, stranger)), 401, "wrong_signature"
    attempt, claims, pem = begun()
    _, another_nonce, _ = begun()
    yield "another nonce", attempt.finish(sign(another_nonce, pem)), 401, "wrong_signature"
    attempt, claims, pem = begun()
    another = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    yield "another issuer's PEM", attempt.finish(sign(claims, another)), 401, "wrong_signature"
    attempt, claims, pem = begun()
    yield "the nonce alone", attempt.finish(sign(claims, "")), 401, "wrong_signature"
    attempt, claims, pem = begun(known_keys["rsa"])
    yield "SHA-1 RSA", attempt.finish(sign(claims, pem, known_keys["rsa"], flags=0)), 401, "sha1"
    attempt, claims, pem = begun()
    yield "garbage", attempt.finish(b"garbage"), 401, "malformed_signature"
    attempt, claims, pem = begun()
    yield "another algorithm", attempt.finish(sign(claims, pem, known_keys["rsa"])), 401, "wrong_algorithm"
    attempt, claims, pem = begun(known_keys["ed25519-sk"])
    altered = bytearray(sign(claims, pem, known_keys["ed25519-sk"]))
    altered[-5] |= 4
    yield "altered flags", attempt.finish(bytes(altered)), 401, "wrong_signature"


def test_every_broken_attempt_is_refused_alike_and_the_log_alone_says_why(stack, agent, known_keys, tmp_path):
    stranger = ssh.make_key(tmp_path, "ed25519")
    agent.add(stranger)
    for name, (status, headers, text), expected, reason in attempts(stack, agent, known_keys, stranger):
        assert (status, text) == (expected, {400: MALFORMED, 401: REFUSED}[expected]), name
        event = audit(stack, headers, "token")
        assert (event["outcome"], event["reason"], event["source_ip"]) == ("refused", reason, "127.0.0.1"), name


@pytest.mark.parametrize("options, line, status", [
    (["no-touch-required"], "{}", 401),
    (["no-touch-required"], "no-touch-required {}", 200),
    ([], "verify-required {}", 401),
    (["verify-required"], "verify-required {}", 200),
])
def test_what_a_security_key_must_say_of_its_user(stack, agent, tmp_path, options, line, status):
    key = ssh.make_key(tmp_path, "ed25519-sk", options=options)
    agent.add(key)
    stack.put_keys(line.format(key.public), "security.pub")
    stack.put_policy('permit (principal in KeyFile::"security", action == Action::"token:issue", resource);', "s.cedar")
    stack.restart("token")
    attempt = Attempt(stack, key.fingerprint)
    nonce = token_client.open_nonce(attempt.begin()[2], token_client.keys(stack))
    assert attempt.finish(token_client.sign(agent, key, *nonce))[0] == status


def test_policy_decides_what_a_key_gets(stack, agent, tmp_path):
    key = ssh.make_key(tmp_path, "ed25519-sk", options=["verify-required"])
    plain = ssh.make_key(tmp_path, "ed25519")
    for added in (key, plain):
        agent.add(added)
    stack.put_keys(f"{key.public}\n{plain.public}\n", "policy.pub")
    stack.put_policy("""
        @ttl("365d") @network("10.0.0.0/8") @scope("a")
        permit (principal in KeyFile::"policy", action == Action::"token:issue", resource)
        when { principal.hardware && context.user_verified && context.wire == "ssh" };
        @ttl("400d") @network("10.1.0.0/16") @scope("b")
        permit (principal in KeyFile::"policy", action == Action::"token:issue", resource)
        when { principal.hardware };
    """, "p.cedar")
    stack.restart("token")
    token = token_client.get_token(stack, agent, key, "10.1.2.3")
    _, claims = token_client.claims(stack, token)
    assert (claims["ipn"], claims["scope"], claims["exp"] - claims["iat"]) == ("10.1.0.0/16", "a b", 604800)
    assert accepted(stack, token, "10.1.255.1") and accepted(stack, token, "::ffff:10.1.0.9")
    # A network that contains the token's is not the token's.
    assert not accepted(stack, token, "10.2.0.1") and not accepted(stack, token)
    attempt = Attempt(stack, plain.fingerprint)
    nonce = token_client.open_nonce(attempt.begin()[2], token_client.keys(stack))
    status, headers, text = attempt.finish(token_client.sign(agent, plain, *nonce))
    assert status == 403 and json.loads(text)["type"] == "urn:countersign:problem:denied"
    event = audit(stack, headers, "token")
    assert (event["outcome"], event["reason"], event["subject"]) == ("denied", "policy", plain.fingerprint)


def test_a_file_of_keys_that_is_not_understood_leaves_the_keys_as_they_were(stack, known_key):
    """From cold it cannot answer, and says so."""
    agent, key = known_key
    stack.put_keys(f'from="10.0.0.0/8" {key.public}', "broken.pub")
    try:
        stack.restart("token")
        attempt = Attempt(stack, key.fingerprint)
        nonce = token_client.open_nonce(attempt.begin()[2], token_client.keys(stack))
        status, headers, _ = attempt.finish(token_client.sign(agent, key, *nonce))
        assert status == 503 and audit(stack, headers, "token")["reason"] == "registry"
    finally:
        stack.s3.delete_object(Bucket=stack.bucket, Key="ssh-keys/broken.pub")
    stack.restart("token")
    assert accepted(stack, token_client.get_token(stack, agent, key))


def test_a_token_is_recorded_and_nothing_secret_is(stack, known_key):
    agent, key = known_key
    attempt = Attempt(stack, key.fingerprint)
    claims, pem = token_client.open_nonce(attempt.begin()[2], token_client.keys(stack))
    signature = token_client.sign(agent, key, claims, pem)
    status, headers, token = attempt.finish(signature)
    _, said = token_client.claims(stack, token)
    recorded = stack.ledger.get_item(Key={"pk": f"token#{said['ses']}"})["Item"]
    assert (recorded["subject"], recorded["network"], recorded["scope"]) == (said["sub"], said["ipn"], said["scope"])
    assert recorded["policies"] == "web.cedar#4" and recorded["request_id"] == headers["x-request-id"]
    assert recorded["ttl"] == said["exp"] + 400 * 86400
    event = audit(stack, headers, "token")
    assert (event["outcome"], event["subject"], event["session"]) == ("granted", key.fingerprint, said["ses"])
    assert "Item" not in stack.ledger.get_item(Key=row(attempt)), "the state is spent"
    everything = json.dumps(stack.events(headers["x-request-id"], "token")) + json.dumps(recorded, default=repr)
    for secret in (token, token.split(".")[2], token_client.b64(signature), attempt.verifier, claims["nonce"]):
        assert secret not in everything


def test_who_asks_too_often_is_told_when_to_come_again(stack, known_key):
    name = f"{STACK}-token"
    variables = stack.lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    stack.lambda_.update_function_configuration(
        FunctionName=name, Environment={"Variables": variables | {"NONCE_RATE": "1"}})
    try:
        address = f"198.51.100.{secrets.randbelow(250)}"
        answers = [Attempt(stack, known_key[1].fingerprint, address).begin() for _ in range(20)]
        limited = [answer for answer in answers if answer[0] == 429]
        assert answers[0][0] == 200 and limited
        _, headers, text = limited[0]
        assert 1 <= int(headers["Retry-After"]) <= 60 and json.loads(text)["status"] == 429
    finally:
        stack.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def test_the_keys_are_public_in_both_forms_and_may_be_kept(stack):
    status, headers, text = stack.http("GET", "/.well-known/jwks.json")
    listed = stack.http("GET", "/jwks")
    assert status == listed[0] == 200 and json.loads(text) == {"keys": json.loads(listed[2])}
    for path, answered in (("/.well-known/jwks.json", headers), ("/jwks", listed[1])):
        assert answered["Cache-Control"] == "public, max-age=300"
        assert stack.http("GET", path, headers={"If-None-Match": answered["ETag"]})[0] == 304
    for key in json.loads(listed[2]):
        assert set(key) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
        assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")


def encode(value):
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode().rstrip("=")


def forgeries(stack, token):
    """Tokens that are wrong in one way each, signed by the issuer's own key where the signature is not what is wrong."""
    pem = boto3.client("secretsmanager").get_secret_value(SecretId=f"{STACK}/token-key")["SecretString"]
    key = serialization.load_pem_private_key(pem.encode(), None)
    public = key.public_key()
    header, claims = token_client.claims(stack, token)
    now = int(time.time())

    def es256(head, body, by=key):
        text = f"{encode(head)}.{encode(body)}"
        r, s = utils.decode_dss_signature(by.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{text}.{encode(signature)}"

    def hs256(secret):
        text = f"{encode(header | {'alg': 'HS256'})}.{encode(claims)}"
        return f"{text}.{encode(hmac.digest(secret, text.encode(), 'sha256'))}"

    def without(name):
        return {other: value for other, value in claims.items() if other != name}

    yield "as it should be", es256(header, claims), True
    yield "a claim more", es256(header, claims | {"more": 1}), True
    yield "a network around", es256(header, claims | {"ipn": "127.0.0.0/8"}), True
    yield "alg none", f"{encode(header | {'alg': 'none'})}.{encode(claims)}.", False
    yield "alg none without a kid", f"{encode({'alg': 'none', 'typ': 'JWT'})}.{encode(claims)}.", False
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    yield "HS256 with the PEM", hs256(public.public_bytes(serialization.Encoding.PEM, spki)), False
    yield "HS256 with the DER", hs256(public.public_bytes(serialization.Encoding.DER, spki)), False
    yield "unknown kid", es256(header | {"kid": "A" * 43}, claims), False
    yield "another's key", es256(header, claims, ec.generate_private_key(ec.SECP256R1())), False
    head, body, signature = token.split(".")
    yield "altered claims", f"{head}.{encode(claims | {'scope': 'root'})}.{signature}", False
    yield "altered signature", f"{head}.{body}.{('B' if signature[0] == 'A' else 'A') + signature[1:]}", False
    yield "no signature", f"{head}.{body}.", False
    yield "expired", es256(header, claims | {"iat": now - 100, "exp": now - 1}), False
    yield "not yet valid", es256(header, claims | {"iat": now + 120, "exp": now + 600}), False
    yield "another network", es256(header, claims | {"ipn": "10.0.0.0/8"}), False
    yield "host bits", es256(header, claims | {"ipn": "127.0.0.1/8"}), False
    yield "an address for a network", es256(header, claims | {"ipn": "127.0.0.1"}), False
    for name in claims:
        yield f"without {name}", es256(header, without(name)), False
    yield "a list for claims", es256(header, list(claims.values())), False
    for extra in ({"crit": ["exp"]}, {"jku": "http://127.0.0.1/"}, {"jwk": {}}, {"x5c": []}, {"typ": "at+jwt"}):
        yield f"header {extra}", es256(header | extra, claims), False
    yield "a nonce", Attempt(stack, claims["sub"]).begin()[2], False
    yield "nothing", "", False


def test_no_token_but_the_issuers_own_is_taken_as_it_was_given(stack, known_key):
    stack.end_tokens()
    token = token_client.get_token(stack, *known_key)
    for name, forged, expected in forgeries(stack, token):
        assert accepted(stack, forged) == expected, name
    status, headers, text = stack.http("GET", "/verify")
    assert (status, text, headers["WWW-Authenticate"]) == (401, REFUSED, "Bearer")
    assert audit(stack, headers, "verify")["reason"] == "no_token"
    for wrong in (f"Basic {token}", token, f"Bearer {token} {token}", "Bearer"):
        assert stack.http("GET", "/verify", headers={"Authorization": wrong})[:3:2] == (401, REFUSED), wrong
        assert stack.http("GET", "/v2/whoami", headers={"Authorization": wrong})[0] == 401, wrong


def test_a_group_gets_the_same_by_its_proof(stack):
    status, answer = stack.exchange([{"type": "access_token"}])
    assert status == 200
    [granted] = answer["granted"]
    assert (granted["type"], granted["token_type"]) == ("access_token", "Bearer")
    _, claims = token_client.claims(stack, granted["access_token"])
    assert (claims["sub"], claims["scope"], claims["ipn"]) == ("group:web", "things:read", "127.0.0.1/32")
    assert claims["exp"] == granted["expires_at"] == answer["expires_at"] == claims["iat"] + 600
    assert accepted(stack, granted["access_token"]) and not accepted(stack, granted["access_token"], ELSEWHERE)
    batch = stack.manifest("batch")
    assert stack.exchange([{"type": "access_token"}], batch) == (403, {"code": "denied", "want": 0})


def test_an_operator_gets_a_token_for_a_network(stack):
    issued = stack.issue({"network": "10.0.0.0/16", "seconds": 604800, "scope": "jobs:run", "name": "nightly"})
    _, claims = token_client.claims(stack, issued["access_token"])
    assert (claims["sub"], claims["ipn"], claims["scope"]) == ("network:nightly", "10.0.0.0/16", "jobs:run")
    assert claims["exp"] - claims["iat"] == 604800 and claims["exp"] == issued["expires_at"]
    assert accepted(stack, issued["access_token"], "10.0.255.1") and not accepted(stack, issued["access_token"], "10.1.0.1")
    recorded = stack.ledger.get_item(Key={"pk": f"token#{claims['ses']}"})["Item"]
    assert (recorded["subject"], recorded["policies"]) == ("network:nightly", "iam")
    event = stack.audited(recorded["request_id"], "issue")
    assert (event["action"], event["outcome"], event["subject"]) == ("issue", "granted", "network:nightly")
    order = {"network": "10.0.0.0/16", "seconds": 60}
    for changes, message in (
        ({"seconds": 604801}, "a token lives at most 604800 seconds here"),
        ({"seconds": 0}, "a token lives at least one second"),
        ({"network": "10.0.0.1/16"}, "host bits are set"),
        ({"sub": "root"}, "unknown field `sub`"),
        ({"name": "group:web"}, "not a token's name"),
    ):
        answer = stack.lambda_.invoke(FunctionName=f"{STACK}-issue", Payload=json.dumps(order | changes).encode())
        failure = json.loads(answer["Payload"].read())
        assert "FunctionError" in answer and message in failure["errorMessage"], changes
