"""Makes the vectors in token/ and ssh/ anew: tokens with `cryptography`, signatures with OpenSSH's agent. Run from here; the
files are then committed.

usage: ../../.tools/client/bin/python generate_token.py
"""

import base64
import hashlib
import hmac
import json
import pathlib
import string
import struct
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
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


def signature(text, key=ISSUER, form=lambda r, s: r.to_bytes(32, "big") + s.to_bytes(32, "big")):
    return form(*utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))))


def token(claims=CLAIMS, head=None, key=ISSUER, padding="", **form):
    text = f"{encode(head or header(key))}.{encode(claims)}{padding}"
    return f"{text}.{encode(signature(text, key, **form))}"


def hs256(secret):
    text = f"{encode(header(alg='HS256'))}.{encode(CLAIMS)}"
    return f"{text}.{encode(hmac.digest(secret, text.encode(), 'sha256'))}"


def spki(encoding):
    return ISSUER.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def without(name):
    return {other: value for other, value in CLAIMS.items() if other != name}


HEAD, BODY, SIGNATURE = token().split(".")
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
# The last of 86 characters has two bits of the signature and four that must be zero.
STRAY = SIGNATURE[:-1] + ALPHABET[ALPHABET.index(SIGNATURE[-1]) | 1]
STANDARD = next(made for made in iter(token, None) if set("-_") & set(made.split(".")[2]))
STANDARD = ".".join([*STANDARD.split(".")[:2], STANDARD.split(".")[2].replace("-", "+").replace("_", "/")])
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
    "accepted-everywhere_v4": (token(CLAIMS | {"ipn": "0.0.0.0/0"}), "203.0.113.9"),
    "accepted-everywhere_v6": (token(CLAIMS | {"ipn": "::/0"}), "2001:db8::1"),
    "accepted-one_address_v6": (token(CLAIMS | {"ipn": "2001:db8::1/128"}), "2001:db8:0::1"),
    "accepted-among_other_keys": token(),
    "malformed-empty": "",
    "malformed-two_parts": f"{HEAD}.{BODY}",
    "malformed-four_parts": f"{HEAD}.{BODY}.{SIGNATURE}.",
    "malformed-signature_with_padding": f"{HEAD}.{BODY}.{SIGNATURE}==",
    "malformed-stray_bits": f"{HEAD}.{BODY}.{STRAY}",
    "malformed-standard_alphabet": STANDARD,
    "malformed-line_end": token() + "\n",
    "malformed-too_large": token(CLAIMS | {"more": "x" * 4096}),
    "wrong_header-none": f"{encode(header(alg='none'))}.{BODY}.",
    "wrong_header-none_without_kid": f"{encode({'alg': 'none'})}.{BODY}.",
    "wrong_header-hs256_with_pem": hs256(spki(serialization.Encoding.PEM)),
    "wrong_header-hs256_with_der": hs256(spki(serialization.Encoding.DER)),
    "wrong_header-rs256": token(head=header(alg="RS256")),
    "wrong_header-es384": token(head=header(alg="ES384")),
    "wrong_header-es256k": token(head=header(alg="ES256K")),
    "wrong_header-eddsa": token(head=header(alg="EdDSA")),
    "wrong_header-lower_case": token(head=header(alg="es256")),
    "wrong_header-no_kid": token(head=header(kid=None)),
    "wrong_header-kid_of_another_form": token(head=header(kid="../key")),
    "wrong_header-kid_as_list": token(head=header(kid=[header()["kid"]])),
    "wrong_header-no_alg": token(head=header(alg=None)),
    "wrong_header-no_typ": token(head=header(typ=None)),
    "wrong_header-typ_null": token(head=header() | {"typ": None}),
    "wrong_header-typ_lower_case": token(head=header(typ="jwt")),
    "wrong_header-at_jwt": token(head=header(typ="at+jwt")),
    "wrong_header-crit": token(head=header(crit=["exp"])),
    "wrong_header-jwk": token(head=header(jwk=jwk(STRANGER)), key=STRANGER),
    "wrong_header-jku": token(head=header(jku="https://example.com/keys")),
    "wrong_header-x5c": token(head=header(x5c=["MIIB"])),
    "wrong_header-x5u": token(head=header(x5u="https://example.com/certificate")),
    "wrong_header-zip": token(head=header(zip="DEF")),
    "wrong_header-cty": token(head=header(cty="JWT")),
    "wrong_header-b64": token(head=header(b64=False)),
    "wrong_header-list": token(head=["ES256", header()["kid"], "JWT"]),
    "wrong_header-twice": f"{encode(TWICE)}.{BODY}.{SIGNATURE}",
    "wrong_header-empty": f".{BODY}.{SIGNATURE}",
    "wrong_header-leading_space": " " + token(),
    "wrong_header-padding": f"{HEAD}=.{BODY}.{SIGNATURE}",
    "unknown_key": token(key=STRANGER),
    "unknown_key-named_by_the_issuer": token(head=header(STRANGER)),
    "wrong_signature-of_another_key": token(head=header(), key=STRANGER),
    "wrong_signature-of_the_older_key": token(head=header(), key=OLDER),
    "wrong_signature-of_a_key_under_another_name": token(head=header(), key=STRANGER),
    "wrong_signature-same_claims_in_other_words": f"{HEAD}.{encode(json.dumps(CLAIMS, indent=1).encode())}.{SIGNATURE}",
    "wrong_signature-altered_claims": f"{HEAD}.{encode(CLAIMS | {'scope': 'root'})}.{SIGNATURE}",
    "wrong_signature-altered_header": f"{encode(dict(reversed(header().items())))}.{BODY}.{SIGNATURE}",
    "wrong_signature-altered": f"{HEAD}.{BODY}.{('B' if SIGNATURE[0] == 'A' else 'A') + SIGNATURE[1:]}",
    "wrong_signature-none": f"{HEAD}.{BODY}.",
    "wrong_signature-der": token(form=utils.encode_dss_signature),
    "wrong_signature-zero": token(form=lambda r, s: bytes(64)),
    "wrong_signature-short": token(form=lambda r, s: r.to_bytes(32, "big") + s.to_bytes(32, "big")[:-1]),
    "wrong_signature-long": token(form=lambda r, s: r.to_bytes(33, "big") + s.to_bytes(33, "big")),
    **{f"wrong_claims-without_{name}": token(without(name)) for name in CLAIMS},
    "wrong_claims-list": token(list(CLAIMS.values())),
    "wrong_claims-text": token(b'"text"'),
    "wrong_claims-twice": token(json.dumps(CLAIMS)[:-1].encode() + b', "sub": "root"}'),
    "wrong_claims-trailing": token(json.dumps(CLAIMS).encode() + b"{}"),
    "wrong_claims-not_utf8": token(json.dumps(CLAIMS).replace("web", "w\u00e9b").encode("latin-1")[:-1] + b"\xff}"),
    "wrong_claims-padding": token(padding="="),
    **{f"wrong_claims-{name}_{form}": token(CLAIMS | {name: value}) for name in ("iat", "exp") for form, value in {
        "float": NOW + 0.5, "whole_float": float(NOW + 10), "text": str(NOW + 10), "negative": -1, "null": None,
        "past_64_bits": 1 << 64}.items()},
    "wrong_claims-exponent": token(json.dumps(CLAIMS | {"exp": "x"}).replace('"x"', "19e8").encode()),
    "wrong_claims-issuer_as_number": token(CLAIMS | {"iss": 1}),
    "wrong_claims-issuer_as_list": token(CLAIMS | {"iss": ["countersign"]}),
    "wrong_claims-subject_null": token(CLAIMS | {"sub": None}),
    "wrong_claims-networks_as_list": token(CLAIMS | {"ipn": ["192.0.2.0/24"]}),
    "wrong_claims-network_with_zone": token(CLAIMS | {"ipn": "fe80::%eth0/10"}),
    "wrong_claims-network_empty": token(CLAIMS | {"ipn": ""}),
    "wrong_claims-host_bits": token(CLAIMS | {"ipn": "192.0.2.7/24"}),
    "wrong_claims-no_prefix": token(CLAIMS | {"ipn": "192.0.2.7"}),
    "wrong_claims-leading_zero": token(CLAIMS | {"ipn": "192.0.02.0/24"}),
    "wrong_claims-prefix_too_long": token(CLAIMS | {"ipn": "192.0.2.0/33"}),
    "wrong_claims-scope_as_list": token(CLAIMS | {"scope": ["things:read"]}),
    "wrong_claims-scope_with_two_spaces": token(CLAIMS | {"scope": "a  b"}),
    "wrong_claims-nonce": token({"client_id": "a", "nonce": "b", "state": "c"}),
    "not_yet_valid": token(CLAIMS | {"iat": NOW + 31}),
    "expired": token(CLAIMS | {"exp": NOW - 1}),
    "expired-at_zero": token(CLAIMS | {"exp": 0}),
    "expired-before_it_was_issued": token(CLAIMS | {"iat": NOW + 30, "exp": NOW - 30}),
    "expired-this_second": token(CLAIMS | {"exp": NOW}),
    "wrong_network": (token(), "192.0.3.1"),
    "wrong_network-mapped_address": (token(), "::ffff:192.0.3.1"),
    "wrong_network-v6_in_all_of_v4": (token(CLAIMS | {"ipn": "0.0.0.0/0"}), "2001:db8::1"),
    "wrong_network-v6_caller": (token(), "2001:db8::1"),
    "wrong_network-all_of_v6": token(CLAIMS | {"ipn": "::/0"}),
}


