"""A static client has to resolve names by itself."""

import os
import uuid

import pytest

from conftest import aws, docker, run

# Material in the layout of a bucket stands in for S3.
SERVE = """
import functools, http.server
class Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path):
        return "/material/" + path.partition("?")[0].removeprefix("/bucket/")
    def end_headers(self):
        self.send_header("ETag", '"1"')
        super().end_headers()
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture
def network():
    name = f"countersign-{uuid.uuid4()}"
    docker("network", "create", name, check=True)
    yield name
    docker("network", "rm", name, check=True)


@pytest.fixture
def neighbour(stack, volume, network):
    """The name of a container that serves material in S3's place."""
    name = f"countersign-{uuid.uuid4()}"
    mounted = ["-v", f"{volume}:/material"]
    done = run("client", "pull", "--group", "web", "--from", f"s3://{stack.bucket}", options=mounted, **aws())
    assert done.returncode == 0, done.stderr
    image = f"countersign-operator:{os.environ['IMAGE_TAG']}"
    docker("run", "--detach", "--rm", "--name", name, "--network", network, *mounted, "--entrypoint", "python3", image,
           "-c", SERVE, check=True)
    yield name
    docker("stop", "--time", "1", name, check=True)


def test_the_client_resolves_the_name_of_another_container(neighbour, network):
    def pull(host):
        variables = aws() | {"AWS_ENDPOINT_URL": f"http://{host}:8080"}
        return run("client", "pull", "--group", "web", "--from", "s3://bucket", network=network,
                   options=["--tmpfs", "/material"], **variables)

    done = pull(neighbour)
    assert done.returncode == 0, done.stderr
    done = pull("nobody")
    assert done.returncode == 3 and "Name or service not known" in done.stderr
