"""`countersign device`, against the deployed stack."""

import http.server
import json
import stat
import threading

import pytest

from authority import certificate_id, key, openssl
from device_client import SUBJECT, devices, files, fits  # noqa: F401, a fixture
from provisioning import PUBLISH, new_name


@pytest.mark.parametrize("options, kind", [
    ([], "id-ecPublicKey"), (["--key-type", "rsa-2048"], "rsaEncryption"), (["--broker-key"], "id-ecPublicKey"),
    (["--broker-key", "--key-type", "rsa-2048"], "rsaEncryption"),
])
def test_a_device_of_the_customers_ca_has_a_key_and_a_chain(devices, factory, options, kind):  # noqa: F811
    name = new_name()
    order = ("--ca", "line1", *SUBJECT, "--days", 9, "--ca-certificate", factory.ca.path)
    out = devices.provision("sensor", name, *order, *options)
    assert files(out) == ["certificate.pem", "chain.pem", "key.pem"] and fits(out)
    factory.ca.verify(out / "certificate.pem")
    text = openssl("x509", "-in", out / "certificate.pem", "-noout", "-text")
    assert kind in text and "TLS Web Client Authentication" in text and "CA:FALSE" in text
    assert (out / "chain.pem").read_text().count("BEGIN CERTIFICATE") == 2


def test_a_key_or_a_request_that_is_there_is_used(devices, factory, tmp_path):  # noqa: F811
    own = tmp_path / "own.pem"
    own.write_text(key())
    out = devices.provision("sensor", new_name(), "--ca", factory.ca.id, *SUBJECT, "--device-key", own)
    assert files(out) == ["certificate.pem", "chain.pem"]
    public = openssl("x509", "-in", out / "certificate.pem", "-noout", "-pubkey")
    assert public == openssl("pkey", "-in", own, "-pubout")
    request = tmp_path / "request.pem"
    request.write_text(factory.device().csr)
    out = devices.provision("sensor", new_name(), "--ca", factory.ca.id, "--csr", request)
    assert files(out) == ["certificate.pem", "chain.pem"]
    factory.ca.verify(out / "certificate.pem")


def test_aws_makes_key_and_certificate_where_nothing_is_said(devices):  # noqa: F811
    out = devices.provision("aws", new_name())
    assert files(out) == ["certificate.pem", "key.pem"] and fits(out)


def test_a_groups_path_stands_for_a_template(devices, factory):  # noqa: F811
    root, leaf, name = new_name("g"), new_name("g"), new_name()
    factory.iot.create_thing_group(thingGroupName=root)
    factory.iot.create_thing_group(thingGroupName=leaf, parentGroupName=root)
    factory.put_template("assignments", {root: "aws"})
    out = devices.folder / name
    devices.done("provision", "--group-path", f"/{root}/{leaf}", "-p", f"ThingName={name}", "--out", out)
    assert files(out) == ["certificate.pem", "key.pem"] and fits(out)
    identifier = certificate_id((out / "certificate.pem").read_text())
    assert f"{identifier} ACTIVE" in devices.done("get", name)
    order = ("provision", "-p", f"ThingName={new_name()}", "--out", devices.folder / "x")
    code, _, said = devices.run(*order, "--group-path", f"/{leaf}")
    assert code == 2 and "hint: " in said, "not the way to it"


def policies(devices, name):
    """The documents of a device's policies by their names, as the command shows them."""
    shown = json.loads(devices.done("get", name, "--json"))["policies"]
    found = {one["policyName"]: one["policyDocument"] for one in shown}
    return {policy: json.loads(text) if isinstance(text, str) else text for policy, text in found.items()}


def test_additional_policies_of_a_template_are_the_devices(devices, factory):  # noqa: F811
    devices.provision("shared", name := new_name(), "--ca", "line1", *SUBJECT)
    found = policies(devices, name)
    assert len(found) == 3 and {"fleet", "extra"} < set(found)
    assert PUBLISH in found.values()


