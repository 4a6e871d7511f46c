"""The v1 wire through API Gateway, by a client that shares no code with the broker."""

import base64
import hashlib
import json
import secrets

import boto3
import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA

from v1_client import armour, decrypt, encrypt, open_answer, request, spell, unarmour, wrap

VALUE = b"correct horse battery staple"
NOT_FOUND = '{"message":"not found"}'
SIZE = 2048 * 2049
WHOLE_LINES = [(0, 2048, line) for line in range(64)]
LINE_ENDS = [(2048 + 2049 * line, 2049 + 2049 * line, 0) for line in range(64)]


class Client:
    """A v1 client that has just fetched its material."""

    def __init__(self, stack):
        self.stack = stack
        self.material = [
            stack.s3.get_object(Bucket=stack.bucket, Key=key)["Body"].read() for key in ("info2048.bin", "public.pem")]

    def request(self, **parts):
        pool, public_key = self.material
        return request(**{"pool": pool, "public_key": public_key} | parts)

    def body(self, **parts):
        return self.request(**parts)[0]

    def post(self, body, path="/verify", url=None):
        return self.stack.http("POST", path, body, {"Content-Type": "application/json"}, url)

    def get(self, path="/verify", **parts):
        """The secret's bytes, of an exchange that must be granted."""
        body, key = self.request(**parts)
        status, headers, text = self.post(body, path)
        assert (status, headers["Content-Type"]) == (201, "application/json"), text
        return open_answer(text, key)

    def audit(self, headers):
        return self.stack.audited(headers["x-request-id"])


@pytest.fixture
def client(stack):
    return Client(stack)


@pytest.mark.parametrize("path", ["/verify", "/Stage/verify"])
def test_text_and_bytes_are_received_on_both_routes(client, path):
    assert client.get(path) == VALUE
    assert client.get(path, source="secretsmanager,app/keystore") == bytes(range(256))


def test_a_version_is_named_by_its_id_and_its_stage(client):
    aws = boto3.client("secretsmanager")
    first = aws.create_secret(Name="app/versions", SecretString="first")["VersionId"]
    second = aws.put_secret_value(SecretId="app/versions", SecretString="second")["VersionId"]
    for fields, value in (
        ("", b"second"), (",,", b"second"), (f",{first}", b"first"), (f",{second},", b"second"),
        (",,AWSPREVIOUS", b"first"), (f",{first},AWSPREVIOUS", b"first"),
    ):
        assert client.get(source=f"secretsmanager,app/versions{fields}") == value, fields


def test_an_arn_of_this_account_and_region_stands_for_the_name_in_it(client):
    arn = boto3.client("secretsmanager").describe_secret(SecretId="app/db")["ARN"]
    assert client.get(source=f"secretsmanager,{arn}") == VALUE


def test_the_copies_are_the_groups_pool_and_the_server_key(client, stack):
    manifest = stack.manifest("batch")
    pool, public_key = client.material
    assert pool == stack.pool(manifest) and len(pool) == SIZE
    assert public_key.startswith(b"-----BEGIN PUBLIC KEY-----\n")
    modulus = RSA.import_key(public_key).n.to_bytes(256, "big")
    assert base64.urlsafe_b64decode(manifest["server_key"]["n"] + "==") == modulus


def test_old_and_new_material_work_after_a_rotation(stack):
    old = Client(stack)
    stack.rotate()
    new = Client(stack)
    assert not set(old.material) & set(new.material)
    assert old.get() == new.get() == VALUE
    # Two rotations later the oldest material is of no use: at once from cold, within a minute from warm.
    stack.rotate()
    stack.restart()
    assert old.post(old.body())[0] == 404
    assert new.get() == VALUE


def test_policy_sees_the_wire(client, stack):
    assert client.get() == VALUE
    denied = stack.exchange([{"type": "secret", "id": "app/db"}], stack.manifest("batch"))
    assert denied == (403, {"code": "denied", "want": 0})


def test_a_release_is_recorded_for_ever_and_without_the_value(client, stack):
    body, key = client.request()
    status, headers, _ = client.post(body)
    assert status == 201
    spent = hashlib.sha256(unarmour(json.loads(body)["data"])).hexdigest()
    row = stack.ledger.get_item(Key={"pk": f"exchange#batch#{spent}"})["Item"]
    event = client.audit(headers)
    assert (row["group"], row["wants"], row["wire"]) == ("batch", "secret:app/db", "v1")
    assert (event["group"], event["wants"], event["wire"]) == ("batch", "secret:app/db", "v1")
    assert (event["action"], event["outcome"], event["jti"]) == ("exchange", "granted", spent)
    # The request never expires.
    assert "ttl" not in row
    recorded = json.dumps(stack.events(headers["x-request-id"])) + json.dumps(row, default=repr)
    assert VALUE.decode() not in recorded and key not in recorded


