"""Provisioning templates: what RegisterThing is asked to make, with parameters and functions resolved.

https://docs.aws.amazon.com/iot/latest/developerguide/provision-template.html
"""

import dataclasses
import hashlib
import json
import re
from typing import Any

from ministack.core.x509_utils import get_certificate_id

from iot.registry import Failed

ATTRIBUTES = {"DO_NOTHING", "REPLACE", "FAIL", "MERGE"}
PLAIN = {"DO_NOTHING", "REPLACE", "FAIL"}
# The properties of each type, and what may be overridden how.
TYPES = {
    "AWS::IoT::Thing": (
        {"ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup"},
        {"AttributePayload": ATTRIBUTES, "ThingTypeName": PLAIN, "ThingGroups": ATTRIBUTES},
    ),
    "AWS::IoT::Certificate": (
        {"CertificateId", "CertificateSigningRequest", "CertificatePem", "CACertificatePem", "Status", "ThingPrincipalType"},
        {"Status": PLAIN},
    ),
    "AWS::IoT::Policy": ({"PolicyName", "PolicyDocument"}, {}),
}
SOURCES = ("CertificateId", "CertificateSigningRequest", "CertificatePem")


def invalid(message):
    return Failed("InvalidRequestException", message)


@dataclasses.dataclass
class Resource:
    name: str
    properties: dict[str, Any]
    overrides: dict[str, str]


@dataclasses.dataclass
class Plan:
    """At most one thing and one certificate, and any number of policies."""

    things: list[Resource]
    certificates: list[Resource]
    policies: list[Resource]


def parse(text, parameters):
    """The plan of a template for these parameters."""
    try:
        document = json.loads(text)
    except (TypeError, ValueError):
        raise invalid("templateBody is not JSON") from None
    if not isinstance(document, dict):
        raise invalid("templateBody is not a JSON object")
    resolver = Resolver(document, parameters)
    resources = member(document, "Resources")
    if not resources:
        raise invalid("The template has no Resources")
    found = {kind: [] for kind in TYPES}
    for name, resource in resources.items():
        if not isinstance(resource, dict) or resource.get("Type") not in TYPES:
            raise invalid(f"Resource {name} is of no known Type")
        found[resource["Type"]].append(checked(name, resource, resolver))
    plan = Plan(*found.values())
    if len(plan.things) > 1:
        raise invalid("A template has one AWS::IoT::Thing at most")
    if len(plan.certificates) > 1:
        raise invalid("A template has one AWS::IoT::Certificate at most")
    if plan.policies and not plan.certificates:
        raise invalid("A policy is attached to a certificate, and the template has none")
    return plan


def member(document, name):
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"{name} is not a JSON object")
    return value


def checked(name, resource, resolver):
    """A resource with what it may have, and what it must have."""
    kind = resource["Type"]
    known, overridable = TYPES[kind]
    properties = resolver.value(member(resource, "Properties"))
    overrides = member(resource, "OverrideSettings")
    for one in properties:
        if one not in known:
            raise invalid(f"Resource {name} has an unknown property {one}")
    for one, setting in overrides.items():
        if setting not in overridable.get(one, ()):
            raise invalid(f"Resource {name} has an unknown override setting {one}: {setting}")
    for one, value in properties.items():
        if one == "AttributePayload":
            fits = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        elif one == "ThingGroups":
            fits = isinstance(value, list) and all(isinstance(text, str) for text in value)
        else:
            fits = isinstance(value, str) or (one == "PolicyDocument" and isinstance(value, dict))
        if not fits:
            raise invalid(f"Property {one} of {name} is of the wrong type")
    if kind == "AWS::IoT::Thing" and not properties.get("ThingName"):
        raise invalid(f"Resource {name} has no ThingName")
    if kind == "AWS::IoT::Certificate":
        if len([source for source in SOURCES if source in properties]) != 1:
            raise invalid(f"Resource {name} wants one of {', '.join(SOURCES)}")
        if "CACertificatePem" in properties and "CertificatePem" not in properties:
            raise invalid(f"Resource {name} has a CACertificatePem without a CertificatePem")
        if properties.get("Status", "ACTIVE") not in ("ACTIVE", "INACTIVE"):
            raise invalid(f"Status of {name} is neither ACTIVE nor INACTIVE")
        if properties.get("ThingPrincipalType", "EXCLUSIVE_THING") not in ("EXCLUSIVE_THING", "NON_EXCLUSIVE_THING"):
            raise invalid(f"ThingPrincipalType of {name} is none")
    if kind == "AWS::IoT::Policy":
        if ("PolicyName" in properties) == ("PolicyDocument" in properties):
            raise invalid(f"Resource {name} wants either PolicyName or PolicyDocument")
        properties = with_name(properties)
    return Resource(name, properties, overrides)


