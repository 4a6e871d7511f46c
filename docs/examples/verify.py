"""Verifies an access token from standard input: python verify.py JWKS_URL ISSUER CALLER_ADDRESS, with joserfc from PyPI."""

import ipaddress
import json
import sys
import time
import urllib.request

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet


def verify(token, keys, issuer, address):
    """The claims of a token that is valid for a caller at this address."""
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    claims = decoded.claims
    required = {name: {"essential": True} for name in ("sub", "exp", "ipn", "ses")}
    # A token may be for nothing in particular.
    required |= {"iss": {"essential": True, "value": issuer}, "scope": {"essential": True, "allow_blank": True}}
    jwt.JWTClaimsRegistry(leeway=0, **required).validate({name: claims[name] for name in claims if name != "iat"})
    # Clocks may differ by half a minute where a token is new.
    if not isinstance(claims.get("iat"), int) or claims["iat"] > time.time() + 30:
        raise ValueError("not yet valid")
    address = ipaddress.ip_address(address)
    # An IPv4 caller on an IPv6 socket.
    address = getattr(address, "ipv4_mapped", None) or address
    if address not in ipaddress.ip_network(claims["ipn"]):
        raise ValueError("not given to this network")
    return claims


if __name__ == "__main__":
    url, issuer, address = sys.argv[1:]
    # A service keeps the keys for the answer's max-age, and asks again for a kid that it does not know.
    with urllib.request.urlopen(url, timeout=10) as answer:
        keys = KeySet.import_key_set(json.load(answer))
    try:
        print(json.dumps(verify(sys.stdin.read().strip(), keys, issuer, address)))
    except (JoseError, ValueError) as error:
        sys.exit(f"refused: {error}")
