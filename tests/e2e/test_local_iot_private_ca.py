"""The private CA at the local AWS's endpoint."""

import datetime

from cryptography import x509

from local_iot import Made, User, client, refused
from private_authority import issue, private_ca  # noqa: F401, a fixture


def test_the_private_ca_issues_for_as_long_as_it_is_asked_to(private_ca):  # noqa: F811
    pca, device = client("acm-pca"), Made("device")
    issued = issue(pca, private_ca, device.csr.encode(), 7, "EndEntityClientAuthCertificate")
    made = x509.load_pem_x509_certificate(issued["Certificate"].encode())
    root = x509.load_pem_x509_certificate(issued["CertificateChain"].encode())
    made.verify_directly_issued_by(root)
    assert made.public_key() == device.key.public_key()
    assert made.not_valid_after_utc - made.not_valid_before_utc == datetime.timedelta(days=7, hours=1)
    usage = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    with refused("ValidationException"):
        issue(pca, private_ca, device.csr.encode(), 4000, "EndEntityCertificate")


def test_the_private_ca_is_asked_with_the_callers_permissions(private_ca):  # noqa: F811
    def pca(*granted):
        user = User(granted)
        key = user.iam.create_access_key(UserName=user.name)["AccessKey"]
        return client("acm-pca", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])

    wanted = ("acm-pca:IssueCertificate", private_ca), ("acm-pca:GetCertificate", private_ca)
    csr = Made().csr.encode()
    issue(pca(*wanted), private_ca, csr, 7, "EndEntityCertificate")
    for missing in range(2):
        with refused("AccessDeniedException"):
            issue(pca(wanted[1 - missing]), private_ca, csr, 7, "EndEntityCertificate")
    with refused("AccessDeniedException"):
        issue(pca(("acm-pca:*", private_ca + "-other")), private_ca, csr, 7, "EndEntityCertificate")
