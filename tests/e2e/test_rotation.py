"""Rotation under load and across generations, through API Gateway."""

import itertools
import json
import threading
import time

import boto3

import logs
from stack import STACK
from waiting import until

SECRET = {"type": "secret", "id": "app/db"}


def test_rotation_keeps_old_and_new_material_working(stack):
    old = stack.manifest()
    old_pool = stack.pool(old)
    report = stack.rotate()
    new = stack.manifest()
    assert report["new_server_key"] and report["kid"] == new["server_key"]["kid"] != old["server_key"]["kid"]
    assert new["generation"] == old["generation"] + 1
    assert new["previous"]["id"] == old["pool"]["id"] != new["pool"]["id"]
    assert stack.exchange([SECRET], old, old_pool)[0] == 200
    assert stack.exchange([SECRET])[0] == 200
    # Two rotations later the oldest material is of no use: at once from cold, within a minute from warm.
    stack.rotate()
    stack.restart()
    assert stack.exchange([SECRET], old, old_pool)[0] == 401
    assert stack.exchange([SECRET])[0] == 200


def test_a_load_of_parallel_gets_through_a_rotation_sees_no_failure(cli, stack):
    cli.pull()
    place = f"s3://{stack.bucket}"
    since = int(time.time() * 1000)
    failed, served, stop = [], [], threading.Event()

    def get(worker):
        for number in itertools.count():
            if stop.is_set():
                return
            # Some clients have the material at hand, some fetch the newest each time.
            fresh = worker % 2 == 0 and number % 3 == 0
            if fresh:
                done = cli.run("pull", "--from", place, COUNTERSIGN_MATERIAL=str(cli.folder) + str(worker))
                if done.returncode != 0:
                    failed.append(done.stderr.decode())
            folder = str(cli.folder) + (str(worker) if worker % 2 == 0 else "")
            done = cli.run("get", "app/db", COUNTERSIGN_MATERIAL=folder, COUNTERSIGN_FROM=place if worker % 2 == 0 else None)
            if (done.returncode, done.stdout) == (0, b"correct horse battery staple"):
                served.append(time.monotonic())
            else:
                failed.append(done.stderr.decode())

    workers = [threading.Thread(target=get, args=(worker,)) for worker in range(6)]
    for worker in workers:
        worker.start()
    while not served and not failed:
        time.sleep(0.1)
    began = time.monotonic()
    stack.rotate()
    ended = time.monotonic()
    until(lambda: failed or sum(at > ended for at in served) > 10, within=60)
    stop.set()
    for worker in workers:
        worker.join()
    assert failed == []
    logs.awaited(lambda: stack.outcomes(since)["granted"] >= len(served), "exchange")
    assert set(stack.outcomes(since)) == {"granted"}
    assert sum(began <= at <= ended for at in served) > 0, "nothing was served during the rotation"


def test_a_new_group_is_enrolled_without_disturbing_the_others(stack):
    generation = stack.manifest("web")["generation"]
    stack.s3.delete_object(Bucket=stack.bucket, Key="groups/batch/manifest.json")
    report = stack.rotate(new_groups_only=True)
    assert not report["new_server_key"]
    assert [rotated["group"] for rotated in report["rotated"]] == ["batch"]
    assert stack.manifest("web")["generation"] == generation
    assert stack.manifest("batch")["server_key"] == stack.manifest("web")["server_key"]


def test_the_schedules_order_rotates_a_young_key_no_second_time(stack):
    stack.rotate()
    before = stack.manifest()
    schedules = boto3.client("scheduler")
    target = schedules.get_schedule(Name=f"{STACK}-rotate")["Target"]
    assert target["Arn"].endswith(f":function:{STACK}-rotate")
    assert not stack.rotate(**json.loads(target["Input"]))["new_server_key"]
    assert stack.manifest() == before
