"""A client of the older service's wire (v1), on PyCryptodome: none of the project's own code.

`request` takes each of its steps as a parameter, so that a test can break just one.
"""

import base64
import hashlib
import json
import random
import secrets
import string

from Crypto.Cipher import AES, PKCS1_OAEP
from Crypto.Hash import SHA1
from Crypto.PublicKey import RSA
from Crypto.Util.Padding import pad, unpad


def draw():
    """Intervals as the older client draws them: four of any length but none."""
    chance = random.SystemRandom()
    return [(*chance.sample(range(2048), 2), chance.randrange(2048)) for _ in range(4)]


def spell(intervals):
    return "|".join(f"{a},{b},{line}" for a, b, line in intervals)


def text_of(pool, intervals):
    return b"".join(pool[min(a, b) + 2048 * line : max(a, b) + 2048 * line] for a, b, line in intervals)


def hashval(text):
    return hashlib.sha256(text).hexdigest()


def new_key():
    """The text that both keys come from: wrapped for the broker, hashed for the cipher."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(16))


def wrap(public_key, key, digest=SHA1):
    return PKCS1_OAEP.new(RSA.import_key(public_key), digest).encrypt(key.encode())


def fill(message):
    return pad(message, 16)


def encrypt(key, padded):
    iv = secrets.token_bytes(16)
    return iv + AES.new(hashlib.sha256(key.encode()).digest(), AES.MODE_CBC, iv).encrypt(padded)


def decrypt(key, sealed):
    """What was enciphered. ValueError where it is not padded."""
    cipher = AES.new(hashlib.sha256(key.encode()).digest(), AES.MODE_CBC, sealed[:16])
    return unpad(cipher.decrypt(sealed[16:]), 16)


def armour(data):
    return base64.b64encode(data).hex()


def unarmour(text):
    return base64.b64decode(bytes.fromhex(text), validate=True)


def request(
    pool, public_key, source="secretsmanager,app/db", intervals=None, key=None, spell=spell, hashval=hashval,
    message=json.dumps, wrap=wrap, fill=fill, encrypt=encrypt, armour=armour, body=json.dumps,
):
    """A request's body, and the key of its answer. `pool` is what S3 has as info2048.bin, `public_key` as public.pem."""
    intervals = draw() if intervals is None else intervals
    key = key or new_key()
    told = {
        "hashval": hashval(text_of(pool, intervals)),
        "intervals": spell(intervals),
        "credential_source": source,
    }
    payload = encrypt(key, fill(message(told).encode()))
    return body({"data": armour(wrap(public_key, key)), "payload": armour(payload)}).encode(), key


def open_answer(text, key):
    """The secret's bytes."""
    answer = json.loads(text)
    assert list(answer) == ["message"]
    return decrypt(key, unarmour(answer["message"]))
