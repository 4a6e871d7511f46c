"""The client against registries and packages that are damaged, hostile or somebody else's."""

import json
import os
import shutil
import tarfile
import urllib.parse

import pytest

from registry import MANIFEST, POOL, described, packed, stand_in


def assert_refused(npm, done, what=""):
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert "hint: " in done.stderr.decode() and what in done.stderr.decode()
    assert not npm.cli.folder.exists()


@pytest.mark.parametrize("token", [None, "npm_OfAnotherRegistry"], ids=["no token", "a wrong token"])
def test_who_has_no_right_token_gets_nothing_and_leaves_nothing(npm, registry, token):
    assert npm.publish().returncode == 0
    done = npm.pull(NPM_TOKEN=token)
    assert_refused(npm, done, "NPM_TOKEN")
    refused = npm.publish(NPM_TOKEN=token)
    assert refused.returncode == 3 and "NPM_TOKEN" in refused.stderr.decode(), refused.stderr
    assert registry.versions(npm.package) == ["1.0.0"]
    if token:
        assert token.encode() not in done.stdout + done.stderr + refused.stdout + refused.stderr


def test_a_package_that_anybody_can_read_is_told_and_not_published_to_again(npm, registry, stack):
    npm.package = npm.package.replace("@tests", "@public")
    for rotates in (False, True, False):
        if rotates:
            stack.rotate()
        done = npm.publish()
        assert done.returncode == 3 and b"can be read without a token" in done.stderr, done.stderr
    assert registry.versions(npm.package) == ["1.0.0"]


def test_a_token_that_no_header_can_hold_is_not_shown(npm):
    done = npm.pull(NPM_TOKEN="npm_Half\nnpm_TheOtherHalf")
    assert done.returncode in (2, 3)
    assert b"Half" not in done.stdout + done.stderr


def test_a_package_that_is_not_there_is_named(npm):
    assert_refused(npm, npm.pull(), npm.package)


def test_a_tarball_that_was_replaced_in_the_registry_is_refused(npm, registry, stack):
    npm.publish()
    stack.rotate()
    npm.publish()
    shutil.copy(registry.stored(npm.package, "1.0.0"), registry.stored(npm.package, "1.0.1"))
    assert_refused(npm, npm.pull(), "digest")


