"""One-time tokens of the deployed broker, against a real step-ca, by provisioners of both kinds."""

import base64
import re
import secrets
import time

import pytest
from joserfc.jwk import ECKey

import one_time_token
from authority import openssl
from step_ca import split

NAMES = ["node.shared.example.com", "*.shared.example.com"]
EVERY_KIND = ["www.example.com", "10.1.2.3", "2001:db8::7", "ops@example.com", "spiffe://example.com/ns/web"]


def names(certificate):
    """The common name, and the other names as OpenSSL shows them."""
    shown = openssl("x509", "-in", certificate, "-noout", "-subject", "-ext", "subjectAltName", "-nameopt", "RFC2253")
    common = re.search("subject=CN=(.*)", shown)[1]
    return common, {name.strip() for name in shown.strip().split("\n")[-1].split(",")}


@pytest.mark.parametrize("by", ["sms", "mail", "webhook", "bearer", "exchange"])
def test_a_token_gets_one_certificate_and_no_second(either, by):
    subject = f"web-{secrets.token_hex(4)}" if by == "exchange" else either.subject()
    token = either.one_time_token(subject, by)
    request = either.request(subject)
    certificate = request.keep(either.ca.sign(request.pem, token))
    either.ca.verify(certificate, certificate)
    either.ca.verify(certificate, certificate, "sslclient")
    assert names(certificate) == (subject, {f"DNS:{subject}"})
    assert either.ca.sign(request.pem, token).status == 401, "the same once more"
    assert either.ca.sign(either.request(subject).pem, token).status == 401, "another request"


def test_a_token_says_what_step_ca_defines(either):
    subject = either.subject()
    before = int(time.time())
    header, claims = one_time_token.opened(either, either.one_time_token(subject))
    if either.kind == "jwk":
        assert header == {"alg": "ES256", "kid": either.provisioner["key"]["kid"], "typ": "JWT"}
        assert header["kid"] == ECKey.import_key(either.provisioner["key"]).thumbprint()
    else:
        assert set(header) == {"alg", "typ", "x5c"} and (header["alg"], header["typ"]) == ("ES256", "JWT")
    fragment = {"jwk": "", "x5c": "#x5c/registrar-x5c"}[either.kind]
    iat, jti = claims.pop("iat"), claims.pop("jti")
    assert before <= iat <= time.time() and len(base64.urlsafe_b64decode(jti + "==")) == 16
    assert claims == {
        "iss": f"registrar-{either.kind}", "aud": f"{either.ca.url}/1.0/sign{fragment}", "sub": subject, "sans": [subject],
        "sha": either.ca.fingerprint, "nbf": iat, "exp": iat + 300}


def test_the_answer_names_the_ca_and_is_kept_by_nobody(either):
    answer = either.token(either.subject(), bearer=either.token_of_registrar)
    _, claims = one_time_token.parts(answer.content["token"])
    assert answer.content == {
        "token": answer.content["token"], "ca": {"url": either.ca.url, "fingerprint": either.ca.fingerprint},
        "expires_at": claims["exp"]}
    assert answer.headers["Cache-Control"] == "no-store"


def test_no_two_tokens_have_an_id_in_common(either):
    subject = either.subject()
    assert len({one_time_token.parts(either.one_time_token(subject))[1]["jti"] for _ in range(10)}) == 10


def test_a_token_stands_in_the_ledger_before_anybody_has_it(either):
    subject = either.subject()
    _, claims = one_time_token.parts(either.one_time_token(subject))
    row = either.stack.ledger.get_item(Key={"pk": f"ott#{claims['jti']}"})["Item"]
    assert row["ttl"] > claims["exp"] and subject in str(row)


@pytest.mark.parametrize("by", ["bearer", "webhook"])
def test_a_token_bears_the_digest_of_the_request_that_it_is_for(either, by):
    """step-ca reads it from 0.26 on; the bytes are OpenSSL's."""
    subject = either.subject()
    request = either.request(subject)
    token = either.one_time_token(subject, by, csr_sha256=request.digest())
    _, claims = one_time_token.opened(either, token)
    assert claims["cnf"] == {"x5rt#S256": one_time_token.b64(bytes.fromhex(request.digest()))}
    request.keep(either.ca.sign(request.pem, token))


def test_a_certificate_has_every_name_of_the_token(either):
    subject = either.subject()
    token = either.one_time_token(subject, sans=EVERY_KIND)
    assert one_time_token.parts(token)[1]["sans"] == EVERY_KIND
    request = either.request(subject, [
        "DNS:www.example.com", "IP:10.1.2.3", "IP:2001:db8::7", "email:ops@example.com", "URI:spiffe://example.com/ns/web"])
    assert names(request.keep(either.ca.sign(request.pem, token))) == (subject, {
        "DNS:www.example.com", "IP Address:10.1.2.3", "IP Address:2001:DB8:0:0:0:0:0:7", "email:ops@example.com",
        "URI:spiffe://example.com/ns/web"})


