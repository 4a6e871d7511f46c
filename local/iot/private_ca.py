"""AWS Private CA at the local AWS's endpoint: a request is checked there as every other is, and answered by the private CA
of local/private-ca, once that is started beside this local AWS."""

import asyncio
import json
import pathlib
import urllib.error
import urllib.request

from ministack import app
from ministack.core import iam_actions
from ministack.core.responses import error_response_json

SERVICE = "acm-pca"
# local/private-ca/start writes its address into the folder of the local AWS.
ADDRESS = pathlib.Path.home() / "private-ca"
tags_of_ministack = iam_actions.request_tag_context


def resource(body):
    """The certificate authority that a request names."""
    return document(body).get("CertificateAuthorityArn") or "*"


def document(body):
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def request_tag_context(service, iam_action, body, params):
    """The condition keys of a request: for this service, the template that a certificate is asked for by."""
    if service != SERVICE:
        return tags_of_ministack(service, iam_action, body, params)
    template = document(body).get("TemplateArn")
    return {"acm-pca:TemplateArn": template} if template else {}


async def handle(method, path, headers, body, query_params):
    try:
        url = ADDRESS.read_text().strip()
    except FileNotFoundError:
        message = "No private CA is started: local/private-ca/start"
        return error_response_json("ServiceUnavailableException", message, 503)
    return await asyncio.to_thread(send, url, headers, body)


def send(url, headers, body):
    passed = {name: headers[name] for name in ("x-amz-target", "content-type", "authorization") if name in headers}
    request = urllib.request.Request(url, data=body, headers=passed, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    return status, {"Content-Type": "application/x-amz-json-1.1"}, content


def install():
    app.SERVICE_HANDLERS[SERVICE] = handle
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    iam_actions.request_tag_context = request_tag_context
