"""The command, against the deployed stack."""

import base64
import functools
import http.server
import json
import os
import pathlib
import re
import stat
import threading

import boto3


def test_pull_and_get(cli):
    cli.pull()
    done = cli.run("get", "app/db")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"correct horse battery staple", b"")


def test_get_pulls_by_itself_where_it_is_told_from_where(cli, stack):
    done = cli.run("get", "app/db", COUNTERSIGN_FROM=f"s3://{stack.bucket}")
    assert (done.returncode, done.stdout) == (0, b"correct horse battery staple")


def test_binary_secrets_are_intact(cli):
    cli.pull()
    assert cli.run("get", "app/keystore").stdout == bytes(range(256))
    shown = json.loads(cli.run("get", "app/keystore", "--json").stdout)
    assert base64.b64decode(shown["secret_binary"]) == bytes(range(256))
    assert shown["id"] == "app/keystore" and shown["version_stages"] == ["AWSCURRENT"]


def test_material_is_open_to_its_owner_alone(cli):
    cli.pull()
    for path in cli.folder.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_pool_that_others_can_read_is_refused_with_a_hint(cli):
    cli.pull()
    [pool] = cli.folder.glob("groups/web/pools/*")
    for mode in (0o640, 0o604):
        pool.chmod(mode)
        done = cli.run("get", "app/db")
        assert done.returncode == 3
        assert done.stdout == b""
        assert f"hint: chmod 600 {pool}" in done.stderr.decode()


# Root alone can give files away; scripts/test says aloud where this is not tried.
if os.geteuid() == 0:

    def test_files_of_another_user_are_refused(cli):
        cli.pull()
        for path in (cli.folder / "groups/web/manifest.json", *cli.folder.glob("groups/web/pools/*")):
            os.chown(path, 4711, -1)
            done = cli.run("get", "app/db")
            assert done.returncode == 3 and f"{path} belongs to another user" in done.stderr.decode()
            os.chown(path, 0, -1)
        assert cli.run("get", "app/db").returncode == 0


def test_a_pipe_in_the_pools_place_is_not_waited_for(cli):
    cli.pull()
    [pool] = cli.folder.glob("groups/web/pools/*")
    pool.unlink()
    os.mkfifo(pool, 0o600)
    done = cli.run("get", "app/db")
    assert done.returncode == 3 and "is damaged: not a file" in done.stderr.decode()


def test_a_truncated_pool_is_refused(cli):
    cli.pull()
    [pool] = cli.folder.glob("groups/web/pools/*")
    pool.write_bytes(pool.read_bytes()[:-1])
    done = cli.run("get", "app/db")
    assert done.returncode == 3 and "not the pool that the manifest describes" in done.stderr.decode()


def test_a_pool_that_was_altered_is_named_once_the_broker_refuses(cli, stack):
    cli.pull()
    [pool] = cli.folder.glob("groups/web/pools/*")
    pool.write_bytes(bytes(pool.stat().st_size))
    done = cli.run("get", "app/db")
    assert done.returncode == 3 and "not the pool that the manifest describes" in done.stderr.decode()
    assert "hint: fetch it again" in done.stderr.decode()
    # Told where from, the client fetches a whole one by itself.
    done = cli.run("get", "app/db", "--from", f"s3://{stack.bucket}")
    assert (done.returncode, done.stdout) == (0, b"correct horse battery staple"), done.stderr


def test_errors_have_their_exit_code_and_a_hint(cli, stack):
    done = cli.run("get", "app/db")
    assert done.returncode == 3 and "countersign pull" in done.stderr.decode()
    cli.pull()
    for code, name in ((5, "app/admin/codes"), (5, "ops/root"), (6, "app/nothing")):
        done = cli.run("get", name)
        assert (done.returncode, done.stdout) == (code, b""), done.stderr
        assert "hint: " in done.stderr.decode() and name in done.stderr.decode()
    done = cli.run("get", "app/db", "--url", "http://127.0.0.1:1", "--timeout", "20")
    assert done.returncode == 7 and "5 tries" in done.stderr.decode()
    done = cli.run("get", "app/db", "--url", "http://127.0.0.1:1", "--timeout", "1")
    assert done.returncode == 7 and "hint: " in done.stderr.decode()
    done = cli.run("get", "app/db", "--url", "not a url")
    assert done.returncode == 2 and "hint: it begins with https://" in done.stderr.decode()
    done = cli.run("get", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-AbCdEf")
    assert done.returncode == 2 and "not its ARN" in done.stderr.decode()
    done = cli.run("pull", "--from", "s3://no-such-bucket-here")
    assert done.returncode == 3 and "hint: " in done.stderr.decode()
    assert cli.run("get").returncode == 2
    assert cli.run("pull").returncode == 2


def test_a_manifest_of_another_deployment_is_refused_by_the_broker(cli, stack):
    cli.pull()
    path = cli.folder / "groups/web/manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"audience": "another"}))
    done = cli.run("get", "app/db")
    assert done.returncode == 4 and "request id" in done.stderr.decode()
    # Told where from, the client fetches the right one by itself.
    done = cli.run("get", "app/db", "--from", f"s3://{stack.bucket}")
    assert (done.returncode, done.stdout) == (0, b"correct horse battery staple"), done.stderr


def test_pull_from_a_folder_and_over_http(cli, stack, tmp_path):
    cli.pull()
    copied = cli.run("pull", "--from", str(cli.folder), COUNTERSIGN_MATERIAL=str(tmp_path / "copy"))
    assert copied.returncode == 0, copied.stderr
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(cli.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        done = cli.run("pull", "--from", place, COUNTERSIGN_MATERIAL=str(tmp_path / "web"))
        server.shutdown()
    assert done.returncode == 0, done.stderr
    done = cli.run("get", "app/db", COUNTERSIGN_MATERIAL=str(tmp_path / "web"))
    assert done.stdout == b"correct horse battery staple"
    assert cli.run("pull", "--from", "http://192.0.2.1/").returncode == 2, "plain http is for this machine alone"


def test_the_documented_policy_is_enough_for_a_groups_own_material_and_for_no_others(cli, stack):
    """docs/operations.md, "Clients"."""
    iam = boto3.client("iam")
    page = pathlib.Path(__file__).parent.parent.parent / "docs/operations.md"
    policy = re.search(r"```json\n(.*?)```", page.read_text(), re.DOTALL)[1].replace("BUCKET", stack.bucket)
    iam.create_user(UserName="web-client")
    iam.put_user_policy(UserName="web-client", PolicyName="material", PolicyDocument=policy)
    key = iam.create_access_key(UserName="web-client")["AccessKey"]
    identity = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    cli.pull(**identity)
    assert cli.run("get", "app/db", **identity).stdout == b"correct horse battery staple"
    done = cli.run("pull", "--group", "batch", "--from", f"s3://{stack.bucket}", **identity)
    assert done.returncode == 3 and "AccessDenied" in done.stderr.decode()


def test_what_s3_needs_and_is_not_there_is_told_at_once(cli, stack):
    pull = "pull", "--from", f"s3://{stack.bucket}"
    done = cli.run(*pull, AWS_REGION=None, AWS_DEFAULT_REGION=None)
    assert (done.returncode, done.stdout) == (3, b"") and done.stderr.startswith(b"error: no AWS region is set\nhint: set AWS_REGION")
    done = cli.run(*pull, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    assert (done.returncode, done.stdout) == (3, b"") and done.stderr.startswith(b"error: there are no AWS credentials\nhint: ")
