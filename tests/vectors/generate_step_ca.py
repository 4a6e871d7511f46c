"""Makes the vectors in step-ca/ anew, with `cryptography` and joserfc: encrypted keys of JWK provisioners, and what a one-time token
says, as step-ca's authority/provisioner/jwk.go and x5c.go read it. Run from here; the files are then committed.
step-ca/key-of-step-*.json are not made here: step's own library wrote them (go.step.sm/crypto 0.24, `jose.GenerateDefaultKeyPair`).

usage: ../../.tools/client/bin/python generate_step_ca.py
"""

import base64
import datetime
import hashlib
import json
import os
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

here = pathlib.Path(__file__).parent / "step-ca"
here.mkdir(exist_ok=True)

NOW = 1_800_000_000
PASSWORD = "correct horse battery staple"
ALGORITHM = "PBES2-HS256+A128KW"


def encode(value):
    value = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key, **changes):
    made = ECKey.import_key(pem(key))
    members = made.as_dict(private=True) | {"use": "sig", "alg": "ES256", "kid": made.thumbprint()} | changes
    return {name: value for name, value in members.items() if value is not None}


def write(name, vector):
    (here / f"{name}.json").write_text(json.dumps(vector, indent=1) + "\n")


# Keys.

KEY = ec.generate_private_key(ec.SECP256R1())


def encrypt(text, password=PASSWORD, enc="A256GCM", count=2000, salt=os.urandom(16), header=None, changes=None):
    """The five parts of a JWE."""
    content = os.urandom({"A128GCM": 16}.get(enc, 32))
    derived = PBKDF2HMAC(hashes.SHA256(), 16, ALGORITHM.encode() + b"\0" + salt, max(min(count, 10**7), 1)).derive(
        password.encode())
    fields = {"alg": ALGORITHM, "enc": enc, "p2c": count, "p2s": encode(salt), "cty": "jwk+json"} | (changes or {})
    protected = header or encode({name: value for name, value in fields.items() if value is not None})
    iv = os.urandom(12)
    sealed = AESGCM(content).encrypt(iv, text.encode(), protected.encode())
    return [protected, encode(keywrap.aes_key_wrap(derived, content)), encode(iv), encode(sealed[:-16]),
            encode(sealed[-16:])]


def key_vector(name, text, verdict=None, password=PASSWORD, kid=None):
    write(f"key-{name}", {"jwe": text, "password": password, "verdict": verdict or "accepted", "kid": kid})


def accepted(name, parts, form=".".join):
    compact = ".".join(parts)
    # Another library reads it as well.
    opened = jwe.decrypt_compact(compact, OctKey.import_key(PASSWORD), algorithms=[ALGORITHM, parts_enc(parts)])
    kid = ECKey.import_key(json.loads(opened.plaintext)).thumbprint()
    key_vector(name, form(parts), kid=kid)


def parts_enc(parts):
    return json.loads(base64.urlsafe_b64decode(parts[0] + "=="))["enc"]


def flattened(parts, **more):
    names = ["protected", "encrypted_key", "iv", "ciphertext", "tag"]
    return json.dumps(dict(zip(names, parts)) | more)


def general(parts, copies=1, **more):
    members = {"protected": parts[0], "recipients": [{"encrypted_key": parts[1]} | more] * copies, "iv": parts[2],
               "ciphertext": parts[3], "tag": parts[4]}
    return json.dumps(members)


def altered(parts, at):
    part = parts[at]
    # Not the last character, of which some bits are none of the bytes'.
    other = "A" if part[-3] != "A" else "B"
    return ".".join([*parts[:at], part[:-3] + other + part[-2:], *parts[at + 1:]])


private = json.dumps(jwk(KEY))
good = encrypt(private)
accepted("compact", good)
accepted("compact-a128gcm", encrypt(private, enc="A128GCM"))
accepted("flattened", encrypt(private), flattened)
accepted("general", encrypt(private), general)
accepted("without-a-kid", encrypt(json.dumps(jwk(KEY, kid=None, use=None, alg=None))))
accepted("fewest-iterations", encrypt(private, count=1000))
joserfc_made = jwe.encrypt_compact(
    {"alg": ALGORITHM, "enc": "A256GCM"}, private, OctKey.import_key(PASSWORD), algorithms=[ALGORITHM, "A256GCM"])
accepted("of-joserfc", joserfc_made.split("."))