def test_a_template_ties_the_client_id_to_the_device(devices, factory):  # noqa: F811
    devices.provision("tied", name := new_name(), "--ca", "line1", *SUBJECT)
    [document] = policies(devices, name).values()
    [statement] = document["Statement"]
    assert statement["Action"] == "iot:Connect" and "client/${iot:Connection.Thing.ThingName}" in statement["Resource"]


def test_a_certificate_is_registered_as_it_is(devices, factory, tmp_path):  # noqa: F811
    brought = tmp_path / "brought.pem"
    brought.write_text(factory.ca.sign(factory.device().csr))
    out = devices.provision("brought", new_name(), "--certificate", brought, "--inactive")
    assert files(out) == ["certificate.pem"]
    found = factory.certificate(certificate_id(brought.read_text()))
    assert found["status"] == "INACTIVE"


def test_the_root_of_aws_iot_comes_from_where_the_operator_says(devices, factory, tmp_path):  # noqa: F811
    roots = tmp_path / "roots.pem"
    roots.write_text(f"# a comment\n{factory.ca.pem}")
    out = devices.provision("aws", new_name(), "--root-ca", roots)
    assert (out / "root-ca.pem").read_text() == factory.ca.pem
    roots.write_text("<html></html>")
    name = new_name()
    code, _, said = devices.run("provision", "--template", "aws", "-p", f"ThingName={name}", "--out", tmp_path / "x",
                                "--root-ca", roots)
    assert code == 2 and "hint: " in said
    assert devices.run("get", name)[0] == 6, "nothing was ordered"


