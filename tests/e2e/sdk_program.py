"""A program that uses AWS by boto3 and knows nothing of Countersign: for each line on its standard input two calls, and a line
of JSON that tells what came of them. It has one session from its start to its end."""

import json
import sys

import boto3

session = boto3.Session()
for _ in sys.stdin:
    try:
        used = session.get_credentials()
        arn = session.client("sts").get_caller_identity()["Arn"]
        session.client("s3").list_buckets()
        came = {"arn": arn, "access_key_id": used.get_frozen_credentials().access_key, "found_by": used.method}
    except Exception as error:
        came = {"error": repr(error)}
    print(json.dumps(came), flush=True)
