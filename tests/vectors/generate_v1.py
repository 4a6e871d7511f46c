"""Makes the vectors in v1/ anew, with the v1 client of the tests. Run from here; the files are then committed.

usage: ../../.tools/client/bin/python generate_v1.py
"""

import hashlib
import json
import pathlib
import secrets
import string
import sys

from Crypto.PublicKey import RSA

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent / "e2e"))
import v1_client as client  # noqa: E402

POOL = here / "v1-pool.bin"
if not POOL.exists():
    # As a rotation makes them, with fewer lines.
    lines = ("".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(2048)) for _ in range(66))
    POOL.write_text("".join(line + "\n" for line in lines))
POOL = POOL.read_bytes()
PUBLIC_KEY = RSA.import_key((here / "server-key.pem").read_text()).public_key().export_key()
OTHER_KEY = RSA.generate(2048).public_key().export_key()
INTERVALS = [(3, 90, 0), (100, 40, 7), (0, 32, 12)]
# What everybody knows of a pool: where its lines end.
LINE_ENDS = [(2048 + 2049 * line, 2049 + 2049 * line, 0) for line in range(64)]


def request(intervals=INTERVALS, public_key=PUBLIC_KEY, **changes):
    return client.request(POOL, public_key, intervals=intervals, **changes)[0].decode()


def padding(*last):
    """A last block of these bytes after the message and as many spaces as fill its blocks."""
    return lambda message: message + b" " * (-len(message) % 16) + bytes(last)


CASES = {
    "accepted": request(),
    "accepted-by_version_and_stage": request(source="secretsmanager,app/db,,AWSPREVIOUS"),
    "accepted-bar_at_the_end": request(spell=lambda intervals: client.spell(intervals) + "|"),
    "malformed_envelope-list": "[]",
    "malformed_envelope-odd_hex": request(armour=lambda data: client.armour(data)[1:]),
    "malformed_envelope-half_a_block": request(encrypt=lambda key, padded: client.encrypt(key, padded)[:-8]),
    "malformed_envelope-member_more": request(body=lambda body: json.dumps(body | {"more": ""})),
    "undecryptable-other_key": request(public_key=OTHER_KEY),
    "undecryptable-padding_of_0": request(fill=padding(*[16] * 15, 0)),
    "undecryptable-padding_of_17": request(fill=padding(*[17] * 16)),
    "undecryptable-padding_inconsistent": request(fill=padding(*[16] * 14, 15, 16)),
    "malformed_proof-other_store": request(source="vault,app/db"),
    "malformed_proof-negative": request(spell=lambda intervals: "-1,90,0|" + client.spell(intervals)),
    "malformed_proof-no_json": request(message=lambda _: "garbage"),
    "unfit_intervals-empty": request(intervals=[(0, 0, 0)]),
    "unfit_intervals-one_character": request(intervals=[(7, 8, 5)] * 64),
    "unfit_intervals-beyond_the_end": request(intervals=[*INTERVALS, (0, 64, 9999)]),
    "unfit_intervals-line_ends": request(intervals=LINE_ENDS, hashval=lambda _: hashlib.sha256(b"\n" * 64).hexdigest()),
    "unfit_intervals-65": request(intervals=[(0, 64, 0)] * 65),
    "bad_proof-empty_hash": request(hashval=lambda _: client.hashval(b"")),
    "bad_proof-other_text": request(hashval=lambda text: client.hashval(text + b".")),
}
for old in (here / "v1").glob("*.json"):
    old.unlink()
for name, made in CASES.items():
    vector = {"verdict": name.split("-")[0], "request": made}
    (here / "v1" / f"{name}.json").write_text(json.dumps(vector, indent=1) + "\n")
print(f"{len(CASES)} vectors")
