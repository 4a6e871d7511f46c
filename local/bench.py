"""Prints each budget beside its yardstick; ends with 1 where one does not hold. Called by scripts/bench."""

import contextlib
import http.server
import io
import json
import os
import pathlib
import re
import shlex
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile

import boto3

RUNS = 21
release, target, build = map(pathlib.Path, sys.argv[1:])
functions = {
    name: build / f"{name.capitalize()}Function/bootstrap" for name in ("exchange", "token", "authorize", "issue", "provision", "enroll", "rotate")}
missed = []


def show(what, measured, unit, budget, yardstick):
    holds = measured <= budget
    missed.extend([] if holds else [what])
    print(f"{what:<34}{measured:>10.2f} {unit:<4} budget {budget:>8.2f} {unit:<4} {'holds' if holds else 'MISSED':<7} {yardstick}")


def criterion(name):
    folder = re.sub(r'[?"/\\*<>:|^]', "_", name)
    return json.loads((target / "criterion" / folder / "new/estimates.json").read_text())["median"]["point_estimate"] / 1e6


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """A Lambda runtime API that has no invocation to give; it notes when it is first asked."""

    polled = threading.Event()
    at = 0.0

    def do_GET(self):
        RuntimeApi.at = time.perf_counter()
        RuntimeApi.polled.set()
        time.sleep(1)

    def log_message(self, *args):
        pass


