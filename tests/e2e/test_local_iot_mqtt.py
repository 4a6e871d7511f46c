"""The MQTT listener of local/iot."""

import contextlib
import ssl

import pytest

from local_iot import ARN, POLICY, Made, ca, iot, name, template  # noqa: F401, fixtures
from mqtt import Mqtt


@pytest.fixture
def device(iot, ca, tmp_path):  # noqa: F811
    """A thing, its certificate and the file of certificate and key."""
    thing, made = name(), Made(issuer=ca)
    iot.register_thing(templateBody=template({"ThingName": thing}, {"CertificatePem": made.pem}, [{"PolicyDocument": POLICY}]))
    return thing, made, made.files(tmp_path)


def test_a_device_connects_as_its_thing_and_publishes_where_its_policy_says(device):
    thing, _, files = device
    session = Mqtt(files)
    assert session.connect(thing)
    assert session.publish(f"things/{thing}/state")
    assert not session.publish("things/another/state")
    assert not Mqtt(files).connect("another")


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_device_is_refused_once_its_certificate_ends(iot, device, status):  # noqa: F811
    thing, made, files = device
    session = Mqtt(files)
    assert session.connect(thing)
    iot.update_certificate(certificateId=made.id, newStatus=status)
    assert not Mqtt(files).connect(thing)
    assert not session.publish(f"things/{thing}/state")


def test_a_device_is_refused_without_a_certificate_that_is_registered(iot, ca, device, tmp_path):  # noqa: F811
    assert not Mqtt(None).connect(device[0])
    assert not Mqtt(Made(issuer=ca).files(tmp_path)).connect(device[0])
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert not Mqtt(Made().files(tmp_path)).connect(device[0])


def test_a_groups_policy_is_its_things(iot, ca, tmp_path):  # noqa: F811
    thing, made, group, parent, policy = name(), Made(issuer=ca), name("g"), name("g"), name("p")
    iot.create_thing_group(thingGroupName=parent)
    iot.create_thing_group(thingGroupName=group, parentGroupName=parent)
    iot.create_policy(policyName=policy, policyDocument=POLICY)
    iot.register_thing(templateBody=template({"ThingName": thing, "ThingGroups": [group]}, {"CertificatePem": made.pem}))
    files = made.files(tmp_path)
    assert not Mqtt(files).connect(thing)
    iot.attach_policy(policyName=policy, target=f"{ARN}:thinggroup/{parent}")
    assert Mqtt(files).connect(thing)
