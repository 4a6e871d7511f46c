"""How things and principals are attached: for one thing alone, or not (AttachThingPrincipal's thingPrincipalType)."""

import re

from ministack.core.responses import get_account_id, get_region
from ministack.services import iot as service

from iot.registry import Failed, answered

PRINCIPALS = re.compile(r"/things/([^/]+)/principals(-v2)?")
EXCLUSIVE, SHARED = "EXCLUSIVE_THING", "NON_EXCLUSIVE_THING"

# (account, region, thing, principal) of what is attached exclusively.
exclusive = set()


def key(thing, principal):
    return get_account_id(), get_region(), thing, principal


def kind(thing, principal):
    return EXCLUSIVE if key(thing, principal) in exclusive else SHARED


def things(principal):
    """The things that a principal is attached to, or None where there is no such principal."""
    certificate = service._certificates.get(principal.rsplit("/", 1)[-1])
    if certificate is None:
        return None
    names = [arn.rsplit("/", 1)[-1] for arn in certificate.get("attachedThings", [])]
    return [name for name in names if name in service._things]


def wanted(query):
    return (query.get("thingPrincipalType") or [None])[0]


async def answer(method, path, headers, body, query):
    principal = headers.get("x-amzn-principal", "")
    if (method, path) == ("GET", "/principals/things-v2"):
        names = things(principal)
        if names is None:
            message = f"Can't list things for the principal {principal} because the principal does not exist in your account"
            return Failed("ResourceNotFoundException", message, 404).answer()
        listed = [{"thingName": name, "thingPrincipalType": kind(name, principal)} for name in names]
        return answered({"principalThingObjects": of_kind(listed, query)})
    named = PRINCIPALS.fullmatch(path)
    if not named:
        return None
    if named[2] and method == "GET":
        thing = service._things.get(named[1])
        if thing is None:
            message = f"Failed to list principals for thing{named[1]} because the thing does not exist in your account"
            return Failed("ResourceNotFoundException", message, 404).answer()
        listed = [{"principal": principal, "thingPrincipalType": kind(named[1], principal)} for principal in thing["principals"]]
        return answered({"thingPrincipalObjects": of_kind(listed, query)})
    if method == "PUT":
        others = [name for name in things(principal) or [] if name != named[1]]
        if others and (wanted(query) == EXCLUSIVE or any(kind(name, principal) == EXCLUSIVE for name in others)):
            return Failed("InvalidRequestException", f"The principal {principal} is attached to another thing").answer()
    return None


def of_kind(listed, query):
    return [one for one in listed if wanted(query) in (None, one["thingPrincipalType"])]


def note(method, path, headers, query, answer):
    """Keeps what ministack does not: whether the principal that it attached is that thing's alone."""
    named = PRINCIPALS.fullmatch(path)
    if not named or answer[0] != 200 or method not in ("PUT", "DELETE"):
        return
    attachment = key(named[1], headers.get("x-amzn-principal"))
    exclusive.discard(attachment)
    if method == "PUT" and wanted(query) == EXCLUSIVE:
        exclusive.add(attachment)


def reset():
    exclusive.clear()