def key_sets(name):
    """The issuer's keys, in one of their forms."""
    if name.endswith("older_key"):
        return JWKS["keys"]
    if name.endswith("another_name"):
        return {"keys": [jwk(STRANGER) | {"kid": jwk(ISSUER)["kid"]}, *JWKS["keys"]]}
    if name.endswith("among_other_keys"):
        others = [ECKey.generate_key("P-384").as_dict(private=False), {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "EC"}, "key",
                  *(jwk(STRANGER) | change for change in ({"use": "enc"}, {"alg": "ES384"}, {"crv": "P-384"}, {"x": "AA"}))]
        return {"keys": [*others, *JWKS["keys"]]}
    return JWKS


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
    return b"".join(text(number.to_bytes(number.bit_length() // 8 + 1, "big") if number else b"") for number in (r, s))


def altered(blob, index, mask=1):
    blob = bytearray(blob)
    blob[index] ^= mask
    return bytes(blob)


def line(blob):
    """A key of this blob as a line of authorized_keys."""
    return f"{kind_of(blob)} {base64.b64encode(blob).decode()}"


def kind_of(blob):
    (length,) = struct.unpack(">I", blob[:4])
    return blob[4:4 + length].decode()


def rsa_signatures(key, sign):
    by = {256: parts(sign(key, 2))[1], 512: parts(sign(key, 4))[1]}
    sha1 = parts(sign(key, 0))[1]
    for bits, other in ((256, 512), (512, 256)):
        name = text(f"rsa-sha2-{bits}".encode())
        yield f"wrong_signature-sha1_called_{bits}", key, name + text(sha1), None
        yield f"wrong_signature-{other}_called_{bits}", key, name + text(by[other]), None
    name = text(b"rsa-sha2-512")
    changes = {"no_bytes": b"", "short": by[512][:-1], "long": b"\0" + by[512], "zero": bytes(384), "one": b"\1"}
    for changed, signature in changes.items():
        yield f"wrong_signature-rsa_{changed}", key, name + text(signature), None
    yield "malformed-rsa_384", key, text(b"rsa-sha2-384") + text(by[512]), None
    # Some agents leave out leading zeros.
    count = 0
    while True:
        message = MESSAGE + str(count).encode()
        signature = parts(sign(key, 4, message))[1]
        if signature[0] == 0:
            break
        count += 1
    yield "accepted-rsa-zero_first", key, name + text(signature), [False, False], message
    yield "accepted-rsa-zero_left_out", key, name + text(signature.lstrip(b"\0")), [False, False], message
    # Whose exponent is 1, his signatures are the padding itself.
    modulus = key.blob[-384:]
    prefix = bytes.fromhex("3051300d060960864801650304020305000440")
    padded = prefix + hashlib.sha512(MESSAGE).digest()
    padded = b"\0\1" + b"\xff" * (384 - 3 - len(padded)) + b"\0" + padded
    identity = text(b"ssh-rsa") + text(b"\1") + text(b"\0" + modulus)
    yield "wrong_signature-rsa_exponent_1", line(identity), name + text(padded), None


def signatures(agent, folder):
    """Name: the key, the signature, what a security key said (touched, verified), and another message than the usual one."""
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
        yield f"accepted-{kind}".replace("=ssh:", "_"), key, sign(key), ["no-touch" not in kind, "verify" in kind]
    yield "sha1", made["rsa"], sign(made["rsa"], 0), None
    ed25519, sk = made["ed25519"], made["ed25519-sk"]
    yield "wrong_signature-another_message", ed25519, sign(ed25519, message=b"another"), None
    yield "wrong_signature-another_key", ed25519, sign(stranger), None
    for kind, blob in plain.items():
        name, signature, rest = parts(blob)
        yield f"wrong_signature-altered-{kind}", made[kind], text(name) + text(altered(signature, 20)) + rest, None
        yield f"malformed-trailing-{kind}", made[kind], blob + b"\0", None
        yield f"malformed-cut-{kind}", made[kind], blob[:-1], None
    for kind in ("ed25519-sk", "ecdsa-sk"):
        yield f"wrong_signature-touched_{kind}", made[kind], altered(plain[kind], -5, 1), None
        yield f"wrong_signature-verified_{kind}", made[kind], altered(plain[kind], -5, 4), None
        yield f"wrong_signature-counter_{kind}", made[kind], altered(plain[kind], -1), None
        yield f"malformed-no_trailer_{kind}", made[kind], plain[kind][:-5], None
        elsewhere = made[kind].blob.replace(text(b"ssh:"), text(b"ssh:other"))
        yield f"wrong_signature-application_{kind}", line(elsewhere), plain[kind], None
    untouched = sks["ed25519-sk-no-touch-required"]
    yield "wrong_signature-untouched_made_touched", untouched, altered(sign(untouched), -5, 1), None
    yield "malformed-trailer_of_a_plain_key", ed25519, plain["ed25519"] + b"\1\0\0\0\0", None
    yield "malformed-empty", ed25519, b"", None
    yield "malformed-beyond_the_end", ed25519, text(b"ssh-ed25519") + b"\xff\xff\xff\xff" + bytes(64), None
    yield "malformed-name_alone", ed25519, text(b"ssh-ed25519"), None
    yield "malformed-name_not_utf8", ed25519, text(b"ssh-\xff") + text(bytes(64)), None
    _, signature, _ = parts(plain["ed25519"])
    for name, changed in (("no_bytes", b""), ("short", signature[:-1]), ("long", signature + b"\0"), ("zero", bytes(64))):
        yield f"wrong_signature-ed25519_{name}", ed25519, text(b"ssh-ed25519") + text(changed), None
    yield from rsa_signatures(made["rsa"], sign)
    yield "malformed-garbage", ed25519, b"garbage", None
    name, signature, _ = parts(plain["ecdsa-256"])
    length = struct.unpack(">I", signature[:4])[0]
    r, s = (int.from_bytes(signature[4:4 + length], "big"), int.from_bytes(signature[8 + length:], "big"))
    ecdsa = made["ecdsa-256"]
    negative = text(b"\x80" + bytes(31)) + text(b"\x01")
    yield "malformed-negative", ecdsa, text(name) + text(negative), None
    yield "malformed-not_the_shortest", ecdsa, text(name) + text(text(b"\0") + text(b"\1")), None
    yield "malformed-too_long", ecdsa, text(name) + text(mpints(r << 8, s)), None
    longer = text(b"\0" + signature[4:4 + length]) + signature[4 + length:]
    yield "malformed-zero_before_a_number", ecdsa, text(name) + text(longer), None
    yield "malformed-one_number", ecdsa, text(name) + text(signature[:4 + length]), None
    yield "wrong_signature-largest_numbers", ecdsa, text(name) + text(mpints((1 << 256) - 1, (1 << 256) - 1)), None
    yield "wrong_signature-ones", ecdsa, text(name) + text(mpints(1, 1)), None
    yield "wrong_signature-exchanged", ecdsa, text(name) + text(mpints(s, r)), None
    yield "malformed-three_numbers", ecdsa, text(name) + text(signature + text(b"\x01")), None
    yield "malformed-zero", ecdsa, text(name) + text(mpints(0, 0)), None
    yield "wrong_algorithm-another_keys", ed25519, plain["ecdsa-256"], None
    yield "wrong_algorithm-curve", ecdsa, plain["ecdsa-384"], None
    _, signature, _ = parts(plain["ed25519"])
    for called, name in {"certificate": b"ssh-ed25519-cert-v01@openssh.com", "unheard_of": b"ssh-ed25519@example.com",
                         "rsa": b"rsa-sha2-512"}.items():
        yield f"wrong_algorithm-{called}", ed25519, text(name) + text(signature), None
    yield "wrong_algorithm-sk_for_plain", ed25519, plain["ed25519-sk"][:-5], None
    yield "wrong_algorithm-plain_for_sk", sk, plain["ed25519"] + plain["ed25519-sk"][-5:], None
    name, signature, trailer = parts(plain["ecdsa-sk"])
    webauthn = text(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com")
    yield "wrong_algorithm-webauthn", made["ecdsa-sk"], webauthn + text(signature) + trailer, None
    yield "wrong_algorithm-plain_ecdsa_for_sk", made["ecdsa-sk"], text(b"ecdsa-sha2-nistp256") + text(signature) + trailer, None


def refused_keys(folder):
    """Name: a line that is no key here."""
    for name, command in (("p521", ["-t", "ecdsa", "-b", "521"]), ("rsa_1024", ["-t", "rsa", "-b", "1024"])):
        path = folder / name
        done = subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "", "-f", path, *command], capture_output=True)
        if done.returncode:
            weak = rsa.generate_private_key(65537, 1024).public_key()
            yield name, weak.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        else:
            yield name, path.with_suffix(".pub").read_text().strip()
    authority = ssh.make_key(folder, "ed25519", comment="")
    for kind in ssh.KINDS:
        subject = ssh.make_key(folder, kind, comment="")
        subprocess.run(["ssh-keygen", "-q", "-s", authority.path, "-I", "id", f"{subject.path}.pub"], check=True)
        yield f"certificate_{kind}", pathlib.Path(f"{subject.path}-cert.pub").read_text().strip()
    large = text(b"ssh-rsa") + text(b"\1\0\1") + text(b"\x7f" * 1040)
    yield "rsa_8320", line(large)
    yield "rsa_negative", line(text(b"ssh-rsa") + text(b"\1\0\1") + text(b"\xff" * 256))
    dsa = text(b"ssh-dss") + b"".join(text(b"\x7f" * length) for length in (128, 20, 128, 128))
    yield "dsa", line(dsa)
    blob = authority.blob
    yield "type_of_another", f"ssh-rsa {base64.b64encode(blob).decode()}"
    yield "trailing", line(blob + b"\0")
    yield "cut", line(blob[:-1])
    yield "type_alone", "ssh-ed25519"
    yield "empty", ""


def write(folder, name, vector):
    (here / folder / f"{name}.json").write_text(json.dumps({"verdict": name.split("-")[0]} | vector, indent=1) + "\n")


for old in (*(here / "token").glob("*.json"), *(here / "ssh").glob("*.json")):
    old.unlink()
count = 0
for name, made in TOKENS.items():
    made, address = made if isinstance(made, tuple) else (made, "192.0.2.7")
    write("token", name, {"now": NOW, "address": address, "token": made, "jwks": key_sets(name)})
    count += 1
with tempfile.TemporaryDirectory() as folder, ssh.Agent() as agent:
    folder = pathlib.Path(folder)
    for name, key, blob, said, *message in signatures(agent, folder):
        public = getattr(key, "public", key)
        message = (message or [MESSAGE])[0].decode()
        vector = {"key": public, "message": message, "signature": base64.b64encode(blob).decode()}
        write("ssh", name, vector | ({} if said is None else {"user_present": said[0], "user_verified": said[1]}))
        count += 1
    for name, key in refused_keys(folder):
        write("ssh", f"refused_key-{name}", {"key": key})
        count += 1
print(f"{count} vectors")