def with_name(policy):
    """A policy made of a document is named after it."""
    if "PolicyDocument" not in policy:
        return policy
    document = policy["PolicyDocument"]
    text = document if isinstance(document, str) else json.dumps(document)
    return {"PolicyName": hashlib.sha256(text.encode()).hexdigest(), "PolicyDocument": text}


class Resolver:
    def __init__(self, document, parameters):
        self.resources, self.mappings = member(document, "Resources"), member(document, "Mappings")
        self.values = {}
        for name, declared in member(document, "Parameters").items():
            if not isinstance(declared, dict) or declared.get("Type") != "String":
                raise invalid(f"Parameter {name} is not of Type String")
            if "Default" in declared:
                self.values[name] = declared["Default"]
        if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
            raise invalid("parameters is not a map of strings")
        self.values |= parameters
        self.referring = []

    def reference(self, name):
        if isinstance(name, str) and name in self.values:
            return self.values[name]
        if isinstance(name, str) and isinstance(self.resources.get(name), dict) and name not in self.referring:
            return self.resource(name)
        raise invalid(f"Cannot resolve reference value: {name}")

    def resource(self, name):
        """A thing's name, a policy's name, or the id of a certificate that is known before it is registered."""
        self.referring.append(name)
        properties = self.value(self.resources[name].get("Properties", {}))
        self.referring.pop()
        kind = self.resources[name].get("Type")
        if kind == "AWS::IoT::Thing" and "ThingName" in properties:
            return properties["ThingName"]
        if kind == "AWS::IoT::Policy":
            return with_name(properties).get("PolicyName")
        if kind == "AWS::IoT::Certificate" and "CertificateId" in properties:
            return properties["CertificateId"]
        if kind == "AWS::IoT::Certificate" and "CertificatePem" in properties:
            return certificate_id(properties["CertificatePem"])
        raise invalid(f"Cannot resolve reference value: {name}")

    def value(self, value):
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, argument)] = value.items()
            if function == "Ref":
                return self.reference(argument)
            if function.startswith("Fn::"):
                return self.call(function, argument)
        return {name: self.value(one) for name, one in value.items()}

    def call(self, function, argument):
        match function, self.value(argument):
            case "Fn::Join", [str(separator), list(parts)] if all(isinstance(part, str) for part in parts):
                return separator.join(parts)
            case "Fn::Split", [str(separator), str(text)] if separator:
                return text.split(separator)
            case "Fn::Select", [str() | int() as index, list(choices)] if str(index).isdigit() and int(index) < len(choices):
                return choices[int(index)]
            case "Fn::FindInMap", [str(name), str(first), str(second)]:
                try:
                    return self.mappings[name][first][second]
                except (KeyError, TypeError):
                    pass
            case "Fn::Sub", str(text):
                return self.substituted(text, {})
            case "Fn::Sub", [str(text), dict(variables)]:
                return self.substituted(text, variables)
        raise invalid(f"The template has an invalid {function}")

    def substituted(self, text, variables):
        def one(match):
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            return str(variables[name] if name in variables else self.reference(name))

        return re.sub(r"\$\{([^}]*)\}", one, text)


def certificate_id(pem):
    try:
        return get_certificate_id(pem)
    except Exception:
        raise invalid("CertificatePem is not a certificate in PEM") from None
