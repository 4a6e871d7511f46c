"""Thing registration tasks: RegisterThing for each line of a file in S3, with a role's permissions.

https://docs.aws.amazon.com/iot/latest/apireference/API_StartThingRegistrationTask.html
"""

import contextlib
import json
import os
import re
import threading
import time
import uuid

import boto3
from botocore.exceptions import ClientError
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, sts
from ministack.services import iot as service

from iot.registry import Caller, Failed, answered, object_of

PATH = re.compile(r"/thing-registration-tasks(?:/([^/]+)(/reports|/cancel)?)?")
SHAPES = {
    "templateBody": r"[\s\S]{0,10240}",
    "inputFileBucket": r"[a-zA-Z0-9._-]{3,256}",
    "inputFileKey": r"[a-zA-Z0-9!_.*'()\-/]{1,1024}",
    "roleArn": r".{20,2048}",
}
STATES = ("InProgress", "Completed", "Failed", "Cancelled", "Cancelling")
# The account of AWS IoT itself, whose bucket holds the reports; ministack takes an account for its root user's key.
OWNER = "999999999999"
HOUR = 3600

# (account, region, task id) -> task
tasks = {}


async def answer(method, path, headers, body, query):
    named = PATH.fullmatch(path)
    if not named:
        return None
    task_id, part = named.groups()
    try:
        match method, bool(task_id), part:
            case "POST", False, _:
                return answered({"taskId": start(Caller(headers), object_of(body))})
            case "GET", False, _:
                return answered({"taskIds": listed(query)})
            case "GET", True, None:
                return answered(find(task_id).described())
            case "PUT", True, "/cancel":
                find(task_id).cancel()
                return answered({})
            case "GET", True, "/reports":
                kind = (query.get("reportType") or [None])[0]
                return answered({"resourceLinks": find(task_id).links(kind), "reportType": kind})
    except Failed as failed:
        return failed.answer()
    return None


def start(caller, request):
    for name, shape in SHAPES.items():
        if not isinstance(request.get(name), str) or not re.fullmatch(shape, request[name]):
            raise Failed("InvalidRequestException", f"{name} is missing or invalid")
    caller.may("iam:PassRole", "iam", request["roleArn"], {"iam:PassedToService": "iot.amazonaws.com"})
    task = Task(request)
    tasks[get_account_id(), get_region(), task.id] = task
    threading.Thread(target=task.run, daemon=True).start()
    return task.id


def find(task_id):
    task = tasks.get((get_account_id(), get_region(), task_id))
    if task is None:
        raise Failed("ResourceNotFoundException", f"Task {task_id} does not exist", 404)
    return task


def listed(query):
    status = (query.get("status") or [None])[0]
    return [task_id for (account, region, task_id), task in tasks.items()
            if (account, region) == (get_account_id(), get_region()) and status in (None, task.status)]


def reset():
    for task in tasks.values():
        task.cancelled = True
    tasks.clear()


