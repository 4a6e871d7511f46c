"""RegisterThing: a thing, its certificate and its policies from a template, each step with the caller's permissions.

https://docs.aws.amazon.com/iot/latest/apireference/API_RegisterThing.html
"""

from ministack.services import iot as service

from iot import template
from iot.registry import Caller, Failed, answered, object_of


async def answer(method, path, headers, body, query):
    if method == "GET" and path.startswith("/billing-groups/"):
        # There are none: ministack knows no billing groups.
        return Failed("ResourceNotFoundException", f"Billing group {path.split('/')[2]} does not exist", 404).answer()
    if (method, path) != ("POST", "/things"):
        return None
    try:
        request = object_of(body)
        plan = template.parse(request.get("templateBody"), request.get("parameters") or {})
        return answered(await register(Caller(headers), plan))
    except Failed as failed:
        return failed.answer()


async def register(caller, plan):
    try:
        return await Registration(caller, plan).run()
    except Failed as failed:
        if failed.code in ("UnauthorizedException", "ResourceRegistrationFailureException", "InvalidRequestException"):
            raise
        raise failure(f"Register thing workflow execution terminates due to: {failed.message}") from failed


def failure(message):
    return Failed("ResourceRegistrationFailureException", message)


def conflict(what, existing, wanted):
    return failure(f"Existing {what}: {existing} conflicts with {what}: {wanted} in Template.")


