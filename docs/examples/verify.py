"""Verifies an access token from standard input: python verify.py JWKS_URL ISSUER CALLER_ADDRESS, with joserfc from PyPI."""

import ipaddress
import json
import sys
import urllib.request

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet


def verify(token, keys, issuer, address):
    """The claims of a token that is valid for a caller at this address."""
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    required = {name: {"essential": True} for name in ("sub", "iat", "exp", "ipn", "ses")}
    # A token may be for nothing in particular.
    required |= {"iss": {"essential": True, "value": issuer}, "scope": {"essential": True, "allow_blank": True}}
    jwt.JWTClaimsRegistry(leeway=0, **required).validate(decoded.claims)
    address = ipaddress.ip_address(address)
    # An IPv4 caller on an IPv6 socket.
    address = getattr(address, "ipv4_mapped", None) or address
    if address not in ipaddress.ip_network(decoded.claims["ipn"]):
        raise ValueError("not given to this network")
    return decoded.claims


if __name__ == "__main__":
    url, issuer, address = sys.argv[1:]
    # A service keeps the keys for the answer's max-age, and asks again for a kid that it does not know.
    with urllib.request.urlopen(url, timeout=10) as answer:
        keys = KeySet.import_key_set(json.load(answer))
    try:
        print(json.dumps(verify(sys.stdin.read().strip(), keys, issuer, address)))
    except (JoseError, ValueError) as error:
        sys.exit(f"refused: {error}")