class Task:
    def __init__(self, request):
        self.id, self.request = str(uuid.uuid4()), {name: request[name] for name in SHAPES}
        self.status, self.message, self.progress, self.cancelled = "InProgress", None, 0, False
        self.created = self.modified = time.time()
        self.reports = {"RESULTS": [], "ERRORS": []}
        self.account, self.region = get_account_id(), get_region()
        role = request["roleArn"]
        self.session = session(role) if service._iot_role_usable(role) else None

    def described(self):
        described = self.request | {
            "taskId": self.id,
            "creationDate": self.created,
            "lastModifiedDate": self.modified,
            "status": self.status,
            "successCount": len(self.reports["RESULTS"]),
            "failureCount": len(self.reports["ERRORS"]),
            "percentageProgress": self.progress,
        }
        return described | ({"message": self.message} if self.message else {})

    def cancel(self):
        if self.status not in ("InProgress", "Cancelling"):
            raise Failed("InvalidRequestException", f"Task {self.id} is {self.status}")
        self.cancelled = True
        self.to("Cancelling")

    def to(self, status, message=None):
        self.status, self.message, self.modified = status, message, time.time()

    def links(self, kind):
        """Where the report is, for an hour: no link for a report of nothing, or of a task that still runs."""
        if kind not in self.reports:
            raise Failed("InvalidRequestException", "reportType is neither ERRORS nor RESULTS")
        if not self.reports[kind] or self.status not in ("Completed", "Cancelled"):
            return []
        bucket, key = self.place(kind)
        wanted = {"Bucket": bucket, "Key": key}
        return [owner(self.region).generate_presigned_url("get_object", wanted, ExpiresIn=HOUR)]

    def place(self, kind):
        return f"aws-iot-thing-registration-{self.region}", f"{self.account}/{self.id}/{kind.lower()}.json"

    def run(self):
        try:
            lines = self.input()
            # One for all lines: to make it takes longer than to register a thing.
            iot = client("iot", self.region, self.session)
            for number, (offset, line) in enumerate(lines, 1):
                if self.cancelled:
                    break
                self.register(iot, number, offset, line)
                self.progress, self.modified = number * 100 // len(lines), time.time()
            self.publish()
            # Asked for in the last moment, when nothing is left to cancel, it is cancelled all the same.
            self.to("Cancelled" if self.cancelled else "Completed")
        except Exception as error:
            self.to("Failed", str(error))

    def input(self):
        """The lines of the input file that are not blank, each with its offset."""
        if self.session is None:
            raise ValueError(f"AWS IoT cannot assume the role {self.request['roleArn']}")
        wanted = {"Bucket": self.request["inputFileBucket"], "Key": self.request["inputFileKey"]}
        content = client("s3", self.region, self.session).get_object(**wanted)["Body"].read()
        offset, lines = 0, []
        for line in content.splitlines(keepends=True):
            if line.strip():
                lines.append((offset, line))
            offset += len(line)
        return lines

    def register(self, iot, number, offset, line):
        where = {"lineNumber": number, "offset": offset}
        try:
            parameters = json.loads(line)
            if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
                raise ValueError("The line is not a JSON object of strings")
            made = iot.register_thing(templateBody=self.request["templateBody"], parameters=parameters)
        except (ClientError, ValueError) as error:
            self.reports["ERRORS"].append(where | {"errorMessage": str(error)})
        else:
            response = {"ResourceArns": made["resourceArns"]}
            if made.get("certificatePem"):
                response["CertificatePem"] = made["certificatePem"]
            self.reports["RESULTS"].append(where | {"response": response})

    def publish(self):
        s3 = owner(self.region)
        bucket, _ = self.place("")
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": self.region})
        for kind, report in self.reports.items():
            if report:
                _, key = self.place(kind)
                body = "".join(json.dumps(line) + "\n" for line in report)
                s3.put_object(Bucket=bucket, Key=key, Body=body.encode())


def session(role_arn):
    """Keys of a session of the role, which AWS IoT assumes."""
    key, role = iam._gen_session_access_key(), role_arn.rsplit("/", 1)[-1]
    made = {
        "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role}/AWSIoTThingRegistration",
        "UserId": f"{iam._roles.get(role)['RoleId']}:AWSIoTThingRegistration",
        "SecretAccessKey": iam._gen_secret(),
        "SessionToken": iam._gen_session_token(),
        "Expiration": time.time() + HOUR,
        "AccountId": get_account_id(),
        "PrincipalType": "AssumedRole",
    }
    sts.register_session(key, made)
    return {
        "aws_access_key_id": key,
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


def client(name, region, keys):
    # Requests of its own, by the front door: what the role may is checked there as for everybody.
    return boto3.session.Session().client(name, region_name=region, endpoint_url=os.environ["AWS_ENDPOINT_URL"], **keys)


def owner(region):
    return client("s3", region, {"aws_access_key_id": OWNER, "aws_secret_access_key": "local-root"})
