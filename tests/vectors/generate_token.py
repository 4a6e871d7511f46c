"""Makes the vectors in token/ and ssh/ anew: tokens with `cryptography`, signatures with OpenSSH's agent. Run from here; the
files are then committed.

usage: ../../.tools/client/bin/python generate_token.py
"""

import base64
import hashlib
import hmac
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from joserfc.jwk import ECKey

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here.parent / "e2e"))
import ssh  # noqa: E402

NOW = 1_800_000_000
KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
ISSUER, OLDER, STRANGER = KEYS


def jwk(key):
    made = ECKey.import_key(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return made.as_dict(private=False) | {"use": "sig", "alg": "ES256", "kid": made.thumbprint()}


JWKS = {"keys": [jwk(ISSUER), jwk(OLDER)]}
CLAIMS = {
    "iss": "countersign", "sub": "group:web", "iat": NOW - 60, "exp": NOW + 600, "ipn": "192.0.2.0/24",
    "ses": "c2Vzc2lvbi1zZXNzaW9uLXNlc3Npb24tc2Vzc2lvbi0", "scope": "things:read"}


def encode(value):
    value = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def header(key=ISSUER, **changes):
    made = {"alg": "ES256", "kid": jwk(key)["kid"], "typ": "JWT"} | changes
    return {name: value for name, value in made.items() if value is not None}


def signature(text, key=ISSUER, form=lambda r, s: r.to_bytes(32) + s.to_bytes(32)):
    return form(*utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))))


def token(claims=CLAIMS, head=None, key=ISSUER, **form):
    text = f"{encode(head or header(key))}.{encode(claims)}"
    return f"{text}.{encode(signature(text, key, **form))}"


def hs256(secret):
    text = f"{encode(header(alg='HS256'))}.{encode(CLAIMS)}"
    return f"{text}.{encode(hmac.digest(secret, text.encode(), 'sha256'))}"


def spki(encoding):
    return ISSUER.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def without(name):
    return {other: value for other, value in CLAIMS.items() if other != name}


