"""What docs/examples shows of Docker, Amazon ECS, Kubernetes and systemd is valid, by whoever reads it, and by the client.

Needs no stack, only COUNTERSIGN_BIN and the tools of local/requirements/check.txt: pytest --noconftest tests/e2e/test_packaging.py
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator

ROOT = pathlib.Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
CLIENT = os.environ.get("COUNTERSIGN_BIN", "countersign")
# Where an image or a unit has it.
INSTALLED = ("countersign", "/countersign", "/usr/local/bin/countersign")
# What the client's own image starts.
ENTRYPOINT = ["/countersign"]

MANIFESTS = sorted(EXAMPLES.glob("kubernetes/*.yaml"))
TASKS = sorted(EXAMPLES.glob("ecs/*.json"))
UNITS = sorted(EXAMPLES.glob("systemd/*.service"))
FILES = sorted(EXAMPLES.rglob("*.toml"))
PAGES = [ROOT / "README.md", DOCS / "containers.md", DOCS / "operations.md"]


def name_of(path):
    return str(path.relative_to(ROOT))


def tool(name):
    """A program of local/requirements/check.txt, which scripts/check has installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:{ROOT}/.tools/check/bin")
    assert found, f"{name} is missing: scripts/check installs it"
    return found


def passes(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def client(*arguments, variables=None):
    """The client, with just these of its variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    return passes(CLIENT, *arguments, env=own | (variables or {}))


def checked(tmp_path, toml=None, variables=None):
    """What `countersign config check` says of a configuration in a file, in variables, or in both."""
    arguments = ["config", "check"]
    if toml is not None:
        file = tmp_path / "countersign.toml"
        file.write_text(toml)
        file.chmod(0o644)
        arguments += ["--config", str(file)]
    return client(*arguments, variables=variables)


def parses(words):
    """Whether a command line is one of the client's: what stands before a help flag is read, and refused where it is unknown."""
    assert words[0] in INSTALLED, words
    own = words[1 : words.index("--")] if "--" in words else words[1:]
    assert own, "no command"
    assert "Usage: countersign" in client(*own, "--help")


def resources(path):
    return list(yaml.safe_load_all(path.read_text()))


def pods(path):
    return [resource["spec"]["template"] for resource in resources(path) if resource["kind"] in ("Deployment", "Job")]


def containers(pod):
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def ours(container):
    """Whether the container is the client's own image."""
    return "countersign-client" in container["image"]


def started(container, command, arguments):
    """What a container starts, where it is the client."""
    words = container.get(command, ENTRYPOINT if ours(container) else []) + container.get(arguments, [])
    return words if words and words[0] in INSTALLED else None


def probes(container):
    return [container[probe]["exec"]["command"] for probe in container if probe.endswith("Probe")]


def unit(path):
    """A unit's assignments, in order."""
    lines = path.read_text().splitlines()
    return [tuple(line.split("=", 1)) for line in lines if re.match(r"[A-Z][A-Za-z]+=", line)]


def set_by(path):
    """The variables that a unit sets."""
    words = [word for key, value in unit(path) if key == "Environment" for word in shlex.split(value)]
    return dict(word.split("=", 1) for word in words)


# Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_kubernetes_knows_every_member_of_its_manifests(path):
    passes(tool("kubernetes-validate"), "--strict", str(path))


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_manifests_start_the_client_as_it_wants_to_be_started(path, tmp_path):
    maps = {resource["metadata"]["name"]: resource["data"] for resource in resources(path) if resource["kind"] == "ConfigMap"}
    count = 0
    for pod in pods(path):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in containers(pod):
            words = started(container, "command", "args")
            for line in probes(container):
                parses(line)
            if words is None:
                continue
            count += 1
            parses(words)
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            config = mounts["/etc/countersign.toml"]
            data = maps[volumes[config["name"]]["configMap"]["name"]]
            assert checked(tmp_path, data[config["subPath"]])
    assert count == 1


@pytest.mark.parametrize("path", MANIFESTS, ids=name_of)
def test_what_manifests_write_is_in_memory_and_for_one_user(path):
    for pod in pods(path):
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] and context["runAsUser"] and context["fsGroup"]
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert not {"runAsUser", "runAsGroup"} & set(container["securityContext"])
        empty = [volume["emptyDir"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume]
        assert empty and all(volume["medium"] == "Memory" and volume["sizeLimit"] for volume in empty)


@pytest.mark.parametrize("name", ["sidecar.yaml", "init.yaml"])
def test_the_program_of_a_pod_does_not_see_the_pool(name):
    [pod] = pods(EXAMPLES / "kubernetes" / name)
    [program] = pod["spec"]["containers"]
    assert [mount["name"] for mount in program["volumeMounts"]] == ["shared"]
    # Nor does it get the role that reads it, which SDKs would take before the endpoint.
    assert pod["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == program["name"]


def test_the_sidecar_is_a_native_one_that_is_waited_for():
    [pod] = pods(EXAMPLES / "kubernetes" / "sidecar.yaml")
    [agent] = pod["spec"]["initContainers"]
    assert agent["restartPolicy"] == "Always" and "startupProbe" in agent and "readinessProbe" not in agent


# Amazon ECS


def enums(value, shape, path=""):
    """The strings of a request that must be one of some, and are not."""
    if shape.type_name == "structure":
        return [wrong for name in value for wrong in enums(value[name], shape.members[name], f"{path}.{name}")]
    if shape.type_name == "list":
        return [wrong for i, item in enumerate(value) for wrong in enums(item, shape.member, f"{path}[{i}]")]
    allowed = getattr(shape, "enum", None)
    return [f"{path}: {value}"] if allowed and value not in allowed else []


@pytest.mark.parametrize("path", TASKS, ids=name_of)
def test_task_definitions_are_requests_of_register_task_definition(path):
    task = json.loads(path.read_text())
    model = botocore.session.get_session().get_service_model("ecs")
    shape = model.operation_model("RegisterTaskDefinition").input_shape
    report = ParamValidator().validate(task, shape)
    assert not report.has_errors(), report.generate_report()
    assert enums(task, shape) == []


@pytest.mark.parametrize("path", TASKS, ids=name_of)
def test_task_definitions_start_the_client_as_it_wants_to_be_started(path, tmp_path):
    task = json.loads(path.read_text())
    count = 0
    for container in task["containerDefinitions"]:
        if "healthCheck" in container:
            [shell, *line] = container["healthCheck"]["command"]
            assert shell == "CMD", "there is no shell"
            parses(line)
        words = started(container, "entryPoint", "command")
        if words is None:
            continue
        count += 1
        parses(words)
        variables = {variable["name"]: variable["value"] for variable in container["environment"]}
        assert "secret:app/db#password" in checked(tmp_path, variables=variables)
    assert count == 1


def test_the_program_of_a_task_starts_when_the_agent_is_healthy_and_asks_it():
    task = json.loads((EXAMPLES / "ecs" / "agent.json").read_text())
    by_name = {container["name"]: container for container in task["containerDefinitions"]}
    agent, program = by_name["countersign"], by_name["web"]
    assert task["networkMode"] == "awsvpc", "its containers have one loopback address"
    assert agent["essential"] and agent["user"] == program["user"]
    # An essential container that is unhealthy has the task replaced: one item that is missing later must not.
    assert agent["healthCheck"]["command"][-2:] == ["probe", "started"]
    for container in agent, program:
        assert {"name": "AWS_REGION", "value": "eu-west-1"} in container["environment"], "EC2 sets none"
    assert program["dependsOn"] == [{"containerName": "countersign", "condition": "HEALTHY"}]
    listen = {variable["name"]: variable["value"] for variable in agent["environment"]}["COUNTERSIGN_LISTEN"]
    asked = {variable["name"]: variable["value"] for variable in program["environment"]}
    assert asked["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith(f"http://{listen}/credentials/")
    # SDKs look at the task's own role first.
    assert program["entryPoint"] == ["env", "-u", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]


# Docker


def instructions(path):
    """A Dockerfile's instructions, the last one of a name."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)


def test_the_compose_file_is_one():
    passes(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(EXAMPLES / "docker" / "compose.yaml"))


def test_the_image_starts_the_client_with_a_configuration_that_holds(tmp_path):
    folder = EXAMPLES / "docker"
    dockerfile = instructions(folder / "Dockerfile")
    parses(json.loads(dockerfile["ENTRYPOINT"]) + json.loads(dockerfile["CMD"]))
    copied = re.findall(r"^COPY (?:--chmod=\S+ )?(\S+) ", (folder / "Dockerfile").read_text(), re.M)
    assert all((folder / name).is_file() for name in copied if not name.startswith("--from"))
    service = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["web"]
    assert service["read_only"] is True and service["tmpfs"]
    variables = {name: value for name, value in service["environment"].items() if name.startswith("COUNTERSIGN_")}
    assert "DB_PASSWORD" in checked(tmp_path, (folder / "countersign.toml").read_text(), variables)


# systemd


@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_units_start_the_client_as_it_wants_to_be_started(path, tmp_path):
    commands = [value for key, value in unit(path) if key.startswith("Exec")]
    lines = [found for value in commands for found in re.findall(r"/usr/local/bin/countersign .+?(?= 2>|[;']|$)", value)]
    assert lines
    for line in lines:
        parses(shlex.split(line))
    variables = {name: value for name, value in set_by(path).items() if name.startswith("COUNTERSIGN_")}
    toml = None if variables else (path.parent / "countersign.toml").read_text()
    assert "secret:app/db" in checked(tmp_path, toml, variables)


@pytest.mark.parametrize("path", UNITS, ids=name_of)
def test_systemd_knows_every_member_of_its_units(path, tmp_path):
    """scripts/test says so where there is no systemd to ask."""
    if analyze := shutil.which("systemd-analyze"):
        programs = re.sub(r"/usr/local/bin/\w+", "/bin/true", path.read_text())
        (tmp_path / path.name).write_text(programs)
        done = subprocess.run([analyze, "verify", str(tmp_path / path.name)], capture_output=True, text=True, timeout=60)
        said = [line for line in done.stderr.splitlines() if path.name in line]
        assert done.returncode == 0 and said == [], done.stderr


# countersign.toml


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_configurations_hold_and_the_schema_describes_them(path, tmp_path):
    assert checked(tmp_path, path.read_text())
    passes(tool("check-jsonschema"), "--schemafile", str(DOCS / "countersign.schema.json"), str(path))


def test_the_full_example_has_every_member_that_the_schema_knows():
    text = (EXAMPLES / "countersign.toml").read_text()
    schema = json.loads((DOCS / "countersign.schema.json").read_text())
    for name in members(schema, schema):
        assert re.search(rf"\b{name}\b", text), name


def members(schema, whole):
    """The names of all properties below a schema."""
    if isinstance(schema, list):
        return {name for each in schema for name in members(each, whole)}
    if not isinstance(schema, dict):
        return set()
    names = set(schema.get("properties", {}))
    return names | {name for each in schema.values() for name in members(each, whole)}


# Pages


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_that_pages_show_are_the_clients(path):
    """Those of what stays, and of what helps to set it up. Each in one line, with a variable or two before it at most."""
    shown = re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.M | re.S)
    lines = [line for block in shown for line in block.replace("\\\n", " ").splitlines()]
    pattern = r"^(?:[A-Z_]+=\S+ )*(countersign (?:exec|agent|probe|credential-process|config|doctor) ?.*)$"
    for line in filter(None, (re.match(pattern, line) for line in lines)):
        parses(shlex.split(line[1].split(" >")[0], comments=True))


def test_links_of_the_page_on_containers_lead_somewhere():
    page = DOCS / "containers.md"
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
