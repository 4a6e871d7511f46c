"""The operations of ministack's IoT, made for a caller with the caller's permissions."""

import json

from ministack import app
from ministack.core import iam_actions
from ministack.core.iam_evaluator import AuthError, enforce
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.core.router import extract_access_key_id
from ministack.services import iot as service

JSON = "application/json"


class Failed(Exception):
    """An error in the form of the AWS API reference."""

    def __init__(self, code, message, status=400, fields=None):
        super().__init__(message)
        self.code, self.message, self.status, self.fields = code, message, status, fields or {}

    def answer(self):
        return error_response_json(self.code, self.message, self.status, content_type=JSON)


def answered(document):
    return json_response(document, content_type=JSON)


def object_of(body):
    """A request's JSON object."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Failed("InvalidRequestException", "The request body is not a JSON object")
    return document


class Caller:
    def __init__(self, headers):
        self.access_key = extract_access_key_id(headers)

    def may(self, action, service_name, arn, context=None):
        """Raises unless the caller's policies allow the action on the resource."""
        denied = app.AUTH and enforce(self.access_key, action, service_name, get_region(), arn, context)
        if isinstance(denied, AuthError):
            raise Failed("UnauthorizedException", denied.code, 401)
        if denied:
            message = iam_actions.identity_denial_message(action, denied.principal_arn, arn, denied.decision == "Deny")
            raise Failed("UnauthorizedException", message, 401)

    async def call(self, method, path, document=None, query=None, headers=None):
        """The answer to a request of the IoT API, checked as if the caller had sent it."""
        body = b"" if document is None else json.dumps(document).encode()
        query = {name: [value] for name, value in (query or {}).items()}
        headers = headers or {}
        action = iam_actions.extract_iam_action("iot", method, path, headers, body, query)
        scope = get_region(), get_account_id()
        arns = [iam_actions.extract_resource_arn("iot", method, path, headers, body, query, *scope)]
        arns += iam_actions.iot_resource_arns(method, path, body, *scope)[1:]
        for arn in arns:
            self.may(action, "iot", arn)
        status, _, answer = await service._route_request(method, path, headers, body, query)
        answer = json.loads(answer or b"{}")
        if status >= 400:
            raise Failed(answer["__type"], answer["message"], status, answer)
        return answer

    async def find(self, path):
        """The answer to a GET, or None where there is no such resource."""
        try:
            return await self.call("GET", path)
        except Failed as failed:
            if failed.code == "ResourceNotFoundException":
                return None
            raise