HEAD, BODY, SIGNATURE = token().split(".")
TWICE = json.dumps(header())[:-1].encode() + b', "alg": "none"}'
# Name: the token, and where it is used if not at 192.0.2.7.
TOKENS = {
    "accepted": token(),
    "accepted-older_key": token(key=OLDER),
    "accepted-claim_more": token(CLAIMS | {"more": [1]}),
    "accepted-empty_scope": token(CLAIMS | {"scope": ""}),
    "accepted-mapped_address": (token(), "::ffff:192.0.2.9"),
    "accepted-v6": (token(CLAIMS | {"ipn": "2001:db8::/32"}), "2001:db8:1::1"),
    "accepted-mapped_network": token(CLAIMS | {"ipn": "::ffff:192.0.2.0/120"}),
    "accepted-clock_behind_within_leeway": token(CLAIMS | {"iat": NOW + 30}),
    "accepted-last_second": token(CLAIMS | {"exp": NOW + 1}),
    "malformed-empty": "",
    "malformed-two_parts": f"{HEAD}.{BODY}",
    "malformed-four_parts": f"{HEAD}.{BODY}.{SIGNATURE}.",
    "malformed-signature_with_padding": f"{HEAD}.{BODY}.{SIGNATURE}==",
    "malformed-too_large": token(CLAIMS | {"more": "x" * 4096}),
    "wrong_header-none": f"{encode(header(alg='none'))}.{BODY}.",
    "wrong_header-none_without_kid": f"{encode({'alg': 'none'})}.{BODY}.",
    "wrong_header-hs256_with_pem": hs256(spki(serialization.Encoding.PEM)),
    "wrong_header-hs256_with_der": hs256(spki(serialization.Encoding.DER)),
    "wrong_header-rs256": token(head=header(alg="RS256")),
    "wrong_header-es384": token(head=header(alg="ES384")),
    "wrong_header-lower_case": token(head=header(alg="es256")),
    "wrong_header-no_kid": token(head=header(kid=None)),
    "wrong_header-kid_of_another_form": token(head=header(kid="../key")),
    "wrong_header-no_typ": token(head=header(typ=None)),
    "wrong_header-at_jwt": token(head=header(typ="at+jwt")),
    "wrong_header-crit": token(head=header(crit=["exp"])),
    "wrong_header-jwk": token(head=header(jwk=jwk(STRANGER)), key=STRANGER),
    "wrong_header-jku": token(head=header(jku="https://example.com/keys")),
    "wrong_header-b64": token(head=header(b64=False)),
    "wrong_header-list": token(head=["ES256", header()["kid"], "JWT"]),
    "wrong_header-twice": f"{encode(TWICE)}.{BODY}.{SIGNATURE}",
    "wrong_header-padding": f"{HEAD}=.{BODY}.{SIGNATURE}",
    "unknown_key": token(key=STRANGER),
    "wrong_signature-of_another_key": token(head=header(), key=STRANGER),
    "wrong_signature-altered_claims": f"{HEAD}.{encode(CLAIMS | {'scope': 'root'})}.{SIGNATURE}",
    "wrong_signature-altered_header": f"{encode(dict(reversed(header().items())))}.{BODY}.{SIGNATURE}",
    "wrong_signature-altered": f"{HEAD}.{BODY}.{('B' if SIGNATURE[0] == 'A' else 'A') + SIGNATURE[1:]}",
    "wrong_signature-none": f"{HEAD}.{BODY}.",
    "wrong_signature-der": token(form=utils.encode_dss_signature),
    "wrong_signature-zero": token(form=lambda r, s: bytes(64)),
    "wrong_signature-short": token(form=lambda r, s: r.to_bytes(32) + s.to_bytes(32)[:-1]),
    "wrong_signature-long": token(form=lambda r, s: r.to_bytes(33) + s.to_bytes(33)),
    **{f"wrong_claims-without_{name}": token(without(name)) for name in CLAIMS},
    "wrong_claims-list": token(list(CLAIMS.values())),
    "wrong_claims-text": token(b'"text"'),
    "wrong_claims-twice": token(json.dumps(CLAIMS)[:-1].encode() + b', "sub": "root"}'),
    "wrong_claims-float": token(CLAIMS | {"exp": NOW + 0.5}),
    "wrong_claims-time_as_text": token(CLAIMS | {"exp": str(NOW + 600)}),
    "wrong_claims-negative": token(CLAIMS | {"iat": -1}),
    "wrong_claims-host_bits": token(CLAIMS | {"ipn": "192.0.2.7/24"}),
    "wrong_claims-no_prefix": token(CLAIMS | {"ipn": "192.0.2.7"}),
    "wrong_claims-leading_zero": token(CLAIMS | {"ipn": "192.0.02.0/24"}),
    "wrong_claims-prefix_too_long": token(CLAIMS | {"ipn": "192.0.2.0/33"}),
    "wrong_claims-scope_as_list": token(CLAIMS | {"scope": ["things:read"]}),
    "wrong_claims-scope_with_two_spaces": token(CLAIMS | {"scope": "a  b"}),
    "wrong_claims-nonce": token({"client_id": "a", "nonce": "b", "state": "c"}),
    "not_yet_valid": token(CLAIMS | {"iat": NOW + 31}),
    "expired": token(CLAIMS | {"exp": NOW - 1}),
    "expired-this_second": token(CLAIMS | {"exp": NOW}),
    "wrong_network": (token(), "192.0.3.1"),
    "wrong_network-v6_caller": (token(), "2001:db8::1"),
    "wrong_network-all_of_v6": token(CLAIMS | {"ipn": "::/0"}),
}

MESSAGE = b"1uVAXelfQrgZqeshmAnctA-----BEGIN PUBLIC KEY-----\n"


def text(value):
    return struct.pack(">I", len(value)) + value


def parts(blob):
    """Algorithm, signature, and what comes after it."""
    length = struct.unpack(">I", blob[:4])[0]
    name, rest = blob[4:4 + length], blob[4 + length:]
    length = struct.unpack(">I", rest[:4])[0]
    return name, rest[4:4 + length], rest[4 + length:]


