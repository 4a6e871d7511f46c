"""Any JOSE library verifies a token from /.well-known/jwks.json: the documentation's examples, as they stand there."""

import json
import pathlib
import subprocess
import sys

import pytest

import token_client
from stack import STACK
from test_token import forgeries

ROOT = pathlib.Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs/examples"
# Installs jose as locked, and gives the command of the example with it.
INSTALL = f"""
source {ROOT}/scripts/lib.sh
use node >&2
mkdir -p "$tools/jose"
if ! cmp -s {ROOT}/tests/e2e/node/package-lock.json "$tools/jose/package-lock.json"; then
  cp {ROOT}/tests/e2e/node/package*.json "$tools/jose"
  NODE_OPTIONS=--use-system-ca npm ci --prefix "$tools/jose" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
fi
cp {EXAMPLES}/verify.mjs "$tools/jose"
printf '%s\\n%s' "$(command -v node)" "$tools/jose/verify.mjs"
"""


@pytest.fixture(scope="module")
def node():
    return subprocess.run(["bash", "-c", INSTALL], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")


@pytest.fixture(params=["joserfc", "jose"])
def verify(request, stack):
    command = [sys.executable, EXAMPLES / "verify.py"] if request.param == "joserfc" else request.getfixturevalue("node")
    # The same API under an address that every resolver knows.
    host, port = stack.url.split("/")[2].split(":")
    url = f"http://127.0.0.1:{port}/restapis/{host.split('.')[0]}/prod/_user_request_/.well-known/jwks.json"

    def run(token, issuer=STACK, address="127.0.0.1"):
        done = subprocess.run([*command, url, issuer, address], input=token, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or (done.returncode == 1 and done.stderr.startswith("refused: ")), done.stderr
        return json.loads(done.stdout) if done.returncode == 0 else None

    return run


def test_a_token_is_verified_by_other_libraries(stack, known_key, verify):
    token = token_client.get_token(stack, *known_key)
    assert verify(token) == token_client.claims(stack, token)[1]
    assert verify(token, address="::ffff:127.0.0.1")
    assert verify(token, issuer="another") is None
    assert verify(token, address="127.0.0.2") is None and verify(token, address="::1") is None
    head, body, signature = token.split(".")
    assert verify(f"{head}.{body}.{('B' if signature[0] == 'A' else 'A') + signature[1:]}") is None
    assert verify(f"{token_client.b64(json.dumps({'alg': 'none'}).encode()).rstrip('=')}.{body}.") is None


# Python and Node read networks and lists more leniently; the issuer makes none of these.
LENIENT = {"host bits", "an address for a network", "a list for claims"}


def test_what_is_wrong_with_a_token_other_libraries_find_too(stack, known_key, verify):
    stack.end_tokens()
    token = token_client.get_token(stack, *known_key)
    for name, forged, expected in forgeries(stack, token):
        # What a header says more, and what is missing of claims that are not asked for, is the broker's own strictness.
        if forged and name not in LENIENT and not name.startswith("header "):
            assert (verify(forged) is not None) == expected, name


def test_tokens_of_both_live_keys_are_verified(stack, known_key, verify):
    old = token_client.get_token(stack, *known_key)
    network = stack.issue({"network": "127.0.0.0/8", "seconds": 60})["access_token"]
    stack.rotate()
    stack.restart("token")
    assert verify(old) and verify(network, address="127.9.9.9")
