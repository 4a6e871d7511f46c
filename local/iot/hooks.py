"""Where this package takes hold of ministack, all of it in one place, and refuses a ministack that has moved."""

import inspect
import sys

from ministack import app
from ministack.core import iam_actions
from ministack.services import iot as service

from iot import attachments, certificates, groups, mqtt, private_ca, registration, resources, tasks

# Each function that is replaced or built upon, with the parameters that this package counts on.
EXPECTED = {
    (service, "_route_request"): "method path headers body query_params",
    (service, "reset"): "",
    (service, "publishing_events"): "",
    (service, "_registered_issuer_id"): "cert_pem",
    (service, "_iot_role_usable"): "role_arn",
    (service, "_mtls_build_ssl_context"): "",
    (service, "_mtls_start_locked"): "",
    (service, "_mqtt_policy_allows"):
        "account_id region certificate_id context action resource provisioning_template",
    (service, "_parsed_iot_policy"): "document context",
    (iam_actions, "extract_iam_action"): "service method path headers body query_params",
    (iam_actions, "extract_resource_arn"): "service method path headers body query_params region account_id",
    (iam_actions, "iot_resource_arns"): "method path body region account_id",
    (iam_actions, "request_tag_context"): "service iam_action body params",
    (iam_actions, "identity_denial_message"): "action principal_arn resource explicit_deny",
}


def install():
    """Takes hold, or ends the process where ministack is not what this package was written for."""
    for (module, name), parameters in EXPECTED.items():
        function = getattr(module, name, None)
        found = " ".join(inspect.signature(function).parameters) if function else "no such function"
        if found != parameters:
            sys.exit(f"local/iot is written for another ministack: {module.__name__}.{name} has ({found}), not ({parameters})")

    if private_ca.SERVICE in app.SERVICE_HANDLERS:
        sys.exit("local/iot is written for another ministack: this one has a private CA of its own")

    route, reset = service._route_request, service.reset

    async def routed(method, path, headers, body, query_params):
        """What this package answers itself, or else ministack's answer, with what it leaves out."""
        headers = headers or {}
        for part in (registration, tasks, attachments, certificates):
            answer = await part.answer(method, path, headers, body, query_params)
            if answer is not None:
                return answer
        answer = await route(method, path, headers, body, query_params)
        attachments.note(method, path, headers, query_params, answer)
        return groups.completed(method, path, answer)

    def forgotten():
        reset()
        tasks.reset()
        attachments.reset()

    service._route_request, service.reset = routed, forgotten
    resources.install()
    mqtt.install()
    private_ca.install()
