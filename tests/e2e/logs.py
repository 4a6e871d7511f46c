"""What the deployed functions logged, as Amazon CloudWatch Logs gives it."""

import json
import os
import time

import boto3

STACK = os.environ["STACK_NAME"]


def messages(function, since=0, word=""):
    """What a function logged since this time, in milliseconds, as text: what has this word in it."""
    # Of a group the local AWS gives its first 10,000 events that fit.
    pattern = {"filterPattern": f'"{word}"'} if word else {}
    pages = boto3.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{STACK}-{function}", startTime=int(since), **pattern)
    found = [event["message"].rstrip("\n") for page in pages for event in page["events"]]
    return [message for message in found if word in message]


def lines(function, since=0, word=""):
    """The same as objects, without what is Lambda's own."""
    return [json.loads(message) for message in messages(function, since, word) if message.lstrip().startswith("{")]


def audits(function, since=0, word=""):
    """The audit events among them."""
    return [line for line in lines(function, since, word) if line.get("target") == "audit"]


def awaited(look, function, within=20):
    """What `look` gives once it is true: what looks for lines of this function.

    The local AWS takes lines when an invocation ends, and waits for them but a moment: what comes later it takes with the next one
    of the same process. So after a second the function is invoked again and again, with an event that none takes.
    """
    began = time.monotonic()
    while not (found := look()):
        waited = time.monotonic() - began
        assert waited < within, f"not within {within} s in the log of {function}"
        if waited > 1:
            boto3.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=b'{"unknown": true}')
        time.sleep(0.2)
    return found