def test_an_answer_as_json_holds_no_private_key(devices, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    text = devices.done("provision", "--template", "aws", "-p", f"ThingName={new_name()}", "--out", out, "--json")
    assert {"certificatePem", "resourceArns"} <= set(json.loads(text)) and "PRIVATE" not in text
    assert "PRIVATE" in (out / "key.pem").read_text()


def test_a_key_is_not_replaced_unless_it_is_said(devices):  # noqa: F811
    name = new_name()
    out = devices.provision("aws", name)
    before = (out / "key.pem").read_text()
    again = ("provision", "--template", "aws", "-p", f"ThingName={new_name()}", "--out", out)
    code, _, said = devices.run(*again)
    assert code == 2 and "--force" in said and (out / "key.pem").read_text() == before
    # Refused by the broker: the old key stays.
    code, _, said = devices.run("provision", "--template", "none", "-p", "ThingName=x", "--out", out, "--force")
    assert code == 2 and (out / "key.pem").read_text() == before and files(out) == ["certificate.pem", "key.pem"]
    devices.done(*again, "--force")
    assert (out / "key.pem").read_text() != before and fits(out)


def test_refusals_have_their_codes_and_leave_no_key(devices, tmp_path):  # noqa: F811
    out = tmp_path / "refused"

    def refused(template, *args):
        code, _, said = devices.run("provision", "--template", template, "-p", f"ThingName={new_name()}", "--out", out, *args)
        assert "hint: " in said and not list(out.glob("key*"))
        return code

    assert refused("sensor", "--ca", "line1", *SUBJECT, "--days", 3001) == 5
    assert refused("sensor", "--ca", "line1", "--common-name", "root", "--country", "DE") == 5
    assert refused("closed", "--ca", "line1", *SUBJECT) == 5
    assert refused("no-such-template", "--ca", "line1", *SUBJECT) == 2
    assert refused("aws", "--ca", "line1", *SUBJECT) == 2
    assert refused("broken", "--ca", "line1", *SUBJECT) == 2
    assert devices.run("get", new_name())[0] == 6
    assert devices.run("get", new_name("secret"))[0] == 5
    devices.token.write_text("garbage")
    assert devices.run("get", new_name())[0] == 2


def test_a_device_is_shown_changed_and_deleted(devices, factory):  # noqa: F811
    name = new_name()
    out = devices.provision("sensor", name, "--ca", "line1", *SUBJECT)
    identifier = certificate_id((out / "certificate.pem").read_text())
    shown = devices.done("get", name)
    assert name in shown and f"{identifier} ACTIVE" in shown
    devices.done("set-status", name, "INACTIVE")
    found = json.loads(devices.done("get", name, "--json"))
    assert [one["certificateStatus"] for one in found["certificates"]] == ["INACTIVE"]
    code, _, said = devices.run("delete", name)
    assert code == 2 and "--yes" in said
    devices.done("delete", name, "--yes")
    assert devices.run("get", name)[0] == 6 and devices.run("delete", name, "--yes")[0] == 6
    assert factory.certificate(identifier) is None


def test_a_bulk_task_is_followed_to_its_end(devices, factory, tmp_path):  # noqa: F811
    rows = [{"ThingName": new_name(), "Serial": str(at), "CSR": factory.device().csr} for at in range(3)]
    lines, listed = tmp_path / "rows.jsonl", tmp_path / "rows.json"
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    reports = tmp_path / "reports"
    code, out, said = devices.run("bulk", "start", "--template", "label", lines, "--wait", "--reports", reports)
    assert code == 0 and "Completed 100 % (3 registered, 0 failed)" in said, said
    task = out.strip()
    assert len((reports / "results.jsonl").read_text().splitlines()) == 3
    assert stat.S_IMODE((reports / "results.jsonl").stat().st_mode) == 0o600
    shown = devices.done("bulk", "status", task)
    assert "3 registered" in shown and "http" not in shown
    assert json.loads(devices.done("bulk", "status", task, "--json"))["taskId"] == task
    # The last row has a request that is none.
    listed.write_text(json.dumps([{"ThingName": new_name(), "Serial": "1", "CSR": factory.device().csr},
                                  {"ThingName": new_name(), "Serial": "2", "CSR": "garbage"}]))
    code, out, said = devices.run("bulk", "start", "--template", "label", listed, "--wait", "--reports", reports)
    assert code == 1 and "1 registered, 1 not" in said
    assert (reports / "errors.jsonl").read_text().strip()
    assert devices.run("bulk", "status", "0" * 32)[0] == 6
    listed.write_text('[{"ThingName": 1}]')
    assert devices.run("bulk", "start", "--template", "label", listed)[0] == 2


class Cut(http.server.BaseHTTPRequestHandler):
    """A broker whose answers are lost."""

    def do_POST(self):
        self.server.asked += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True

    def log_message(self, *args):
        pass


def test_an_order_whose_answer_is_lost_is_not_repeated_and_its_key_is_kept(devices, tmp_path):  # noqa: F811
    out = tmp_path / "lost"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut) as server:
        server.asked = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        order = ("provision", "--template", "sensor", "-p", "ThingName=a", "--ca", "line1", *SUBJECT, "--out", out)
        code, _, said = devices.run(*order, url=url)
        server.shutdown()
    [kept] = out.glob("key-*.pem")
    assert (code, server.asked) == (7, 1) and "countersign device get" in said and str(kept) in said
    retried = devices.provision("sensor", new_name(), "--ca", "line1", *SUBJECT, "--device-key", kept)
    public = openssl("x509", "-in", retried / "certificate.pem", "-noout", "-pubkey")
    assert public == openssl("pkey", "-in", kept, "-pubout")


def test_the_token_of_an_ssh_key_is_got_as_by_token_get(cli, factory, known_key, tmp_path):
    agent, ssh_key = known_key
    settings = {"XDG_STATE_HOME": str(tmp_path), "COUNTERSIGN_GROUP": None, "COUNTERSIGN_URL": factory.stack.url}
    done = cli.run("device", "get", new_name(), "--key", ssh_key.fingerprint, **settings, **agent.env)
    # Policy gives this key no right to devices.
    assert done.returncode == 5 and b"device:read" in done.stderr, done.stderr


def test_help_tells_which_option_goes_with_which_template(cli):
    text = cli.run("device", "provision", "--help").stdout.decode()
    for option in ("createDeviceCertificate", "createDeviceAWSCertificate", "registerDeviceCertificateWithoutCA", "acmpca"):
        assert option in text