for name, verdict, text in [
    ("another-password", "WrongPassword", ".".join(encrypt(private, password="wrong"))),
    ("altered-key", "WrongPassword", altered(good, 1)),
    ("altered-iv", "WrongPassword", altered(good, 2)),
    ("altered-ciphertext", "WrongPassword", altered(good, 3)),
    ("altered-tag", "WrongPassword", altered(good, 4)),
    ("another-header", "WrongPassword", ".".join(
        [encode({"alg": ALGORITHM, "enc": "A256GCM", "p2c": 2000,
                 "p2s": json.loads(base64.urlsafe_b64decode(good[0] + "=="))["p2s"]}), *good[1:]])),
    ("too-few-iterations", "UnacceptedIterations", ".".join(encrypt(private, count=999))),
    ("no-iterations", "UnacceptedIterations", ".".join(encrypt(private, count=0))),
    ("too-many-iterations", "UnacceptedIterations", ".".join(
        encrypt(private, count=1000, changes={"p2c": 10_000_001}))),
    ("iterations-beyond-32-bits", "UnacceptedEncryption", ".".join(
        encrypt(private, count=1000, changes={"p2c": 2**32 + 1000}))),
    ("negative-iterations", "UnacceptedEncryption", ".".join(encrypt(private, count=1000, changes={"p2c": -1000}))),
    ("another-algorithm", "UnacceptedEncryption", ".".join(
        encrypt(private, changes={"alg": "PBES2-HS512+A256KW"}))),
    ("no-key-of-its-own", "UnacceptedEncryption", ".".join(encrypt(private, changes={"alg": "dir"}))),
    ("another-encryption", "UnacceptedEncryption", ".".join(encrypt(private, changes={"enc": "A192GCM"}))),
    ("cbc", "UnacceptedEncryption", ".".join(encrypt(private, changes={"enc": "A256CBC-HS512"}))),
    ("compressed", "UnacceptedEncryption", ".".join(encrypt(private, changes={"zip": "DEF"}))),
    ("critical-extension", "UnacceptedEncryption", ".".join(encrypt(private, changes={"crit": ["b64"]}))),
    ("no-salt", "UnacceptedEncryption", ".".join(encrypt(private, changes={"p2s": None}))),
    ("header-twice", "UnacceptedEncryption", ".".join(encrypt(private, header=encode(
        f'{{"alg":"{ALGORITHM}","alg":"{ALGORITHM}","enc":"A256GCM","p2c":2000,"p2s":"{encode(os.urandom(16))}"}}'
        .encode())))),
    ("header-in-a-list", "UnacceptedEncryption", ".".join(encrypt(private, header=encode(
        [ALGORITHM, "A256GCM", 2000, encode(os.urandom(16))])))),
    ("short-salt", "MalformedJwe", ".".join(encrypt(private, salt=os.urandom(7)))),
    ("long-salt", "MalformedJwe", ".".join(encrypt(private, salt=os.urandom(129)))),
    ("key-of-another-length", "MalformedJwe", ".".join(encrypt(private, enc="A128GCM", changes={"enc": "A256GCM"}))),
    ("short-tag", "MalformedJwe", ".".join([*good[:4], good[4][:16]])),
    ("short-iv", "MalformedJwe", ".".join([*good[:2], good[2][:12], *good[3:]])),
    ("four-parts", "MalformedJwe", ".".join(good[:4])),
    ("six-parts", "MalformedJwe", ".".join([*good, ""])),
    ("padded", "MalformedJwe", ".".join([good[0], good[1] + "=", *good[2:]])),
    ("two-recipients", "MalformedJwe", general(good, 2)),
    ("no-recipient", "MalformedJwe", general(good, 0)),
    ("header-of-the-recipient", "MalformedJwe", general(good, header={"p2c": 1000})),
    ("unprotected-header", "MalformedJwe", flattened(good, unprotected={"p2c": 1000})),
    ("additional-data", "MalformedJwe", flattened(good, aad="AAAA")),
    ("flattened-and-general", "MalformedJwe", flattened(good, recipients=[{"encrypted_key": good[1]}])),
    ("member-twice", "MalformedJwe", flattened(good)[:-1] + f',"tag":"{good[4]}"}}'),
    ("empty", "MalformedJwe", ""),
    ("not-encrypted", "MalformedJwe", private),
    ("a-symmetric-key", "Malformed", ".".join(encrypt(json.dumps({"kty": "oct", "k": "AAAA"})))),
    ("a-public-key", "Malformed", ".".join(encrypt(json.dumps(jwk(KEY, d=None))))),
    ("not-json", "Malformed", ".".join(encrypt("password"))),
    ("p384", "UnacceptedKey", ".".join(encrypt(json.dumps(jwk(ec.generate_private_key(ec.SECP384R1())))))),
    ("another-kid", "WrongKeyId", ".".join(encrypt(json.dumps(jwk(KEY, kid="you@example.com"))))),
    ("halves-of-two-keys", "KeyMismatch", ".".join(encrypt(json.dumps(
        jwk(KEY, kid=None) | {"d": jwk(ec.generate_private_key(ec.SECP256R1()))["d"]})))),
]:
    key_vector(name, text, verdict)


