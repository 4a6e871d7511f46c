"""Makes the vectors in exchange/ anew, with the reference client. Run from here; the files are then committed.

usage: ../../.tools/client/bin/python generate.py
"""

import base64
import json
import os
import pathlib
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import OctKey, RSAKey

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent / "e2e"))
import reference_client as client  # noqa: E402
from reference_client import b64  # noqa: E402

NOW, AUDIENCE, GROUP = 1_800_000_000, "countersign", "web"
SECRET = {"type": "secret", "id": "app/db"}


def keep(name, make):
    path = here / name
    if not path.exists():
        path.write_bytes(make())
    return path.read_bytes()


def new_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public(pem):
    key = RSAKey.import_key(pem)
    members = key.as_dict(private=False)
    return {"kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "kid": key.thumbprint(), "n": members["n"], "e": members["e"]}


pool = keep("pool.bin", lambda: os.urandom(64 * 1024 + 7))
other_pool = bytes(byte ^ 1 for byte in pool)
server_key = public(keep("server-key.pem", new_key))
other_key = public(new_key())


def made(wants=None, **changes):
    return client.claims(AUDIENCE, [SECRET] if wants is None else wants, NOW, **changes)


def sealed(claims, header=None, **changes):
    return client.encrypt(client.sign(GROUP, pool, claims, server_key["kid"]), server_key, **changes)


def part(compact, index, change):
    parts = compact.split(".")
    parts[index] = change(parts[index])
    return ".".join(parts)


def flip(text):
    data = bytearray(base64.urlsafe_b64decode(text + "=="))
    data[0] ^= 1
    return b64(bytes(data))


def header(compact, **changes):
    """Replaces members of the protected header, which breaks the tag: parsing must refuse before that shows."""
    def change(text):
        members = json.loads(base64.urlsafe_b64decode(text + "==")) | changes
        return b64(json.dumps({k: v for k, v in members.items() if v is not None}).encode())
    return part(compact, 0, change)


def proof(claims, key=None, **changes):
    """A proof whose header was changed, under the right key unless another is given."""
    kid = f"{GROUP}/{client.pool_id(pool)}"
    jws_header = {"alg": "HS256", "kid": kid} | changes
    key = key or client.proof_key(pool, claims["jti"], claims["iat"], jws_header["kid"], server_key["kid"])
    registry = jws.JWSRegistry(algorithms=["HS256", "HS512"], strict_check_header=False)
    return jws.serialize_compact(jws_header, json.dumps(claims).encode(), OctKey.import_key(key), registry=registry)


def unsigned(claims):
    parts = [{"alg": "none", "kid": f"{GROUP}/{client.pool_id(pool)}"}, claims]
    return ".".join(b64(json.dumps(member).encode()) for member in parts) + "."


def without(name):
    claims = made()
    return {member: value for member, value in claims.items() if member != name}


def signed_like(changed):
    """Claims of any form, under the key of well-formed ones."""
    base = made()
    key = client.proof_key(pool, base["jti"], base["iat"], f"{GROUP}/{client.pool_id(pool)}", server_key["kid"])
    return client.encrypt(proof(changed(base), key), server_key)


good = sealed(made())
cases = {
    "accepted": {
        "secret": good,
        "secret_by_version": sealed(made([SECRET | {"version_id": "0" * 32, "version_stage": "AWSPREVIOUS"}])),
        "aws_credentials": sealed(made([{"type": "aws", "role": "deploy", "seconds": 900}])),
        "sixteen_wants": sealed(made([{"type": "secret", "id": f"app/{n}"} for n in range(16)])),
        "one_second_of_life": sealed(made(exp=NOW + 1)),
        "clock_ahead_within_leeway": sealed(made(iat=NOW + 30, exp=NOW + 90)),
        "clock_behind_within_leeway": sealed(made(iat=NOW - 89, exp=NOW - 29)),
    },
    "oversized": {"sixteen_kib_and_one": good + "A" * (16 * 1024 + 1 - len(good))},
    "malformed_envelope": {
        "empty": "",
        "four_parts": good.rsplit(".", 1)[0],
        "six_parts": good + ".AAAA",
        "padded_base64": part(good, 2, lambda text: text + "="),
        "standard_base64": part(good, 4, lambda text: "+" + text[1:]),
        "stray_bits": part(good, 4, lambda text: text[:-1] + "B"),
        "short_iv": part(good, 2, lambda text: text[:-4]),
        "short_tag": part(good, 4, lambda text: b64(base64.urlsafe_b64decode(text + "==")[:12])),
        "header_not_json": part(good, 0, lambda text: b64(b"alg")),
        "header_member_twice": part(good, 0, lambda text: b64(
            base64.urlsafe_b64decode(text + "==").replace(b"{", b'{"alg":"RSA-OAEP-256",', 1))),
        "alg_rsa_oaep": header(good, alg="RSA-OAEP"),
        "alg_dir": header(good, alg="dir"),
        "alg_none": header(good, alg="none"),
        "enc_a128gcm": header(good, enc="A128GCM"),
        "zip": header(good, zip="DEF"),
        "crit": header(good, crit=["exp"]),
        "without_cty": header(good, cty=None),
        "without_kid": header(good, kid=None),
        "kid_too_short": header(good, kid="abc"),
        "embedded_key": header(good, jwk=server_key),
        "header_as_list": part(good, 0, lambda text: b64(json.dumps(
            ["RSA-OAEP-256", "A256GCM", "JWT", server_key["kid"]]).encode())),
        "alg_as_object": header(good, alg={"RSA-OAEP-256": None}),
    },
    "unknown_key": {"another_deployments_key": client.encrypt(client.sign(GROUP, pool, made(), other_key["kid"]), other_key)},
    "undecryptable": {
        "tag_altered": part(good, 4, flip),
        "ciphertext_altered": part(good, 3, flip),
        "iv_altered": part(good, 2, flip),
        "encrypted_key_altered": part(good, 1, flip),
        "encrypted_key_empty": part(good, 1, lambda text: ""),
        "encrypted_key_too_long": part(good, 1, lambda text: b64(base64.urlsafe_b64decode(text + "==") + b"\0")),
        "wrapped_for_another_key": client.encrypt(
            client.sign(GROUP, pool, made(), server_key["kid"]), other_key | {"kid": server_key["kid"]}),
    },
    "malformed_proof": {
        "claims_without_mac": client.encrypt(json.dumps(made()), server_key),
        "alg_none": client.encrypt(unsigned(made()), server_key),
        "alg_hs512": client.encrypt(proof(made(), alg="HS512"), server_key),
        "header_with_typ": client.encrypt(proof(made(), typ="JWT"), server_key),
        "kid_without_group": client.encrypt(proof(made(), kid=client.pool_id(pool)), server_key),
        "kid_with_path": client.encrypt(proof(made(), kid=f"../{GROUP}/{client.pool_id(pool)}"), server_key),
        "unknown_claim": sealed(made(sub="root")),
        "claim_missing": signed_like(lambda base: {k: v for k, v in base.items() if k != "aud"}),
        "audience_list": sealed(made(aud=[AUDIENCE])),
        "time_with_fraction": signed_like(lambda base: base | {"exp": base["exp"] + 0.5}),
        "time_negative": sealed(made(iat=-1)),
        "time_as_text": signed_like(lambda base: base | {"exp": str(base["exp"])}),
        "short_jti": sealed(made(jti=b64(bytes(15)))),
        "padded_jti": sealed(made(jti=b64(bytes(16)) + "==")),
        "short_response_key": sealed(made(rsk=b64(bytes(31)))),
        "no_wants": sealed(made([])),
        "seventeen_wants": sealed(made([SECRET] * 17)),
        "want_as_list": sealed(made([["secret", "app/db"]])),
        "claims_as_list": signed_like(lambda base: [base[name] for name in ("aud", "iat", "exp", "jti", "rsk", "want")]),
        "one_want_twice": sealed(made([SECRET, SECRET])),
        "secret_with_empty_segment": sealed(made([{"type": "secret", "id": "app//db"}])),
        "unknown_want": sealed(made([{"type": "root"}])),
        "want_with_unknown_member": sealed(made([SECRET | {"path": "/etc"}])),
        "secret_by_arn": sealed(made([{"type": "secret", "id": "arn:aws:secretsmanager:eu-west-1:1:secret:app/db"}])),
        "secret_with_line_break": sealed(made([{"type": "secret", "id": "app/db\n"}])),
    },
    "unknown_pool": {
        "another_pool": client.encrypt(client.sign(GROUP, other_pool, made(), server_key["kid"]), server_key),
    },
    "bad_proof": {
        "other_bytes_under_this_pools_name": client.encrypt(
            proof(c := made(), client.proof_key(other_pool, c["jti"], c["iat"], f"{GROUP}/{client.pool_id(pool)}", server_key["kid"])),
            server_key),
        "made_for_another_server_key": client.encrypt(client.sign(GROUP, pool, made(), other_key["kid"]), server_key),
        "made_for_another_request_id": client.encrypt(
            proof(c := made(), client.proof_key(pool, b64(bytes(16)), c["iat"], f"{GROUP}/{client.pool_id(pool)}", server_key["kid"])),
            server_key),
        "made_for_another_group": client.encrypt(
            proof(c := made(), client.proof_key(pool, c["jti"], c["iat"], f"batch/{client.pool_id(pool)}", server_key["kid"])),
            server_key),
        "claims_altered": client.encrypt(
            part(client.sign(GROUP, pool, c := made(), server_key["kid"]), 1,
                 lambda text: b64(json.dumps(c | {"want": [{"type": "secret", "id": "app/root"}]}).encode())),
            server_key),
        "mac_empty": client.encrypt(part(client.sign(GROUP, pool, made(), server_key["kid"]), 2, lambda text: ""), server_key),
        "mac_cut": client.encrypt(part(client.sign(GROUP, pool, made(), server_key["kid"]), 2, lambda text: b64(
            base64.urlsafe_b64decode(text + "==")[:16])), server_key),
    },
    "wrong_audience": {"another_deployment": sealed(made(aud="countersign-staging"))},
    "expired": {"ninety_seconds_old": sealed(made(iat=NOW - 90, exp=NOW - 30))},
    "not_yet_valid": {"clock_too_far_ahead": sealed(made(iat=NOW + 31, exp=NOW + 91))},
    "wrong_lifetime": {
        "sixty_one_seconds": sealed(made(exp=NOW + 61)),
        "ends_before_it_begins": sealed(made(exp=NOW - 1)),
    },
}

for path in here.glob("exchange/*.json"):
    path.unlink()
for verdict, requests in cases.items():
    for name, request in requests.items():
        case = {"verdict": verdict, "case": name, "now": NOW, "audience": AUDIENCE, "request": request}
        (here / "exchange" / f"{verdict}-{name}.json").write_text(json.dumps(case, indent=1) + "\n")
print(sum(map(len, cases.values())), "vectors")
