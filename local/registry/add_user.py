"""Makes the registry's user and prints the environment that its token is in. Called by local/registry/start."""

import json
import secrets
import sys
import urllib.request

registry = sys.argv[1]
user = {"name": "tests", "password": secrets.token_urlsafe(24), "type": "user", "roles": []}
request = urllib.request.Request(
    f"{registry}-/user/org.couchdb.user:tests", method="PUT", data=json.dumps(user).encode(),
    headers={"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=30) as answer:
    print(f"export NPM_REGISTRY={registry} NPM_TOKEN={json.load(answer)['token']}")
