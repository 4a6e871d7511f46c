"""SDKs of AWS as they are, with no credentials of their own: boto3 in its own process, and the AWS CLI."""

import json
import os
import pathlib
import subprocess
import sys

import boto3


def environment(home, **variables):
    """The variables of a program that has no credentials."""
    names = ("PATH", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED")
    return {name: os.environ[name] for name in names} | {"HOME": str(home)} | variables


def profile(home, command):
    """A configuration file of AWS whose default profile has its credentials by this command: its variable."""
    path = home / "aws-config"
    path.write_text(f"[default]\ncredential_process = {command}\n")
    return {"AWS_CONFIG_FILE": str(path)}


PROGRAM = [sys.executable, str(pathlib.Path(__file__).parent / "sdk_program.py")]


class Program:
    """sdk_program.py as a context."""

    def __init__(self, variables):
        self.variables = variables

    def __enter__(self):
        self.process = subprocess.Popen(
            PROGRAM, env=self.variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *raised):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def call(self):
        """What came of calls now."""
        print(file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def aws(variables, *arguments):
    """What the AWS CLI prints."""
    done = subprocess.run(["aws", *arguments, "--output", "json"], env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def key_of(document):
    """What boto3 takes, of what an endpoint or credential_process gives."""
    return {
        "aws_access_key_id": document["AccessKeyId"],
        "aws_secret_access_key": document["SecretAccessKey"],
        "aws_session_token": document.get("Token") or document["SessionToken"],
    }


def client(service, document, **more):
    return boto3.client(service, **key_of(document), **more)
