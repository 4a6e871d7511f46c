"""Material as a private npm package: published, pulled by the client, installed by npm, and kept up by the rotation."""

import contextlib
import json
import os
import subprocess
import time

import boto3
import pytest
from Crypto.PublicKey import RSA
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.jwk import RSAKey

import logs
from privileges import role_of
from registry import MANIFEST, POOL, ROOT, packed, stand_in, unpacked
from stack import STACK

SECRET = b"correct horse battery staple"


def published(registry, package):
    """The files of a package's latest version."""
    latest = registry.packument(package)["dist-tags"]["latest"]
    return unpacked(registry.stored(package, latest).read_bytes())


def test_the_first_version_holds_what_clients_old_and_new_look_for(npm, registry, stack):
    done = npm.publish()
    assert done.returncode == 0, done.stderr
    assert registry.versions(npm.package) == ["1.0.0"]
    files = published(registry, npm.package)
    assert set(files) == {"package/package.json", MANIFEST, POOL, "package/build/public.pem"}
    manifest = stack.manifest()
    assert json.loads(files[MANIFEST]) == manifest
    assert files[POOL] == stack.pool(manifest)
    about = json.loads(files["package/package.json"])
    assert (about["name"], about["version"]) == (npm.package, "1.0.0")


def test_a_generation_is_published_once(npm, registry):
    for _ in range(2):
        done = npm.publish()
        assert done.returncode == 0, done.stderr
    assert registry.versions(npm.package) == ["1.0.0"]


def test_the_next_generation_is_the_next_patch_version(npm, registry, stack):
    for _ in range(2):
        npm.publish()
        stack.rotate()
    assert registry.versions(npm.package) == ["1.0.0", "1.0.1"]
    assert registry.packument(npm.package)["dist-tags"]["latest"] == "1.0.1"


@pytest.mark.parametrize("there, next_one", [(["2.3.4"], "2.3.5"), (["2.3.10", "2.3.9"], "2.3.11")])
def test_versions_follow_the_highest_that_is_there(npm, registry, there, next_one):
    for version in there:
        registry.publish(npm.package, version, packed({"package/package.json": b"{}"}))
    done = npm.publish()
    assert done.returncode == 0, done.stderr
    assert registry.versions(npm.package) == [*there, next_one]


def test_pull_and_get(npm):
    npm.publish()
    done = npm.pull()
    assert done.returncode == 0, done.stderr
    done = npm.run("get", "app/db")
    assert (done.returncode, done.stdout) == (0, SECRET), done.stderr


def test_a_version_can_be_named(npm, stack):
    npm.publish()
    old = stack.manifest()
    stack.rotate()
    npm.publish()
    for version, manifest in {"@1.0.0": old, "@1.0.1": stack.manifest(), "": stack.manifest()}.items():
        done = npm.pull(version)
        assert done.returncode == 0, done.stderr
        assert json.loads((npm.cli.folder / "groups/web/manifest.json").read_text()) == manifest
    done = npm.pull("@9.9.9")
    assert done.returncode == 3 and "hint: " in done.stderr.decode()


def test_get_pulls_by_itself_what_is_missing_or_outdated(npm, stack):
    npm.publish()
    place = f"npm:{npm.package}"
    done = npm.run("get", "app/db", COUNTERSIGN_FROM=place)
    assert (done.returncode, done.stdout) == (0, SECRET), done.stderr
    # The second rotation ends the pool at hand.
    for _ in range(2):
        stack.rotate()
    stack.restart()
    npm.publish()
    assert npm.run("get", "app/db").returncode == 4
    done = npm.run("get", "app/db", COUNTERSIGN_FROM=place)
    assert (done.returncode, done.stdout) == (0, SECRET), done.stderr


