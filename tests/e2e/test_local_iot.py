"""ministack's own IoT operations, where local/iot makes them stricter."""

from local_iot import ARN, POLICY, Made, iot, name, refused  # noqa: F401, fixtures


def test_a_group_names_those_above_it(iot):  # noqa: F811
    names = [name("g") for _ in range(3)]
    for parent, child in zip([None, *names], names):
        iot.create_thing_group(thingGroupName=child, **({"parentGroupName": parent} if parent else {}))
    metadata = iot.describe_thing_group(thingGroupName=names[2])["thingGroupMetadata"]
    assert metadata["parentGroupName"] == names[1]
    assert metadata["rootToParentThingGroups"] == [
        {"groupName": group, "groupArn": f"{ARN}:thinggroup/{group}"} for group in names[:2]]
    assert iot.describe_thing_group(thingGroupName=names[0])["thingGroupMetadata"]["rootToParentThingGroups"] == []


def test_a_certificate_of_an_unknown_ca_is_registered_without_one_alone(iot):  # noqa: F811
    device = Made(issuer=Made())
    with refused("CertificateStateException"):
        iot.register_certificate(certificatePem=device.pem, status="ACTIVE")
    made = iot.register_certificate_without_ca(certificatePem=device.pem, status="ACTIVE")
    assert made["certificateId"] == device.id
    assert iot.describe_certificate(certificateId=device.id)["certificateDescription"]["certificateMode"] == "SNI_ONLY"


def test_a_ca_is_registered_with_the_code_in_a_certificate_of_its_own(iot):  # noqa: F811
    made, code = Made(), iot.get_registration_code()["registrationCode"]
    for verification, error in [(Made("another code", made), "RegistrationCodeValidationException"),
                                (Made(code, Made()), "CertificateValidationException")]:
        with refused(error):
            iot.register_ca_certificate(caCertificate=made.pem, verificationCertificate=verification.pem)


def test_a_certificate_ends_in_order(iot):  # noqa: F811
    made = iot.create_keys_and_certificate(setAsActive=True)
    identity, arn, thing, policy = made["certificateId"], made["certificateArn"], name(), name("p")
    iot.create_thing(thingName=thing)
    iot.create_policy(policyName=policy, policyDocument=POLICY)
    with refused("ResourceAlreadyExistsException"):
        iot.create_policy(policyName=policy, policyDocument=POLICY)
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.attach_policy(policyName=policy, target=arn)
    with refused("InvalidRequestException"):
        iot.delete_thing(thingName=thing)
    with refused("CertificateStateException"):
        iot.delete_certificate(certificateId=identity)
    iot.update_certificate(certificateId=identity, newStatus="REVOKED")
    with refused("DeleteConflictException"):
        iot.delete_certificate(certificateId=identity, forceDelete=True)
    iot.detach_thing_principal(thingName=thing, principal=arn)
    with refused("DeleteConflictException"):
        iot.delete_certificate(certificateId=identity)
    with refused("DeleteConflictException"):
        iot.delete_policy(policyName=policy)
    iot.delete_certificate(certificateId=identity, forceDelete=True)
    iot.delete_policy(policyName=policy)
    iot.delete_thing(thingName=thing)


def test_a_revoked_certificate_stays_revoked(iot):  # noqa: F811
    identity = iot.create_keys_and_certificate(setAsActive=True)["certificateId"]
    iot.update_certificate(certificateId=identity, newStatus="REVOKED")
    for status in ("ACTIVE", "INACTIVE"):
        with refused("CertificateStateException"):
            iot.update_certificate(certificateId=identity, newStatus=status)
    iot.update_certificate(certificateId=identity, newStatus="REVOKED")
    assert iot.describe_certificate(certificateId=identity)["certificateDescription"]["status"] == "REVOKED"
    iot.delete_certificate(certificateId=identity)


def test_a_certificate_can_be_one_things_alone(iot):  # noqa: F811
    arn, things = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"], [name(), name()]
    for thing in things:
        iot.create_thing(thingName=thing)
    iot.attach_thing_principal(thingName=things[0], principal=arn, thingPrincipalType="EXCLUSIVE_THING")
    with refused("InvalidRequestException"):
        iot.attach_thing_principal(thingName=things[1], principal=arn)
    exclusive = {"thingPrincipalType": "EXCLUSIVE_THING"}
    assert iot.list_principal_things_v2(principal=arn)["principalThingObjects"] == [{"thingName": things[0]} | exclusive]
    assert iot.list_thing_principals_v2(thingName=things[0])["thingPrincipalObjects"] == [{"principal": arn} | exclusive]