# Tokens.

def certificate(subject, key, issuer, issuer_key, ca, days):
    """A certificate below an issuer, or its own."""
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    start = datetime.datetime.fromtimestamp(NOW - 3600, datetime.timezone.utc)
    made = x509.CertificateBuilder(
        name(issuer), name(subject), key.public_key(), x509.random_serial_number(), start,
        start + datetime.timedelta(days=days))
    made = made.add_extension(x509.BasicConstraints(ca, None), critical=True)
    usages = {use: False for use in [
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]}
    made = made.add_extension(
        x509.KeyUsage(**usages | {"key_cert_sign" if ca else "digital_signature": True}), critical=True)
    if not ca:
        made = made.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def chain(key, days=30):
    root_key, issuer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = certificate("issuer", issuer_key, "root", root_key, True, 365)
    leaf = certificate("leaf", key, "issuer", issuer_key, False, days)
    return certificate("root", root_key, "root", root_key, True, 730), [leaf, issuer]


def ca(kind, url="https://ca.example.com:9000"):
    return {"url": url, "fingerprint": hashlib.sha256(b"root").hexdigest(),
            "provisioner": {"type": kind, "name": "countersign"}}


JTI = bytes(range(16))
CSR = hashlib.sha256(b"request").digest()


def token_vector(name, kind, key, order, claims, url="https://ca.example.com:9000"):
    audience = f"{url}/1.0/{order['purpose']}" + ("#x5c/countersign" if kind == "X5C" else "")
    expected = {"iss": "countersign", "aud": audience, "sha": hashlib.sha256(b"root").hexdigest(), "iat": NOW,
                "nbf": NOW, "exp": NOW + 300, "jti": encode(JTI)} | claims
    if kind == "JWK":
        made = jwk(key)
        secret, root = json.dumps(made), None
        header = {"alg": "ES256", "kid": ECKey.import_key(made).thumbprint(), "typ": "JWT"}
    else:
        root, certificates = chain(key)
        text = [made.public_bytes(serialization.Encoding.PEM).decode() for made in certificates]
        secret = json.dumps({"key": pem(key), "chain": "".join(text)})
        header = {"alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256", "typ": "JWT", "x5c": [
            base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode() for made in certificates]}
        root = root.public_bytes(serialization.Encoding.PEM).decode()
    write(f"token-{name}", {
        "ca": ca(kind, url), "key": secret, "order": order, "now": NOW, "random": JTI.hex(), "header": header,
        "claims": expected, "public_key": public_pem(key), "root": root})


P256 = lambda: ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 4096)
SIGN = {"purpose": "sign", "subject": "alice"}
SANS = ["web.example.com", "192.0.2.1", "2001:db8::1", "alice@example.com", "spiffe://example.com/alice"]
for name, kind, key, order, claims in [
    ("jwk", "JWK", P256(), SIGN, {"sub": "alice", "sans": ["alice"]}),
    ("jwk-names", "JWK", P256(), SIGN | {"sans": SANS}, {"sub": "alice", "sans": SANS}),
    ("jwk-request", "JWK", P256(), SIGN | {"csr_sha256": CSR.hex()},
     {"sub": "alice", "sans": ["alice"], "cnf": {"x5rt#S256": encode(CSR)}}),
    ("jwk-revocation", "JWK", P256(), {"purpose": "revoke", "serial": str(2**159)}, {"sub": str(2**159)}),
    ("x5c-p256", "X5C", P256(), SIGN | {"sans": SANS}, {"sub": "alice", "sans": SANS}),
    ("x5c-rsa", "X5C", RSA, SIGN | {"csr_sha256": CSR.hex()},
     {"sub": "alice", "sans": ["alice"], "cnf": {"x5rt#S256": encode(CSR)}}),
    ("x5c-revocation", "X5C", P256(), {"purpose": "revoke", "serial": "7"}, {"sub": "7"}),
]:
    token_vector(name, kind, key, order, claims)
token_vector("jwk-no-port", "JWK", P256(), SIGN, {"sub": "alice", "sans": ["alice"]}, "https://ca.example.com")