def mpints(r, s):
    return b"".join(text(number.to_bytes(number.bit_length() // 8 + 1) if number else b"") for number in (r, s))


def altered(blob, index, mask=1):
    blob = bytearray(blob)
    blob[index] ^= mask
    return bytes(blob)


def signatures(agent, folder):
    """Name: the key's line, the signature, and what a security key said: touched, verified."""
    made = {kind: ssh.make_key(folder, kind, comment="") for kind in ssh.KINDS}
    stranger = ssh.make_key(folder, "ed25519", comment="")
    sks = {
        f"{kind}{''.join(f'-{option}' for option in options)}": ssh.make_key(folder, kind, comment="", options=options)
        for kind in ("ed25519-sk", "ecdsa-sk")
        for options in (["no-touch-required"], ["verify-required"], ["no-touch-required", "verify-required"],
                        ["application=ssh:other"])}
    for key in (*made.values(), *sks.values(), stranger):
        agent.add(key)

    def sign(key, flags=0, message=MESSAGE):
        return ssh.sign(agent, key, message, flags)

    plain = {kind: sign(key, 4) for kind, key in made.items()}
    for kind, blob in plain.items():
        yield f"accepted-{kind}", made[kind], blob, [kind.endswith("-sk"), False]
    yield "accepted-rsa-sha256", made["rsa"], sign(made["rsa"], 2), [False, False]
    for kind, key in sks.items():
        yield f"accepted-{kind}", key, sign(key), ["no-touch" not in kind, "verify" in kind]
    yield "sha1", made["rsa"], sign(made["rsa"], 0), None
    ed25519, sk = made["ed25519"], made["ed25519-sk"]
    yield "wrong_signature-another_message", ed25519, sign(ed25519, message=b"another"), None
    yield "wrong_signature-another_key", ed25519, sign(stranger), None
    for kind, blob in plain.items():
        name, signature, rest = parts(blob)
        yield f"wrong_signature-altered-{kind}", made[kind], text(name) + text(altered(signature, 20)) + rest, None
        yield f"malformed-trailing-{kind}", made[kind], blob + b"\0", None
        yield f"malformed-cut-{kind}", made[kind], blob[:-1], None
    yield "wrong_signature-flags", sk, altered(plain["ed25519-sk"], -5, 4), None
    yield "wrong_signature-counter", sk, altered(plain["ed25519-sk"], -1), None
    yield "malformed-no_trailer", sk, plain["ed25519-sk"][:-5], None
    yield "malformed-trailer_of_a_plain_key", ed25519, plain["ed25519"] + b"\1\0\0\0\0", None
    yield "malformed-empty", ed25519, b"", None
    yield "malformed-garbage", ed25519, b"garbage", None
    name, signature, _ = parts(plain["ecdsa-256"])
    length = struct.unpack(">I", signature[:4])[0]
    r, s = (int.from_bytes(signature[4:4 + length]), int.from_bytes(signature[8 + length:]))
    ecdsa = made["ecdsa-256"]
    negative = text(b"\x80" + bytes(31)) + text(b"\x01")
    yield "malformed-negative", ecdsa, text(name) + text(negative), None
    yield "malformed-not_the_shortest", ecdsa, text(name) + text(text(b"\0") + text(b"\1")), None
    yield "malformed-too_long", ecdsa, text(name) + text(mpints(r << 8, s)), None
    yield "malformed-three_numbers", ecdsa, text(name) + text(signature + text(b"\x01")), None
    yield "malformed-zero", ecdsa, text(name) + text(mpints(0, 0)), None
    yield "wrong_algorithm-another_keys", ed25519, plain["ecdsa-256"], None
    yield "wrong_algorithm-curve", ecdsa, plain["ecdsa-384"], None
    yield "wrong_algorithm-plain_for_sk", ed25519, text(b"ssh-ed25519-cert-v01@openssh.com") + text(parts(plain["ed25519"])[1]), None


def refused_keys(folder):
    """Name: a line that is no key here."""
    for name, command in (("p521", ["-t", "ecdsa", "-b", "521"]), ("rsa_1024", ["-t", "rsa", "-b", "1024"])):
        path = folder / name
        done = subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "", "-f", path, *command], capture_output=True)
        if done.returncode:
            from cryptography.hazmat.primitives.asymmetric import rsa

            weak = rsa.generate_private_key(65537, 1024).public_key()
            yield name, weak.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        else:
            yield name, path.with_suffix(".pub").read_text().strip()
    authority, subject = (ssh.make_key(folder, "ed25519", comment="") for _ in range(2))
    subprocess.run(["ssh-keygen", "-q", "-s", authority.path, "-I", "id", f"{subject.path}.pub"], check=True)
    yield "certificate", pathlib.Path(f"{subject.path}-cert.pub").read_text().strip()


def write(folder, name, vector):
    (here / folder / f"{name}.json").write_text(json.dumps({"verdict": name.split("-")[0]} | vector, indent=1) + "\n")


for old in (*(here / "token").glob("*.json"), *(here / "ssh").glob("*.json")):
    old.unlink()
count = 0
for name, made in TOKENS.items():
    made, address = made if isinstance(made, tuple) else (made, "192.0.2.7")
    keys = JWKS["keys"] if name.endswith("older_key") else JWKS
    write("token", name, {"now": NOW, "address": address, "token": made, "jwks": keys})
    count += 1
with tempfile.TemporaryDirectory() as folder, ssh.Agent() as agent:
    folder = pathlib.Path(folder)
    for name, key, blob, said in signatures(agent, folder):
        vector = {"key": key.public, "message": MESSAGE.decode(), "signature": base64.b64encode(blob).decode()}
        write("ssh", name, vector | ({} if said is None else {"user_present": said[0], "user_verified": said[1]}))
        count += 1
    for name, line in refused_keys(folder):
        write("ssh", f"refused_key-{name}", {"key": line})
        count += 1
print(f"{count} vectors")
