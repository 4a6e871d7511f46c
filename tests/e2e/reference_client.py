"""A Countersign client from docs/protocol.md alone, on joserfc and cryptography: none of the project's own code.

The deployed stack is tested with it, and the vectors are made by it.
"""

import base64
import hashlib
import json
import os
import time

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe, jws
from joserfc.jwk import OctKey, RSAKey


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def proof_key(pool, jti, iat, jws_kid, jwe_kid):
    ikm = f"{jti}.{iat}.{jws_kid}.{jwe_kid}".encode()
    stream = HKDF(SHA256(), 8160, salt=b"countersign/v2/intervals", info=b"offsets").derive(ikm)
    digest = hashlib.sha256(b"countersign/v2/proof\x00")
    for i in range(1020):
        offset = int.from_bytes(stream[8 * i : 8 * i + 8], "big") % (len(pool) - 15)
        digest.update(pool[offset : offset + 16])
    return digest.digest()


def pool_id(pool):
    return hashlib.sha256(pool).hexdigest()[:32]


def claims(audience, wants, now=None, **changes):
    now = int(time.time()) if now is None else now
    return {
        "aud": audience,
        "iat": now,
        "exp": now + 60,
        "jti": b64(os.urandom(16)),
        "rsk": b64(os.urandom(32)),
        "want": wants,
    } | changes


def sign(group, pool, claims, jwe_kid):
    kid = f"{group}/{pool_id(pool)}"
    key = proof_key(pool, claims["jti"], claims["iat"], kid, jwe_kid)
    header = {"alg": "HS256", "kid": kid}
    return jws.serialize_compact(header, json.dumps(claims).encode(), OctKey.import_key(key))


def encrypt(proof, server_key, **changes):
    header = {"alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT", "kid": server_key["kid"]} | changes
    header = {name: value for name, value in header.items() if value is not None}
    registry = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "RSA-OAEP", "A256GCM", "A128GCM", "DEF"], strict_check_header=False)
    return jwe.encrypt_compact(header, proof, RSAKey.import_key(server_key), registry=registry)


def request(manifest, pool, wants, **changes):
    """A request's body and its response key."""
    made = claims(manifest["audience"], wants, **changes)
    server_key = manifest["server_key"]
    assert RSAKey.import_key(server_key).thumbprint() == server_key["kid"], "a client MUST check"
    body = encrypt(sign(manifest["group"], pool, made, server_key["kid"]), server_key)
    return body, base64.urlsafe_b64decode(made["rsk"] + "=")


def open_answer(compact, response_key):
    opened = jwe.decrypt_compact(compact, OctKey.import_key(response_key))
    assert opened.protected == {"alg": "dir", "enc": "A256GCM"}, "a client MUST refuse any other"
    return json.loads(opened.plaintext)
