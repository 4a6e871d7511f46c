"""The token key's rotation: no token and no attempt fails for it."""

import json
import threading
import time

import boto3
from joserfc import jwt
from joserfc.jwk import KeySet

import token_client
from stack import STACK
from test_token import accepted
from token_client import Attempt
from waiting import until


def published(stack):
    return json.loads(stack.s3.get_object(Bucket=stack.bucket, Key="token/jwks.json")["Body"].read())


def publish(stack, keys):
    """As if time had gone on: what is published is edited, and the functions start anew."""
    stack.s3.put_object(Bucket=stack.bucket, Key="token/jwks.json", Body=json.dumps(keys).encode())
    stack.restart_with_tokens()


def test_rotation_in_the_middle_of_a_session_fails_nothing(stack, known_key):
    agent, key = known_key
    stack.end_tokens()
    old_set = token_client.keys(stack)
    before = token_client.get_token(stack, agent, key)
    attempt = Attempt(stack, key.fingerprint)
    nonce = token_client.open_nonce(attempt.begin()[2], old_set)
    report = stack.rotate()
    assert report["new_token_key"]
    stack.restart_with_tokens()
    # What was begun before is ended after; what was issued before is good after.
    status, _, across = attempt.finish(token_client.sign(agent, key, *nonce))
    assert status == 200
    after = token_client.get_token(stack, agent, key)
    new_set = token_client.keys(stack)
    assert [key.kid for key in new_set.keys] == [report["token_kid"], old_set.keys[0].kid]
    for token in (before, across, after):
        assert accepted(stack, token)
        # A verifier that has not asked for keys since before the rotation knows them all: the new one does not sign yet.
        for known in (old_set, new_set):
            jwt.decode(token, known, algorithms=["ES256"])
    # Once it does, everybody has it.
    keys = published(stack)
    newest = keys["keys"][0]
    assert newest["signs_from"] > time.time() + 300 and keys["keys"][1]["ends_at"] >= newest["signs_from"] + 604800
    attempt = Attempt(stack, key.fingerprint)
    nonce = token_client.open_nonce(attempt.begin()[2], new_set)
    newest["signs_from"] = 1
    keys["keys"][1]["signs_from"] = 0
    publish(stack, keys)
    assert attempt.finish(token_client.sign(agent, key, *nonce))[0] == 200, "the nonce was signed by the key before"
    latest = token_client.get_token(stack, agent, key)
    assert token_client.claims(stack, latest)[0]["kid"] == report["token_kid"]
    for token in (before, across, after, latest):
        assert accepted(stack, token)
        jwt.decode(token, new_set, algorithms=["ES256"])


def test_no_key_is_lost_while_its_tokens_live_and_then_it_goes(stack, known_key):
    stack.end_tokens()
    token = token_client.get_token(stack, *known_key)
    second = stack.rotate()
    third = stack.rotate()
    assert second["new_token_key"] and not third["new_token_key"] and third["token_kid"] == second["token_kid"]
    assert third["new_server_key"], "the rest rotates"
    stack.restart_with_tokens()
    assert accepted(stack, token)
    # A week later.
    keys = published(stack)
    keys["keys"][1]["ends_at"] = int(time.time()) - 1
    keys["keys"][0]["signs_from"] = 1
    publish(stack, keys)
    assert not accepted(stack, token) and len(token_client.keys(stack).keys) == 1
    assert stack.rotate()["new_token_key"]
    assert len(published(stack)["keys"]) == 2


def test_an_operator_ends_every_token_at_once(stack, known_key):
    stack.end_tokens()
    tokens = [token_client.get_token(stack, *known_key), stack.issue({"network": "127.0.0.0/8", "seconds": 60})["access_token"]]
    assert all(accepted(stack, token) for token in tokens)
    report = stack.end_tokens()
    assert not any(accepted(stack, token) for token in tokens)
    assert [key.kid for key in token_client.keys(stack).keys] == [report["token_kid"]]
    assert accepted(stack, token_client.get_token(stack, *known_key))


def test_a_rotation_that_was_cut_short_is_finished_by_the_next(stack, known_key):
    stack.end_tokens()
    before = published(stack)
    token = token_client.get_token(stack, *known_key)
    made = stack.rotate()["token_kid"]
    # As if it had ended after the key was stored and before it was published.
    publish(stack, before)
    assert accepted(stack, token_client.get_token(stack, *known_key)), "the published key is the previous version now"
    report = stack.rotate()
    assert not report["new_token_key"] and report["token_kid"] == made
    assert published(stack)["keys"][0]["kid"] == made
    stack.restart_with_tokens()
    assert accepted(stack, token)


def test_a_load_of_attempts_and_verifications_sees_no_failure(stack, known_key):
    agent, key = known_key
    stack.end_tokens()
    failed, done, stop = [], [], threading.Event()
    sign = threading.Lock()

    def work():
        held = []
        while not stop.is_set():
            try:
                attempt = Attempt(stack, key.fingerprint)
                nonce = token_client.open_nonce(attempt.begin()[2], token_client.keys(stack))
                with sign:
                    signature = token_client.sign(agent, key, *nonce)
                status, _, token = attempt.finish(signature)
                assert status == 200, token
                held = [token, *held[:2]]
                assert all(accepted(stack, token) for token in held)
                done.append(time.monotonic())
            except Exception as error:  # noqa: BLE001, every one counts
                failed.append(repr(error))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    while not done and not failed:
        time.sleep(0.1)
    rotated = [stack.rotate()["new_token_key"] for _ in range(2)]
    ended = time.monotonic()
    until(lambda: failed or sum(at > ended for at in done) > 5, within=60)
    stop.set()
    for worker in workers:
        worker.join()
    assert failed == [] and rotated == [True, False]


def test_the_private_keys_are_where_they_belong(stack):
    """In Secrets Manager, and in none of what is public."""
    stack.rotate()
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=f"{STACK}/token-key")["SecretString"]
    assert secret.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert all("d" not in key for key in published(stack)["keys"])
    assert KeySet.import_key_set(published(stack)).keys, "it is a JWK Set as it stands"
