"""Devices with certificates that the broker had made, at the local AWS's MQTT listener with mutual TLS."""

import contextlib
import ssl

import pytest

from mqtt import Mqtt
from provisioning import PUBLISH, document, new_name, template

# The client id alone is tied; what may be published is the broker's additional policy.
CONNECTING = {"clientIdMustMatchThingName": True, "attachAdditionalPolicies": [{"document": PUBLISH}]}


@pytest.fixture(scope="module")
def templates(factory):
    factory.put_template("device", template("signed", policy=None, createDeviceCertificate=True, **CONNECTING))
    factory.put_template("device-aws", template("known", policy=None, createDeviceAWSCertificate=True, **CONNECTING))
    factory.put_template(
        "device-brought", template("known", policy=None, registerDeviceCertificateWithoutCA=True, **CONNECTING))


def signed(factory, device):
    return "device", factory.order()


def signed_rsa(factory, device):
    return "device", factory.order() | {"keyType": "RSA_2048"}


def signed_csr(factory, device):
    return "device", {"caId": factory.ca.id, "csr": device.csr}


def of_aws(factory, device):
    return "device-aws", {}


def brought(factory, device):
    return "device-brought", {"certificatePem": factory.ca.sign(device.csr)}


def made(factory, order):
    """A device's name and its files."""
    device = factory.device()
    kind, parameters = order(factory, device)
    name, answer = factory.make(kind, cdf=parameters)
    return name, device.keep(answer)


def lets_in(files, client_id):
    """Whether the listener does, by TLS or by its answer."""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        return Mqtt(*files).connect(client_id)
    return False


@pytest.mark.parametrize("order", [signed, signed_rsa, signed_csr, of_aws, brought])
def test_a_device_connects_as_its_thing_and_as_no_other(factory, templates, order):
    name, files = made(factory, order)
    session = Mqtt(*files)
    assert session.connect(name)
    assert session.publish(f"things/{name}/state")
    assert not lets_in(files, new_name()), "a client id that is not the thing's"
    assert not lets_in(files, made(factory, order)[0]), "another thing's name"


@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_device_that_is_blocked_is_refused(factory, templates, status):
    name, files = made(factory, signed)
    assert lets_in(files, name)
    path = f"/things/{name}/certificates"
    assert factory.things.send("PATCH", path, {"certificateStatus": status}).status == 204
    assert not lets_in(files, name)
    if status == "INACTIVE":
        assert factory.things.send("PATCH", path, {"certificateStatus": "ACTIVE"}).status == 204
        assert lets_in(files, name)


def test_a_device_that_was_deleted_is_refused(factory, templates):
    name, files = made(factory, signed)
    assert lets_in(files, name)
    assert factory.things.send("DELETE", f"/things/{name}").status == 204
    assert not lets_in(files, name)


def test_a_certificate_that_is_registered_inactive_is_refused_until_it_is_active(factory, templates):
    device = factory.device()
    order = {"certificatePem": factory.ca.sign(device.csr), "certificateStatus": "INACTIVE"}
    name, answer = factory.make("device-brought", cdf=order)
    files = device.keep(answer)
    assert not lets_in(files, name)
    assert factory.things.send("PATCH", f"/things/{name}/certificates", {"certificateStatus": "ACTIVE"}).status == 204
    assert lets_in(files, name)


def test_a_certificate_of_the_ca_that_the_broker_did_not_register_is_refused(factory, templates):
    name, known = made(factory, signed)
    assert lets_in(known, name)
    device = factory.device(f"/C=DE/CN={name}")
    files = device.keep({"certificatePem": factory.ca.sign(device.csr)})
    assert not lets_in(files, name)


def test_the_client_ids_policy_ties_nothing_where_another_allows_more(factory, templates):
    """Policies add up: what docs/provisioning.md warns of."""
    free = document("iot:Connect")
    factory.put_template("device-free", template(
        "signed", policy=None, createDeviceCertificate=True, clientIdMustMatchThingName=True,
        attachAdditionalPolicies=[{"document": free}]))
    _, answer = factory.make("device-free")
    assert lets_in(factory.device().keep(answer), new_name())