@pytest.mark.parametrize("by", ["bearer", "webhook"])
@pytest.mark.parametrize("sans", [
    ["DNS:{}", "DNS:www.bank.example"], ["DNS:www.bank.example"], ["DNS:{}", "IP:10.0.0.1"], ["DNS:{}", "email:root@example.com"],
    ["DNS:{}", "URI:spiffe://example.com/root"], ["DNS:*.{}"],
])
def test_a_token_of_one_subject_gets_no_certificate_with_other_names(either, sans, by):
    subject = either.subject()
    asked = either.request(subject, [name.format(subject) for name in sans])
    answer = either.ca.sign(asked.pem, either.one_time_token(subject, by))
    assert answer.status == 403 and "crt" not in answer.content, answer


def test_a_token_of_one_subject_gets_no_certificate_of_another(either):
    subject, other = either.subject(), either.subject()
    for asked in (either.request(other), either.request(other, [f"DNS:{subject}"])):
        assert either.ca.sign(asked.pem, either.one_time_token(subject)).status == 403


def test_a_request_without_names_gets_those_of_the_token_alone(either):
    subject = either.subject()
    request = either.request(subject, [])
    certificate = request.keep(either.ca.sign(request.pem, either.one_time_token(subject, "webhook", sans=NAMES)))
    assert names(certificate) == (subject, {f"DNS:{name}" for name in NAMES})


@pytest.mark.parametrize("altered", [
    one_time_token.with_signature,
    one_time_token.unsigned,
    lambda token: one_time_token.with_claims(token, sub="root"),
    lambda token: one_time_token.with_claims(token, sans=["www.bank.example"]),
    lambda token: one_time_token.with_claims(token, exp=int(time.time()) + 86400),
    lambda token: one_time_token.with_claims(token, jti="another"),
], ids=["signature", "unsigned", "subject", "names", "end", "id"])
def test_an_altered_token_is_refused(either, altered):
    subject = either.subject()
    token = altered(either.one_time_token(subject, sans=[subject]))
    named = one_time_token.parts(token)[1]
    request = either.request(named["sub"], [f"DNS:{name}" for name in named["sans"]])
    answer = either.ca.sign(request.pem, token)
    assert answer.status == 401 and "crt" not in answer.content, answer


NOW = int(time.time())
WRONG = {
    "expired": {"nbf": NOW - 900, "exp": NOW - 120},
    "not_yet": {"nbf": NOW + 86400, "exp": NOW + 90000},
    "of_another_provisioner": {"iss": "another"},
    "for_another_host": {"aud": "https://ca.example.com/1.0/sign"},
    "to_revoke": {"aud": "revoke"},
    "of_nobody": {"sub": ""},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_token_with_a_wrong_claim_is_refused_although_the_brokers_key_signed_it(either, changes):
    subject = either.subject()
    if changes == {"aud": "revoke"}:
        changes = {"aud": one_time_token.right(either, subject)["aud"].replace("/sign", "/revoke")}
    request = either.request(subject)
    assert either.ca.sign(request.pem, one_time_token.minted(either, subject, **changes)).status == 401
    # It is the claim that is refused.
    request.keep(either.ca.sign(request.pem, one_time_token.minted(either, subject)))


def test_a_token_that_another_key_signed_is_refused(either):
    subject = either.subject()
    request = either.request(subject)
    assert either.ca.sign(request.pem, one_time_token.minted(either, subject, ECKey.generate_key("P-256"))).status == 401


def test_the_chain_of_an_x5c_token_leads_to_the_root_that_step_ca_has(enrolment, tmp_path):
    enrolment.use("x5c")
    header, _ = one_time_token.parts(enrolment.one_time_token(enrolment.subject()))
    leaf, intermediate = (tmp_path / name for name in ("leaf.pem", "intermediate.pem"))
    for path, encoded in zip((leaf, intermediate), header["x5c"], strict=True):
        path.write_text(f"-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
    root = tmp_path / "root.pem"
    root.write_bytes(base64.b64decode(enrolment.provisioner["roots"]))
    assert split(root.read_text()) == split((enrolment.folder / "x5c/root.pem").read_text())
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, "-untrusted", intermediate, leaf)
    shown = openssl("x509", "-in", leaf, "-noout", "-text")
    for part in ("Digital Signature", "TLS Web Client Authentication", "CA:FALSE"):
        assert part in shown
    assert "Key Encipherment" not in shown and "TLS Web Server" not in shown
    assert "pathlen:0" in openssl("x509", "-in", intermediate, "-noout", "-text")
