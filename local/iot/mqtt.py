"""ministack's MQTT listener, as strict as AWS IoT's: a client certificate is asked for, the policies of a thing's groups
count, and a certificate that stops being ACTIVE stops being served. It listens on loopback alone."""

import asyncio
import ssl

from ministack.core.iam_evaluator import EvalContext, evaluate
from ministack.core.responses import request_scope
from ministack.services import iot as service

from iot import groups

context_of_ministack = service._mtls_build_ssl_context
allows_of_ministack = service._mqtt_policy_allows


def context():
    made = context_of_ministack()
    made.verify_mode = ssl.CERT_REQUIRED
    return made


async def start():
    if service._mtls_server is None:
        loop = asyncio.get_running_loop()
        service._mtls_server = await loop.create_server(service._MtlsAcceptor, "127.0.0.1", service._mtls_port())
        service._mtls_loop = loop


def documents(certificate):
    """The policies of a certificate and of the groups of its things, and of the groups above those."""
    names = list(certificate.get("attachedPolicies", []))
    for thing in certificate.get("attachedThings", []):
        for group in (service._things.get(thing.rsplit("/", 1)[-1]) or {}).get("thingGroupNames", []):
            for name in [group, *groups.above(group)]:
                names += [policy["policyName"] for policy in service._policies_attached_to(service._thing_group_arn(name))]
    policies = [service._policies.get(name) for name in dict.fromkeys(names)]
    return [policy["versions"][policy["defaultVersionId"]]["document"] for policy in policies if policy]


def allows(account_id, region, certificate_id, context, action, resource, provisioning_template=None):
    if provisioning_template is not None:
        return allows_of_ministack(account_id, region, certificate_id, context, action, resource, provisioning_template)
    with request_scope(account_id, region):
        certificate = service._certificates.get(certificate_id) or {}
        if certificate.get("status") != "ACTIVE":
            return False
        wanted = documents(certificate)
    asked = EvalContext(
        principal_arn=f"arn:aws:iot:{region}:{account_id}:cert/{certificate_id}",
        principal_type="Certificate",
        principal_account=account_id,
        action=action,
        resource_arn=f"arn:aws:iot:{region}:{account_id}:{resource}",
        region=region,
        service_context=context,
    )
    variables = tuple(sorted(context.items()))
    parsed = [service._parsed_iot_policy(document, variables) for document in wanted]
    return evaluate(asked, parsed).decision == "Allow"


def install():
    service._mtls_build_ssl_context, service._mtls_start_locked = context, start
    service._mqtt_policy_allows = allows