def with_another_key(key, padded):
    """Of 256 such payloads one would be padded all the same."""
    while True:
        payload = encrypt(key + ".", padded)
        try:
            decrypt(key, payload)
        except ValueError:
            return payload


def with_a_tab(payload):
    """The payload with the space after `"hashval":` turned into a tab, for which no key is needed."""
    return payload[:11] + bytes([payload[11] ^ ord(" ") ^ ord("\t")]) + payload[12:]


GRANTED = {
    "64 positions": {"intervals": [(0, 64, 0)]},
    "64 positions and a line end": {"intervals": [(1984, 2049, 0)]},
    "64 positions backwards": {"intervals": [(64, 0, 0)]},
    "64 intervals of one character": {"intervals": [(70, 71, line) for line in range(64)]},
    "overlapping in 64 positions": {"intervals": [(0, 40, 0), (20, 64, 0), (10, 50, 0)]},
    "as much text as there may be": {"intervals": WHOLE_LINES},
    "up to the end": {"intervals": [(SIZE - 65, SIZE, 0)]},
    "a tab for a space": {"encrypt": lambda key, padded: with_a_tab(encrypt(key, padded))},
}


@pytest.mark.parametrize("name", GRANTED)
def test_what_is_just_within_bounds_is_granted(client, name):
    assert client.get(**GRANTED[name]) == VALUE


def of(**parts):
    """A request of which these parts are wrong."""
    return lambda client: client.body(**parts)


def padded_with(padding):
    """A block of this after the message, which spaces make to fill blocks of its own."""
    return of(fill=lambda message: message + b" " * (-len(message) % 16) + bytes(padding))


def enciphered(change):
    return of(encrypt=lambda key, padded: change(encrypt(key, padded)))


def wrapped(change):
    return of(wrap=lambda public_key, key: change(wrap(public_key, key)))


def plus_the_modulus(public_key, key):
    """The key wrapped as a number too large, which has the right remainder and the right length."""
    n = RSA.import_key(public_key).n
    while (number := int.from_bytes(wrap(public_key, key), "big") + n) >> 2048:
        pass
    return number.to_bytes(256, "big")


def granted_before(payload):
    """A request that was granted, again: with what is made of its payload and of another one under the same key."""
    def make(client):
        body, key = client.request()
        assert client.post(body)[0] == 201
        old, new = json.loads(body), json.loads(client.body(key=key))
        return json.dumps({"data": old["data"], "payload": payload(old["payload"], new["payload"])}).encode()
    return make


