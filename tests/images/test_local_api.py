"""`scripts/local-api`: the deployed functions in containers of the SAM CLI, beside the stack of the environment."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import v1_client
from conftest import SECRET, VALUE, docker

ROOT = pathlib.Path(__file__).parent.parent.parent


def containers():
    return docker("ps", "--all", "--quiet", "--filter", "ancestor=public.ecr.aws/lambda/provided:al2023-rapid-x86_64").stdout


@pytest.fixture
def api(stack, tmp_path):
    """Its URL. Afterwards it is interrupted, as from a keyboard, and leaves nothing behind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"COUNTERSIGN_LOCAL_PORT": os.environ["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]}
    before, log = containers(), tmp_path / "log"
    with log.open("w") as output:
        # What a background job starts ignores Ctrl-C, and so may this test's own process.
        command = ["env", "--default-signal=INT", ROOT / "scripts/local-api", str(port)]
        started = subprocess.Popen(command, env=environment, stdout=output, stderr=output,
                                   start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    while f"The API is at {url}" not in log.read_text():
        assert started.poll() is None, log.read_text()
        time.sleep(0.2)
    yield url
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(60) == 130, log.read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert containers() == before


def test_it_answers_the_client_and_a_v1_client(api, stack, tmp_path):
    environment = os.environ | {"COUNTERSIGN_FROM": f"s3://{stack.bucket}", "COUNTERSIGN_GROUP": "web",
                                "COUNTERSIGN_MATERIAL": str(tmp_path / "material"), "COUNTERSIGN_URL": api}
    done = subprocess.run([os.environ["COUNTERSIGN_BIN"], "get", SECRET], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, VALUE, "")

    def material(key):
        return stack.s3.get_object(Bucket=stack.bucket, Key=key)["Body"].read()

    body, key = v1_client.request(material("info2048.bin"), material("public.pem"), f"secretsmanager,{SECRET}")
    request = urllib.request.Request(f"{api}/Stage/verify", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201
        assert v1_client.open_answer(answer.read(), key) == VALUE.encode()
    # The same bytes again are a replay.
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert (refused.value.code, refused.value.read()) == (404, b'{"message":"not found"}')
    assert containers(), "the function runs in one"