def test_npm_installs_what_clients_of_the_older_service_read(npm, registry, stack, tmp_path):
    npm.publish()
    folder = tmp_path / "service"
    folder.mkdir()
    host = registry.url.removeprefix("http:")
    (folder / ".npmrc").write_text(f"{npm.package.split('/')[0]}:registry={registry.url}\n{host}:_authToken=${{NPM_TOKEN}}\n")
    tools = ROOT / ".tools/node/bin"
    environment = os.environ | registry.environment | {
        "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "npm_config_audit": "false",
        "npm_config_update_notifier": "false"}
    done = subprocess.run([tools / "npm", "install", npm.package], cwd=folder, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    build = folder / "node_modules" / npm.package / "build"
    manifest = stack.manifest()
    assert (build / "info2048.bin").read_bytes() == stack.pool(manifest)
    pem = (build / "public.pem").read_bytes()
    key = RSAKey.import_key(manifest["server_key"]).public_key.public_numbers()
    assert load_pem_public_key(pem).public_numbers() == key
    theirs = RSA.import_key(pem)
    assert (theirs.n, theirs.e) == (key.n, key.e)


def test_the_script_publishes_with_what_the_environment_names(npm, registry):
    scope, name = npm.package.split("/")
    environment = os.environ | registry.environment | {"NPM_SCOPE": scope, "NPM_PACKAGE": name, "CLIENT_GROUP": "web"}
    done = subprocess.run([ROOT / "scripts/publish-keys-npm"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert registry.versions(npm.package) == ["1.0.0"]
    del environment["NPM_TOKEN"]
    done = subprocess.run([ROOT / "scripts/publish-keys-npm"], env=environment, capture_output=True)
    assert done.returncode != 0 and "NPM_TOKEN" in done.stderr.decode()


@contextlib.contextmanager
def rotation_publishes(stack, package, url, token):
    """The function rotate, told to publish the group web's material there."""
    name = f"{STACK}-rotate"
    settings = stack.lambda_.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    changes = {"NPM_PACKAGES": f"web={package}", "NPM_REGISTRY": url}
    stack.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": settings | changes})
    secrets = boto3.client("secretsmanager")
    secrets.create_secret(Name=settings["NPM_TOKEN_SECRET"], SecretString=token)
    try:
        yield
    finally:
        secrets.delete_secret(SecretId=settings["NPM_TOKEN_SECRET"], ForceDeleteWithoutRecovery=True)
        stack.lambda_.update_function_configuration(FunctionName=name, Environment={"Variables": settings})


def test_a_rotation_publishes_by_itself(npm, registry, stack):
    with rotation_publishes(stack, npm.package, registry.url, registry.token):
        reports = [stack.rotate(), stack.rotate()]
    assert [report["published"] for report in reports] == [
        [{"group": "web", "package": npm.package, "version": version}] for version in ("1.0.0", "1.0.1")]
    assert registry.versions(npm.package) == ["1.0.0", "1.0.1"]
    assert json.loads(published(registry, npm.package)[MANIFEST]) == stack.manifest()
    assert npm.pull().returncode == 0
    assert npm.run("get", "app/db").stdout == SECRET


def stall(path):
    # Longer than the function may run.
    time.sleep(400)


@contextlib.contextmanager
def unreadable_token():
    """The function rotate's role, without what lets it read the token."""
    iam = boto3.client("iam")
    role = {"RoleName": role_of("rotate"), "PolicyName": "rotate"}
    whole = iam.get_role_policy(**role)["PolicyDocument"]
    less = [statement for statement in whole["Statement"] if statement["Sid"] != "NpmToken"]
    assert less != whole["Statement"]
    iam.put_role_policy(**role, PolicyDocument=json.dumps(whole | {"Statement": less}))
    try:
        yield
    finally:
        iam.put_role_policy(**role, PolicyDocument=json.dumps(whole))


@contextlib.contextmanager
def trouble(kind, registry):
    """Yields a registry's URL and a token with which nothing can be published."""
    url, token = registry.url, registry.token
    match kind:
        case "it is down":
            yield "http://127.0.0.1:1/", token
        case "it fails":
            with stand_in(lambda path: (500, {}, "{}")) as (failing, _):
                yield failing, token
        case "it stalls":
            with stand_in(stall) as (stalling, _):
                yield stalling, token
        case "it refuses the token":
            yield url, "npm_OfAnotherRegistry"
        case "the token cannot be read":
            with unreadable_token():
                yield url, token


@pytest.mark.parametrize("kind", [
    "it is down", "it fails", "it stalls", "it refuses the token", "the token cannot be read"])
def test_a_rotation_goes_through_where_the_registry_takes_nothing(npm, registry, stack, kind):
    before, since = stack.manifest(), int(time.time() * 1000)
    with trouble(kind, registry) as (url, token), rotation_publishes(stack, npm.package, url, token):
        report = stack.rotate()
    assert stack.manifest()["generation"] == before["generation"] + 1
    assert {rotated["group"] for rotated in report["rotated"]} == {"web", "batch"}
    [published] = report["published"]
    assert published["package"] == npm.package and published["failed"] and "version" not in published
    logs.awaited(lambda: logs.messages("rotate", since, "not published"), "rotate")
    assert token not in "".join(logs.messages("rotate", since)) + json.dumps(report)


def test_what_a_rotation_could_not_publish_is_made_up_for(npm, registry, stack):
    with rotation_publishes(stack, npm.package, "http://127.0.0.1:1/", registry.token):
        stack.rotate()
    manifest = stack.manifest()
    with rotation_publishes(stack, npm.package, registry.url, registry.token):
        report = stack.rotate(new_groups_only=True)
    assert report["rotated"] == [] and stack.manifest() == manifest
    assert registry.versions(npm.package) == ["1.0.0"]
    assert json.loads(published(registry, npm.package)[MANIFEST]) == manifest