# What is wrong with a request's JSON, the message's and the body's alike.
BROKEN = {
    "cut short": lambda members: json.dumps(members)[:-1],
    "followed by more": lambda members: json.dumps(members) + "{}",
    "as a list": lambda members: json.dumps(list(members.values())),
    "with a member more": lambda members: json.dumps(members | {"more": ""}),
    "with a member less": lambda members: json.dumps(dict(list(members.items())[:-1])),
    "with a member twice": lambda members: json.dumps(members)[:-1] + "," + json.dumps(members)[1:],
}
REFUSED = {
    "unfit_intervals": {
        "0,0,0": of(intervals=[(0, 0, 0)]),
        "0,0,0 many times": of(intervals=[(0, 0, 0)] * 64),
        "a line out of range": of(intervals=[(0, 64, 2049)]),
        "an end out of range": of(intervals=[(SIZE - 64, SIZE + 1, 0)]),
        "one of them out of range": of(intervals=[(0, 64, 5), (5, 9, 2049)]),
        "one character": of(intervals=[(7, 8, 5)]),
        "one character many times": of(intervals=[(7, 8, 5)] * 64),
        "63 positions": of(intervals=[(0, 63, 0)]),
        "63 positions and line ends": of(intervals=[(0, 63, 0), *LINE_ENDS[:63]]),
        "line ends, which everybody knows": lambda client: client.body(
            pool=b"", intervals=LINE_ENDS, hashval=lambda _: hashlib.sha256(b"\n" * 64).hexdigest()),
        "overlapping in 63 positions": of(intervals=[(0, 40, 0), (20, 63, 0), (10, 50, 0)]),
        "65 intervals": of(intervals=[(0, 64, line) for line in range(65)]),
        "too much text": of(intervals=WHOLE_LINES[1:] + [(0, 2049, 0)]),
    },
    "bad_proof": {
        "wrong hash": of(hashval=lambda text: hashlib.sha256(text + b".").hexdigest()),
        "hash of the empty string": of(hashval=lambda _: hashlib.sha256(b"").hexdigest()),
        "another group's pool": lambda client: client.body(pool=client.stack.pool(client.stack.manifest("web"))),
    },
    "malformed_proof": {
        "upper-case hash": of(hashval=lambda text: hashlib.sha256(text).hexdigest().upper()),
        "no intervals": of(intervals=[]),
        "a negative number": of(intervals=[(0, 64, 5), (-64, 0, 5)]),
        "spaces in numbers": of(spell=lambda intervals: spell(intervals).replace(",", ", ")),
        "signs in numbers": of(spell=lambda intervals: "+" + spell(intervals)),
        "another store": of(source="vault,app/db"),
        "no store": of(source="app/db"),
        "an ARN of another account": of(source="secretsmanager,arn:aws:secretsmanager:eu-west-1:210987654321:secret:app/db-AbCdEf"),
        "no name": of(source="secretsmanager,"),
        "a field too many": of(source="secretsmanager,app/db,,AWSCURRENT,"),
    } | {f"message {name}": of(message=message) for name, message in BROKEN.items()},
    "undecryptable": {
        "padding that ends in 0": padded_with([16] * 15 + [0]),
        "padding of 17": padded_with([17] * 16),
        "padding wrong in its first byte": padded_with([15] + [16] * 15),
        "padding wrong before its last byte": padded_with([16] * 14 + [15, 16]),
        "padding of another key": of(encrypt=with_another_key),
        "another RSA key": of(wrap=lambda _, key: wrap(RSA.generate(2048).public_key().export_key(), key)),
        "SHA-256 in OAEP": of(wrap=lambda public_key, key: wrap(public_key, key, SHA256)),
        "garbage for data": wrapped(lambda data: secrets.token_bytes(len(data))),
        "no data": wrapped(lambda _: b""),
        "truncated data": wrapped(lambda data: data[:-1]),
        "data with a zero in front": wrapped(lambda data: b"\0" + data),
        "data plus the modulus": of(wrap=plus_the_modulus),
    },
    "malformed_envelope": {
        "payload of broken blocks": enciphered(lambda payload: payload[:-1]),
        "payload of an IV": enciphered(lambda payload: payload[:16]),
        "payload of nothing": enciphered(lambda _: b""),
        "not hex": of(armour=lambda data: base64.b64encode(data).decode()),
        "odd hex": of(armour=lambda data: armour(data) + "0"),
        "not base64": of(armour=lambda data: (b"!" + base64.b64encode(data)).hex()),
        "hex without base64": of(armour=bytes.hex),
        "an empty body": lambda _: b"",
    } | {f"body {name}": of(body=body) for name, body in BROKEN.items()},
    "oversized": {"an oversized body": of(body=lambda members: json.dumps(members) + " " * 16384)},
    "replayed": {
        "a replay": granted_before(lambda old, new: old),
        "a replay with its payload altered": granted_before(lambda old, new: armour(with_a_tab(unarmour(old)))),
        "the same data with another payload": granted_before(lambda old, new: new),
    },
    "policy": {
        "a secret that policy denies": of(source="secretsmanager,app/admin/codes"),
        "a secret that no policy permits": of(source="secretsmanager,ops/root"),
        "the server key": of(source="secretsmanager,countersign/server-key"),
    },
    "not_found": {
        "a secret that does not exist": of(source="secretsmanager,app/nothing"),
        "a version that does not exist": of(source="secretsmanager,app/db,,AWSPREVIOUS"),
    },
}


def shown(answer):
    """All that a caller sees, but for what is of this one answer."""
    status, headers, text = answer
    of_this_one = ("date", "x-request-id", "x-amzn-requestid", "x-amz-request-id")
    return status, {name: value for name, value in headers.items() if name.lower() not in of_this_one}, text


@pytest.mark.parametrize("reason, name", [(reason, name) for reason, rows in REFUSED.items() for name in rows])
def test_refusals_are_alike_and_their_reason_is_in_the_log_alone(client, reason, name):
    answer = client.post(REFUSED[reason][name](client))
    assert (answer[0], answer[1]["Content-Type"], answer[2]) == (404, "application/json", NOT_FOUND)
    assert shown(answer) == shown(client.post(b"garbage"))
    event = client.audit(answer[1])
    assert (event["action"], event["wire"], event["reason"]) == ("exchange", "v1", reason)


def test_it_is_off_where_no_group_is_named(client, stack):
    with stack.off_lambda(V1_GROUP="") as url:
        for path in ("/verify", "/Stage/verify"):
            status, headers, text = client.post(client.body(), path, url)
            other = client.post(b"", "/nothing", url)
            assert (status, headers["Content-Type"]) == (other[0], other[1]["Content-Type"]) == (404, "application/problem+json")
            assert json.loads(text) | {"request_id": ""} == json.loads(other[2]) | {"request_id": ""}
