"""The client's image: what it is made of, and that a container of it gets a secret."""

import io
import json
import os
import subprocess
import tarfile
import uuid

import pytest

from conftest import SECRET, VALUE, aws, docker, run
from test_tls import certificate, tls_in_front_of

IMAGE = f"countersign-client:{os.environ['IMAGE_TAG']}"


@pytest.fixture(scope="module")
def files():
    """All that the image's layers hold, but for folders."""
    saved = subprocess.run(["docker", "save", IMAGE], capture_output=True, check=True).stdout
    found = []
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        [image] = json.load(archive.extractfile("manifest.json"))
        for layer in image["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as content:
                found += [member for member in content if not member.isdir()]
    return found


def test_the_image_is_smaller_than_11_mb(files):
    assert sum(file.size for file in files) < 11_000_000


def test_the_image_holds_the_client_and_its_roots_and_nothing_else(files):
    assert sorted(file.name for file in files) == ["countersign", "etc/ssl/certs/ca-certificates.crt"]
    assert all(file.uid == 0 and file.mode & 0o7022 == 0 for file in files)


def test_there_is_no_shell():
    assert docker("run", "--rm", "--entrypoint", "/bin/sh", IMAGE, "-c", "true").returncode == 127


def test_it_runs_as_nobody_and_says_what_it_is():
    [image] = json.loads(docker("image", "inspect", IMAGE, check=True).stdout)
    config = image["Config"]
    assert config["User"] == "65532:65532"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert run("client", "--version").stdout == f"countersign {labels['version']}\n"
    assert labels["title"] == "countersign-client" and labels["revision"]


def test_it_pulls_into_a_volume_and_gets_a_secret_with_the_volume_mounted_read_only(stack, volume):
    pull = "pull", "--group", "web", "--from", f"s3://{stack.bucket}"
    done = run("client", *pull, options=["-v", f"{volume}:/material"], **aws())
    assert done.returncode == 0, done.stderr
    done = run("client", "get", SECRET, options=["-v", f"{volume}:/material:ro"])
    assert (done.returncode, done.stdout, done.stderr) == (0, VALUE, "")


@pytest.mark.parametrize("user", ["65532", "1000"])
def test_it_gets_a_secret_with_nothing_but_memory_to_pull_into(stack, user):
    done = run("client", "get", SECRET, options=["--tmpfs", "/material", "--user", user],
               COUNTERSIGN_FROM=f"s3://{stack.bucket}", COUNTERSIGN_GROUP="web", **aws())
    assert (done.returncode, done.stdout, done.stderr) == (0, VALUE, "")


def test_material_of_another_user_is_of_no_use(stack, volume):
    mounted = ["-v", f"{volume}:/material"]
    run("client", "pull", "--group", "web", "--from", f"s3://{stack.bucket}", options=mounted, **aws())
    done = run("client", "get", SECRET, options=[*mounted, "--user", "1000"], COUNTERSIGN_GROUP="web")
    assert done.returncode != 0 and done.stdout == "" and "Permission denied" in done.stderr


def test_it_believes_its_roots_and_those_that_it_is_told_of(stack, tmp_path):
    tmp_path.chmod(0o755)
    paths = certificate(tmp_path)
    options = ["--tmpfs", "/material", "-v", f"{tmp_path}:/roots:ro"]
    variables = aws() | {"COUNTERSIGN_FROM": f"s3://{stack.bucket}", "COUNTERSIGN_GROUP": "web"}
    with stack.off_lambda() as broker, tls_in_front_of(broker, paths) as url:
        done = run("client", "get", SECRET, "--url", url, options=options, **variables)
        assert done.returncode == 7 and "UnknownIssuer" in done.stderr, done.stderr
        done = run("client", "get", SECRET, "--url", url, options=options, SSL_CERT_FILE=f"/roots/{paths[0].name}", **variables)
        assert (done.returncode, done.stdout) == (0, VALUE), done.stderr


def test_it_gets_a_secret_with_material_from_npm(stack, registry):
    package = f"npm:@tests/images-{uuid.uuid4()}"
    publish = [os.environ["COUNTERSIGN_BIN"], "publish", "--group", "web", "--from", f"s3://{stack.bucket}", "--to", package]
    subprocess.run(publish, env=os.environ | registry.environment, check=True, timeout=90)
    done = run("client", "get", SECRET, options=["--tmpfs", "/material"],
               COUNTERSIGN_FROM=package, COUNTERSIGN_GROUP="web", **registry.environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, VALUE, "")
