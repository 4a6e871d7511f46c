"""Secrets of Secrets Manager that belong to one test, and all that must stand in no log."""

import json
import secrets

import boto3

# Every value of every secret here, and whatever else a test received that is secret.
VALUES = {"correct horse battery staple"}


class Secret:
    """A secret that the group `web` may read, until it is deleted. Its values are of chance."""

    def __init__(self, name=None, members=None):
        """With `members`, its values are JSON objects of these."""
        self.name = name or f"app/tests/{secrets.token_hex(4)}"
        self.members = members
        self.client = boto3.client("secretsmanager")
        value = self.make()
        self.client.create_secret(Name=self.name, SecretString=value)
        self.value = value

    def make(self):
        parts = [f"value-{secrets.token_hex(16)}" for _ in self.members or [None]]
        VALUES.update(parts)
        return json.dumps(dict(zip(self.members, parts))) if self.members else parts[0]

    def put(self):
        """Stores a new version; gives its value."""
        value = self.make()
        self.client.put_secret_value(SecretId=self.name, SecretString=value)
        self.value = value
        return value

    def __getitem__(self, member):
        return json.loads(self.value)[member]

    def delete(self):
        self.client.delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)


def leaked(text):
    """The secret values in a text or in bytes."""
    text = text.encode() if isinstance(text, str) else text
    return [value for value in VALUES if value.encode() in text]