def init(binary, port, **settings):
    """Milliseconds from process start to the first poll, less what the function says its prefetch took."""
    RuntimeApi.polled.clear()
    environment = {
        "PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}", "AWS_LAMBDA_FUNCTION_NAME": "bench",
        "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_LOG_GROUP_NAME": "g",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"} | settings
    began = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        if not RuntimeApi.polled.wait(20):
            sys.exit(f"{binary} did not poll")
        total = (RuntimeApi.at - began) * 1e3
    finally:
        process.kill()
        lines = process.communicate()[0].splitlines()
    return total - sum(json.loads(line).get("elapsed_ms", 0) for line in lines if line.startswith("{"))


def run(command):
    """Milliseconds of a whole process, and its peak memory in MiB."""
    # A child's peak counts from the fork, so a small process of its own asks for it.
    probe = (
        "import resource, subprocess, sys, time; began = time.perf_counter();"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
        "print((time.perf_counter() - began) * 1e3, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)")
    shown = subprocess.run([sys.executable, "-S", "-c", probe, *command], capture_output=True, text=True, check=True)
    return tuple(map(float, shown.stdout.split()))


def idle_agent(binary, folder, *arguments):
    """The peak memory in MiB of an agent that has its items and then waits."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [binary, "agent", *arguments, "--listen", endpoint], env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
        stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"http://{endpoint}/ready"):
                break
            if time.monotonic() > deadline:
                sys.exit("the agent does not become ready")
            time.sleep(0.1)
        time.sleep(5)
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024
    finally:
        process.terminate()
        process.wait()


def medians(rows):
    return [statistics.median(column) for column in zip(*rows)]


print(f"{'':<34}{'measured':>10}")
rsa, exchange = criterion("rsa-3072 private operation"), criterion("exchange, 3072 bits, one secret")
show("exchange, processor", exchange, "ms", 1.25 * rsa, f"1.25 x one RSA-3072 private operation, {rsa:.2f} ms")

print(f"{'device certificates':<34}{'a second and core':>20}{'the raw operations alone':>28}")
for kind, certificate, raw in (
        ("key P-256, CA P-256", "P-256: key and certificate under P-256", "P-256: generation and signature alone"),
        ("CSR P-256, CA P-256", "P-256: request read and certificate under P-256", None),
        ("key RSA-2048, CA P-256", "RSA-2048: key and certificate under P-256", "RSA-2048: generation and P-256 signature alone")):
    alone = f"{1e3 / criterion(raw):>28.0f}" if raw else ""
    print(f"{kind:<34}{1e3 / criterion(certificate):>20.0f}{alone}")

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_port
settings = {
    "AUDIENCE": "a", "GROUPS": "web", "BUCKET": "b", "KEY_SECRET": "c/k", "AUDIT_DAYS": "1", "LEDGER_TABLE": "t",
    "TOKEN_KEY_SECRET": "c/t", "TOKEN_SECONDS": "60", "MAX_TOKEN_SECONDS": "60", "NONCE_RATE": "1", "KEY_BITS": "3072", "ACCEPT_SECONDS": "60", "URL_PARAMETER": "/u",
    "BULK_ROLE_ARN": "r", "IOT_ARNS": "i", "DEVICE_CERTIFICATE_DAYS": "1", "DELETE_CERTIFICATES": "true", "DELETE_POLICIES": "false",
    "STEP_SECRETS": "c/step-ca", "CODE_KEY_SECRET": "c/enroll/code-key", "WEBHOOK_KEY_SECRET": "c/enroll/webhook-key", "ENROLL_RATE": "1",
    "CODES_PER_DAY": "1", "MAIL_SENDER": "sender@example.com", "WEBHOOK_URL": "https://localhost:1"}
rows = [
    [init(release / "empty", port), *(init(binary, port, **settings) for binary in functions.values())] for _ in range(RUNS)]
empty, *inits = medians(rows)
for name, measured in zip(functions, inits):
    show(f"{name}, init without prefetch", measured, "ms", 2 * empty, f"2 x an empty lambda_http function, {empty:.2f} ms")

# A warm broker on this machine: the deployed function's binary and settings, on a port. The local AWS's own gateway stays
# out of it, as it does for the yardstick; it waits up to 50 ms for each function's error output.
variables = boto3.client("lambda").get_function_configuration(FunctionName="countersign-exchange")["Environment"]["Variables"]
broker = subprocess.Popen(
    [functions["exchange"]], env=os.environ | variables | {"LISTEN": "127.0.0.1:0"}, stdout=subprocess.PIPE, text=True)
try:
    lines = (json.loads(line) for line in broker.stdout)
    address = next(line["address"] for line in lines if line.get("message") == "listening")
    threading.Thread(target=broker.stdout.read, daemon=True).start()
    client = str(release / "countersign")
    through_gateway = [client, "get", "app/bench"]
    ours = [*through_gateway, "--url", f"http://{address}"]
    theirs = ["aws", "secretsmanager", "get-secret-value", "--secret-id", "app/bench"]
    # To the child's first instruction, and a little further: true ends at once.
    wants = ["--env", "A=secret:app/bench", "--env", "B=secret:app/bench2", "--url", f"http://{address}"]
    start = [client, "exec", *wants, "--", "true"]
    twice = ["sh", "-c", f"{shlex.join(theirs)}; {shlex.join(theirs)}2"]
    commands = ours, theirs, through_gateway, start, twice
    for command in commands:
        run(command)
    # In turn, so that whatever else the machine does strikes all of them.
    rows = [[run(command) for command in commands] for _ in range(RUNS)]
    runtime = build.parent / "runtime"
    runtime.mkdir(mode=0o700)
    agent_mib = idle_agent(client, runtime, *wants)
finally:
    broker.terminate()
(get_ms, get_mib), (aws_ms, aws_mib), (gateway_ms, _), (exec_ms, _), (twice_ms, _) = map(medians, zip(*rows))
show("countersign get, whole process", get_ms, "ms", aws_ms / 30, f"1/30 of aws secretsmanager get-secret-value, {aws_ms:.0f} ms")
show("countersign get, peak memory", get_mib, "MiB", aws_mib / 4, f"1/4 of the same, {aws_mib:.0f} MiB")
show("countersign exec, two secrets", exec_ms, "ms", twice_ms / 40, f"1/40 of the same for each of them, {twice_ms:.0f} ms")
show("countersign agent, idle, peak", agent_mib, "MiB", 10, "10 MiB")

for name, binary in functions.items():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(binary, "bootstrap")
    show(f"{name}, zip", len(packed.getvalue()) / 1e6, "MB", 6, "6 MB")
print(f"countersign get through the local AWS's gateway: {gateway_ms:.2f} ms")
print(f"countersign, binary: {(release / 'countersign').stat().st_size / 1e6:.2f} MB")
if missed:
    sys.exit(f"missed: {', '.join(missed)}")