@pytest.mark.parametrize("dist", [
    {"integrity": None},
    {"integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
    {"integrity": "sha512-"},
    {"integrity": 7},
], ids=str)
def test_a_package_whose_integrity_nobody_can_check_is_refused(npm, registry, dist):
    registry.publish(npm.package, "1.0.0", packed(npm.files()), **dist)
    assert_refused(npm, npm.pull())


def test_a_package_of_another_group_is_refused(npm):
    assert npm.publish(COUNTERSIGN_GROUP="batch").returncode == 0
    assert_refused(npm, npm.pull())


def without(name):
    return lambda files: packed({path: content for path, content in files.items() if path != name})


def replaced(name, content):
    return lambda files: packed(files | {name: content})


def linked(name, kind, target):
    return lambda files: packed(
        {path: content for path, content in files.items() if path != name}, (name, {"type": kind, "linkname": target}))


@pytest.mark.parametrize("make", [
    lambda files: packed({}),
    lambda files: b"not gzip",
    lambda files: packed(files)[:-1000],
    without(MANIFEST),
    without(POOL),
    replaced(MANIFEST, b"{}"),
    replaced(POOL, b"A" * 4196352),
    linked(POOL, tarfile.SYMTYPE, "/dev/zero"),
    linked(POOL, tarfile.LNKTYPE, "package/groups/web/manifest.json"),
    linked(POOL, tarfile.FIFOTYPE, ""),
    linked(MANIFEST, tarfile.SYMTYPE, "/dev/zero"),
], ids=[
    "empty", "not an archive", "cut", "no manifest", "no pool", "an empty manifest", "another pool", "the pool is a link",
    "the pool is a hard link", "the pool is a pipe", "the manifest is a link"])
def test_a_package_that_does_not_hold_material_is_refused(npm, registry, make):
    registry.publish(npm.package, "1.0.0", make(npm.files()))
    assert_refused(npm, npm.pull())


@pytest.fixture
def in_little_memory(monkeypatch, tmp_path):
    """Has the client run in 400 MB of addresses."""
    wrapper = tmp_path / "countersign"
    wrapper.write_text(f'#!/bin/sh\nulimit -v 400000\nexec "{os.environ["COUNTERSIGN_BIN"]}" "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("COUNTERSIGN_BIN", str(wrapper))


@pytest.mark.parametrize("name", ["package/README.md", MANIFEST, POOL])
def test_a_bomb_is_not_unpacked(npm, registry, in_little_memory, name):
    files = {path: content for path, content in npm.files().items() if path != name}
    registry.publish(npm.package, "1.0.0", packed(files, (name, {"size": 1 << 29})))
    assert_refused(npm, npm.pull("", COUNTERSIGN_TIMEOUT="20"))


def test_whole_material_is_pulled_in_little_memory(npm, in_little_memory):
    """Else the test above would show nothing."""
    npm.publish()
    assert npm.pull().returncode == 0


@pytest.mark.parametrize("name, special", [
    ("package/../../outside", {}),
    ("../outside", {}),
    ("{outside}", {}),
    ("package/groups/web/pools/link", {"type": tarfile.SYMTYPE, "linkname": "{outside}"}),
    ("package/groups/web/pools", {"type": tarfile.SYMTYPE, "linkname": "{outside}"}),
    ("package/build", {"type": tarfile.SYMTYPE, "linkname": "{outside}"}),
    ("package/package.json", {"type": tarfile.LNKTYPE, "linkname": "{outside}"}),
    ("package/node", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_nothing_is_written_but_the_material(npm, registry, tmp_path, name, special):
    outside = str(tmp_path / "outside")
    special = {attribute: outside if value == "{outside}" else value for attribute, value in special.items()}
    registry.publish(npm.package, "1.0.0", packed(npm.files(), (name.format(outside=outside), special)))
    done = npm.pull()
    assert done.returncode in (0, 3), done.stderr
    manifest = npm.cli.stack.manifest()
    written = {path for path in tmp_path.rglob("*") if path.is_symlink() or not path.is_dir()}
    allowed = {npm.cli.folder / manifest["pool"]["key"], npm.cli.folder / "groups/web/manifest.json"}
    assert written == (allowed if done.returncode == 0 else set())


def packument(npm, tarball, url, **dist):
    document = {
        "name": npm.package, "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": described(npm.package, "1.0.0", tarball, url, **dist)}}
    return 200, {"Content-Type": "application/json"}, json.dumps(document)


@pytest.mark.parametrize("place", ["npm/private", "npm/private/"])
def test_a_registry_may_lie_below_a_path(npm, place):
    tarball = packed(npm.files())

    def answer(path):
        if path == f"/npm/private/{npm.package}":
            return packument(npm, tarball, f"{url}npm/private/")
        return (200, {}, tarball) if path.startswith("/npm/private/") and path.endswith(".tgz") else (404, {}, "{}")

    with stand_in(answer) as (url, received):
        done = npm.pull(NPM_REGISTRY=url + place)
    assert done.returncode == 0, (done.stderr, received)
    assert [headers["Authorization"] for _, headers in received] == [f"Bearer {npm.registry.token}"] * 2


@pytest.mark.parametrize("way", ["the packument names it", "the packument redirects there", "the tarball redirects there"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_token_is_not_sent_to_another_host(npm, way, name):
    tarball = packed(npm.files())

    def there(path):
        return (200, {}, tarball) if path.endswith(".tgz") else packument(npm, tarball, elsewhere)

    def here(path):
        if path.endswith(".tgz") or way == "the packument redirects there":
            return 302, {"Location": elsewhere.rstrip("/") + urllib.parse.quote(path, safe="/@")}, ""
        return packument(npm, tarball, elsewhere if way == "the packument names it" else url)

    with stand_in(there) as (other, strangers), stand_in(here) as (url, received):
        elsewhere = other.replace("127.0.0.1", name)
        done = npm.pull(NPM_REGISTRY=url)
    # A description is not looked for elsewhere, a tarball is.
    assert done.returncode == (3 if way == "the packument redirects there" else 0), done.stderr
    assert bool(strangers) == (done.returncode == 0)
    assert received[0][1]["Authorization"] == f"Bearer {npm.registry.token}"
    for path, headers in strangers:
        assert npm.registry.token not in path + str(headers)


def test_plain_http_is_for_this_machine_alone(npm):
    for url in ("http://192.0.2.1/", "http://localhost.example.com/", "ftp://127.0.0.1/", "registry"):
        for done in npm.pull(NPM_REGISTRY=url), npm.publish(NPM_REGISTRY=url):
            assert done.returncode == 2, (url, done.stderr)
            assert npm.registry.token.encode() not in done.stderr


@pytest.mark.parametrize("place", [
    "npm:", "npm:@tests", "npm:@tests/", "npm:@tests/..", "npm:@tests/../-/whoami", "npm:@tests/keys/more", "npm:@tests/keys?x",
    "npm:@tests/keys@", "npm:@tests/keys@../1", "npm:@tests/keys@1.0.0/x", "npm:@Tests/keys"])
def test_what_is_not_the_name_of_a_package_is_wrong_usage(npm, place):
    assert npm.run("pull", "--from", place).returncode == 2
