"""The exchange through API Gateway, by a client that shares no code with the broker."""

import json
import time

import boto3
import pytest

import reference_client

SECRET = {"type": "secret", "id": "app/db"}
REFUSED = '{"type":"urn:countersign:problem:refused","title":"the request was refused","status":401}'


def test_an_independent_jose_client_gets_the_secret(stack):
    status, answer = stack.exchange([SECRET])
    assert status == 200
    [granted] = answer["granted"]
    assert granted["secret_string"] == "correct horse battery staple"
    assert granted["type"] == "secret" and granted["id"] == "app/db"
    assert granted["version_stages"] == ["AWSCURRENT"]
    assert "expires_at" not in answer


def test_aws_credentials_work_for_what_the_role_may(stack):
    status, answer = stack.exchange([{"type": "aws", "role": "deploy"}, SECRET])
    assert status == 200
    credentials = answer["granted"][0]
    assert credentials["expires_at"] == answer["expires_at"] > time.time()
    session = boto3.Session(
        aws_access_key_id=credentials["access_key_id"],
        aws_secret_access_key=credentials["secret_access_key"],
        aws_session_token=credentials["session_token"],
    )
    arn = session.client("sts").get_caller_identity()["Arn"]
    assert ":assumed-role/deploy/web@" in arn
    session.client("s3").list_buckets()
    with pytest.raises(session.client("s3").exceptions.ClientError):
        session.client("s3").list_objects_v2(Bucket=stack.bucket)


@pytest.mark.parametrize("name", ["app/admin/codes", "ops/root", "countersign/server-key"])
def test_what_policy_does_not_allow_is_denied(stack, name):
    assert stack.exchange([SECRET, {"type": "secret", "id": name}]) == (403, {"code": "denied", "want": 1})


def test_an_unknown_secret_is_told_to_the_caller_alone(stack):
    assert stack.exchange([{"type": "secret", "id": "app/nothing"}]) == (404, {"code": "not_found", "want": 0})


def refused_requests(stack):
    manifest = stack.manifest()
    pool = stack.pool(manifest)
    made, _ = reference_client.request(manifest, pool, [SECRET])
    now = int(time.time())
    yield "garbage", "garbage"
    yield "oversized", made + "A" * 17000
    yield "tag altered", made[:-3] + ("AAA" if made[-3:] != "AAA" else "BBB")
    yield "expired", reference_client.request(manifest, pool, [SECRET], now=now - 120)[0]
    yield "from the future", reference_client.request(manifest, pool, [SECRET], now=now + 120)[0]
    yield "another audience", reference_client.request(manifest | {"audience": "another"}, pool, [SECRET])[0]
    yield "another group", reference_client.request(manifest | {"group": "batch"}, pool, [SECRET])[0]
    yield "an unknown group", reference_client.request(manifest | {"group": "edge"}, pool, [SECRET])[0]
    yield "a truncated pool", reference_client.request(manifest, pool[:-1], [SECRET])[0]


def test_refusals_before_the_proof_are_alike_and_their_reason_is_in_the_log_alone(stack):
    reasons = {}
    for name, body in refused_requests(stack):
        status, headers, text = stack.post(body)
        assert (status, text) == (401, REFUSED), name
        event = stack.audited(headers["x-request-id"])
        assert (event["action"], event["outcome"], event["source_ip"]) == ("exchange", "refused", "127.0.0.1")
        reasons[name] = event["reason"]
    assert reasons == {
        "garbage": "malformed_envelope",
        "oversized": "oversized",
        "tag altered": "undecryptable",
        "expired": "expired",
        "from the future": "not_yet_valid",
        "another audience": "wrong_audience",
        "another group": "unknown_pool",
        "an unknown group": "unknown_pool",
        "a truncated pool": "unknown_pool",
    }


def test_a_replay_is_refused(stack):
    manifest = stack.manifest()
    body, _ = reference_client.request(manifest, stack.pool(manifest), [SECRET])
    assert stack.post(body)[0] == 200
    status, headers, text = stack.post(body)
    assert (status, text) == (401, REFUSED)
    event = stack.audited(headers["x-request-id"])
    assert event["reason"] == "replayed"


def test_a_release_is_recorded_in_ledger_and_log_and_neither_holds_the_value(stack):
    manifest = stack.manifest()
    body, _ = reference_client.request(manifest, stack.pool(manifest), [SECRET])
    status, headers, _ = stack.post(body)
    assert status == 200
    event, lines = stack.audited(headers["x-request-id"]), stack.events(headers["x-request-id"])
    row = stack.ledger.get_item(Key={"pk": f"exchange#web#{event['jti']}"})["Item"]
    assert row["request_id"] == headers["x-request-id"]
    assert (row["group"], row["wants"], row["policies"], row["wire"]) == ("web", "secret:app/db", "web.cedar#0", "v2")
    assert row["ttl"] > time.time() + 399 * 86400
    assert (event["outcome"], event["group"], event["wants"]) == ("granted", "web", "secret:app/db")
    assert "correct horse" not in json.dumps(lines) + json.dumps(row, default=repr)


def test_manifest_and_health_are_public(stack):
    status, headers, text = stack.http("GET", "/v2/manifest/web")
    assert status == 200 and json.loads(text) == stack.manifest()
    assert stack.http("GET", "/v2/manifest/web", headers={"If-None-Match": headers["ETag"]})[0] == 304
    assert stack.http("GET", "/v2/manifest/nobody")[0] == 404
    assert stack.http("GET", "/health")[0] == 200


def test_a_cold_start_with_a_broken_policy_file_cannot_answer_until_it_is_mended(stack):
    stack.put_policy("permit (everything", "broken.cedar")
    try:
        stack.restart()
        assert stack.exchange([SECRET])[0] == 503
    finally:
        stack.s3.delete_object(Bucket=stack.bucket, Key="policies/broken.cedar")
    stack.restart()
    assert stack.exchange([SECRET])[0] == 200


def test_the_same_binary_serves_the_same_routes_off_lambda(cli, stack):
    """The local runner, in front of the same local AWS."""
    cli.pull()
    with stack.off_lambda() as url:
        done = cli.run("get", "app/db", "--url", url)
    assert (done.returncode, done.stdout) == (0, b"correct horse battery staple"), done.stderr
