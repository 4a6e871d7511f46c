"""The resources that an IoT request is checked on, after the Service Authorization Reference of AWS IoT.

An action without a resource type there is checked on `*`, which nothing but the resource `*` of a policy allows.
"""

import json
import re

from ministack.core import iam_actions

from iot import private_ca

# Actions without a resource type whose paths name something.
ON_NOTHING = re.compile(r"/things/[^/]+/principals(-v2)?|/attached-policies/.+|/principals/things(-v2)?"
                        r"|/thing-registration-tasks(/.*)?")
ON_NAME = [
    (re.compile(r"/cacertificate/([^/]+)"), "cacert"),
    (re.compile(r"/policy-targets/([^/]+)"), "policy"),
    (re.compile(r"/billing-groups/([^/]+)"), "billinggroup"),
]
ministacks = iam_actions.extract_resource_arn


def first(method, path, headers, body, region, account):
    """The resource of a request that ministack would check on another one, or None."""
    if ON_NOTHING.fullmatch(path):
        return "*"
    for pattern, kind in ON_NAME:
        if named := pattern.fullmatch(path):
            return f"arn:aws:iot:{region}:{account}:{kind}/{named[1]}"
    # The certificate or thing group that a policy is attached to; the policy itself is not asked for.
    if path.startswith("/target-policies/"):
        return target(body)
    if path.startswith("/principal-policies/"):
        return headers.get("x-amzn-iot-principal") or "*"
    return None


def target(body):
    try:
        named = json.loads(body or b"{}")["target"]
    except (ValueError, KeyError, TypeError):
        return "*"
    return named if isinstance(named, str) and named.startswith("arn:") else "*"


def extract_resource_arn(service, method, path, headers, body, query_params, region, account_id):
    if service == private_ca.SERVICE:
        return private_ca.resource(body)
    found = first(method, path, headers or {}, body, region, account_id) if service == "iot" else None
    return found or ministacks(service, method, path, headers, body, query_params, region, account_id)


def install():
    iam_actions.extract_resource_arn = extract_resource_arn
