"""Makes the vectors in answer/ and proof-key.json anew, with the reference client. Run from here; the files are then committed.

usage: ../../.tools/client/bin/python generate_answers.py
"""

import json
import os
import pathlib
import sys

from joserfc import jwe
from joserfc.jwk import OctKey

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent / "e2e"))
import reference_client as client  # noqa: E402
from reference_client import b64  # noqa: E402

KEY = bytes(range(32))
HEADER = {"alg": "dir", "enc": "A256GCM"}
SECRET = {"type": "secret", "id": "app/db", "version_id": "0" * 32, "version_stages": ["AWSCURRENT"]}
TEXT = {"granted": [SECRET | {"secret_string": "pa\u00df\n"}]}


def sealed(answer, key=KEY, **changes):
    header = {name: value for name, value in (HEADER | changes).items() if value is not None}
    registry = jwe.JWERegistry(algorithms=["dir", "A256GCM", "A128GCM", "DEF"], strict_check_header=False)
    return jwe.encrypt_compact(header, json.dumps(answer).encode(), OctKey.import_key(key), registry=registry)


def altered(compact, index, text):
    parts = compact.split(".")
    parts[index] = text
    return ".".join(parts)


good = sealed(TEXT)
cases = {
    "accepted": {
        "text": good,
        "bytes": sealed({"granted": [SECRET | {"secret_binary": "AJ+Slg=="}]}),
        "credentials": sealed({"granted": [{
            "type": "aws", "role": "deploy", "access_key_id": "AKIA", "secret_access_key": "s", "session_token": "t",
            "expires_at": 1_800_000_900}], "expires_at": 1_800_000_900}),
        "a_member_of_a_later_version": sealed(TEXT | {"later": True}),
    },
    "foreign_answer": {
        "another_requests_key": sealed(TEXT, bytes(32)),
        "tag_altered": altered(good, 4, b64(bytes(16))),
        "iv_altered": altered(good, 2, b64(bytes(12))),
        "ciphertext_empty": altered(good, 3, ""),
        "with_an_encrypted_key": altered(good, 1, "AAAA"),
        "enc_a128gcm": sealed(TEXT, KEY[:16], enc="A128GCM"),
        "compressed": sealed(TEXT, zip="DEF"),
        "header_with_kid": sealed(TEXT, kid="a"),
        "header_without_enc": altered(good, 0, b64(b'{"alg":"dir"}')),
        "four_parts": good.rsplit(".", 1)[0],
        "empty": "",
    },
    "malformed_answer": {
        "a_list": sealed(["granted"]),
        "nothing_granted": sealed({"expires_at": 1}),
        "an_unknown_grant": sealed({"granted": [{"type": "root"}]}),
        "a_secret_without_a_value": sealed({"granted": [SECRET]}),
        "bytes_that_are_not_base64": sealed({"granted": [SECRET | {"secret_binary": "\u00df"}]}),
    },
}

(here / "answer").mkdir(exist_ok=True)
for path in here.glob("answer/*.json"):
    path.unlink()
for verdict, answers in cases.items():
    for name, answer in answers.items():
        case = {"verdict": verdict, "case": name, "rsk": b64(KEY), "answer": answer}
        (here / "answer" / f"{verdict}-{name}.json").write_text(json.dumps(case, indent=1) + "\n")
print(sum(map(len, cases.values())), "vectors")

pool = (here / "pool.bin").read_bytes()
case = {"jti": b64(os.urandom(16)), "iat": 1_800_000_000, "jws_kid": f"web/{client.pool_id(pool)}", "jwe_kid": b64(os.urandom(32))}
(here / "proof-key.json").write_text(json.dumps(case | {"proof_key": client.proof_key(pool, **case).hex()}, indent=1) + "\n")
