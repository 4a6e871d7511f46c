"""The images of IMAGE_TAG, beside the deployed stack of the environment."""

import os
import pathlib
import subprocess
import sys
import uuid

import boto3
import pytest

sys.path.append(str(pathlib.Path(__file__).parent.parent / "e2e"))

from registry import registry
from stack import Stack

POLICY = """
permit (principal == Group::"web", action == Action::"secret:read", resource in Path::"app/images");
permit (principal == Group::"batch", action == Action::"secret:read", resource in Path::"app/images");
"""
SECRET, VALUE = "app/images/db", "an image is worth a thousand words"
AWS = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def docker(*args, **how):
    return subprocess.run(["docker", *args], capture_output=True, text=True, timeout=600, **how)


def run(image, *args, options=(), network="host", input=None, **variables):
    """A container of an image, with nothing that it can do without."""
    settings = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    hardened = "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", network
    name = f"countersign-{image}:{os.environ['IMAGE_TAG']}"
    return docker("run", "--rm", *hardened, *settings, *options, name, *args, input=input)


def aws():
    """How a container on this machine's network reaches the local AWS."""
    return {name: os.environ[name] for name in AWS}


@pytest.fixture(scope="session")
def stack():
    made = Stack()
    boto3.client("secretsmanager").create_secret(Name=SECRET, SecretString=VALUE)
    made.put_policy(POLICY, "images.cedar")
    made.rotate()
    # It is to know the policy at once.
    made.restart()
    return made


@pytest.fixture
def volume():
    name = f"countersign-{uuid.uuid4()}"
    docker("volume", "create", name, check=True)
    yield name
    docker("volume", "rm", "--force", name, check=True)