class Registration:
    """What conflicts is found before anything is changed. What fails later leaves behind what was done, as on AWS."""

    def __init__(self, caller, plan):
        self.caller, self.plan = caller, plan
        self.arns, self.pem, self.certificate, self.principal_type = {}, None, None, None

    async def run(self):
        steps = [await self.prepare_thing(thing) for thing in self.plan.things]
        for certificate in self.plan.certificates:
            await self.make_certificate(certificate)
        for policy in self.plan.policies:
            await self.make_policy(policy)
        for thing, make in zip(self.plan.things, steps, strict=True):
            await make()
            if self.certificate:
                query = {"thingPrincipalType": self.principal_type} if self.principal_type else {}
                path = f"/things/{thing.properties['ThingName']}/principals"
                await self.caller.call("PUT", path, query=query, headers={"x-amzn-principal": self.certificate})
        for policy in self.plan.policies:
            await self.caller.call("PUT", f"/target-policies/{policy.properties['PolicyName']}", {"target": self.certificate})
        return {"certificatePem": self.pem, "resourceArns": self.arns}

    async def prepare_thing(self, thing):
        """What remains to be done for the thing, once nothing of it conflicts."""
        name, wanted = thing.properties["ThingName"], thing.properties
        if not service._NAME_RE.match(name):
            raise Failed("InvalidRequestException", f"Invalid thingName: {name}")
        existing = await self.caller.find(f"/things/{name}")
        for group in wanted.get("ThingGroups", []):
            await self.caller.call("GET", f"/thing-groups/{group}")
        if wanted.get("ThingTypeName"):
            await self.caller.call("GET", f"/thing-types/{wanted['ThingTypeName']}")
        if "BillingGroup" in wanted:
            await self.caller.call("GET", f"/billing-groups/{wanted['BillingGroup']}")
        if existing:
            update = self.update(thing, existing)
            join, leave = await self.moves(thing)
        else:
            update, join, leave = None, wanted.get("ThingGroups", []), []

        async def make():
            path = f"/things/{name}"
            if not existing:
                document = {"attributePayload": {"attributes": wanted.get("AttributePayload", {})}}
                if wanted.get("ThingTypeName"):
                    document["thingTypeName"] = wanted["ThingTypeName"]
                await self.caller.call("POST", path, document)
            elif update:
                await self.caller.call("PATCH", path, update)
            for group in join:
                membership = {"thingName": name, "thingGroupName": group}
                await self.caller.call("PUT", "/thing-groups/addThingToThingGroup", membership)
            for group in leave:
                membership = {"thingName": name, "thingGroupName": group}
                await self.caller.call("PUT", "/thing-groups/removeThingFromThingGroup", membership)
            self.arns[thing.name] = service._thing_arn(name)

        return make

    def update(self, thing, existing):
        """UpdateThing's document, empty where nothing is to be updated."""
        update = {}
        if "AttributePayload" in thing.properties:
            wanted, current = thing.properties["AttributePayload"], existing["attributes"]
            match thing.overrides.get("AttributePayload", "FAIL"):
                case "MERGE":
                    wanted = current | wanted
                    if wanted != current:
                        update["attributePayload"] = {"attributes": wanted}
                case "REPLACE" if wanted != current:
                    update["attributePayload"] = {"attributes": wanted}
                case "FAIL" if wanted != current:
                    raise conflict("AttributePayload", service._java_map(current), service._java_map(wanted))
        if "ThingTypeName" in thing.properties:
            wanted, current = thing.properties["ThingTypeName"], existing.get("thingTypeName")
            match thing.overrides.get("ThingTypeName", "FAIL"):
                case "REPLACE" if wanted != current:
                    update["thingTypeName"] = wanted
                case "FAIL" if wanted != current:
                    raise conflict("ThingType", current or "null", wanted)
        return update

    async def moves(self, thing):
        """The groups to join and the groups to leave."""
        if "ThingGroups" not in thing.properties:
            return [], []
        answer = await self.caller.call("GET", f"/things/{thing.properties['ThingName']}/thing-groups")
        wanted, current = thing.properties["ThingGroups"], [group["groupName"] for group in answer["thingGroups"]]
        join = [group for group in wanted if group not in current]
        leave = [group for group in current if group not in wanted]
        match thing.overrides.get("ThingGroups", "FAIL"):
            case "REPLACE":
                return join, leave
            case "MERGE":
                return join, []
            case "FAIL" if join or leave:
                raise conflict("ThingGroups", f"[{', '.join(current)}]", f"[{', '.join(wanted)}]")
        return [], []

    async def make_certificate(self, certificate):
        wanted = certificate.properties
        status = wanted.get("Status", "ACTIVE")
        self.principal_type = wanted.get("ThingPrincipalType")
        if "CertificateSigningRequest" in wanted:
            query = {"setAsActive": str(status == "ACTIVE").lower()}
            request = {"certificateSigningRequest": wanted["CertificateSigningRequest"]}
            made = await self.caller.call("POST", "/certificates", request, query)
            self.took(certificate, made["certificateArn"], made["certificatePem"])
            return
        known = wanted.get("CertificateId") or template.certificate_id(wanted["CertificatePem"])
        path = f"/certificates/{known}"
        existing = await self.caller.find(path)
        if existing:
            existing = existing["certificateDescription"]
            if "Status" in wanted and existing["status"] != status:
                match certificate.overrides.get("Status", "FAIL"):
                    case "REPLACE":
                        await self.caller.call("PUT", path, query={"newStatus": status})
                    case "FAIL":
                        raise conflict("Status", existing["status"], status)
            self.took(certificate, existing["certificateArn"], existing["certificatePem"])
        elif "CertificateId" in wanted:
            raise failure(f"Register thing workflow execution terminates due to: CertificateId {known} does not exist")
        else:
            request = {"certificatePem": wanted["CertificatePem"], "status": status}
            if "CACertificatePem" in wanted:
                request["caCertificatePem"] = wanted["CACertificatePem"]
            made = await self.caller.call("POST", "/certificate/register", request)
            self.took(certificate, made["certificateArn"], wanted["CertificatePem"])

    def took(self, certificate, arn, pem):
        self.arns[certificate.name], self.certificate, self.pem = arn, arn, pem

    async def make_policy(self, policy):
        name = policy.properties["PolicyName"]
        path = f"/policies/{name}"
        if "PolicyDocument" in policy.properties:
            try:
                await self.caller.call("POST", path, {"policyDocument": policy.properties["PolicyDocument"]})
            except Failed as failed:
                if failed.code != "ResourceAlreadyExistsException":
                    raise
        else:
            await self.caller.call("GET", path)
        self.arns[policy.name] = service._policy_arn(name)
