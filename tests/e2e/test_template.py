"""The template and what the code says of itself are of one mind."""

import json
import pathlib

import template

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_an_authorizers_answer_is_for_one_token_at_one_address():
    """docs/decisions/0015. The local AWS models no source of the context, so that it is read off the template."""
    resources = template.resources()
    authorizer = resources["Api"]["Properties"]["Auth"]["Authorizers"]["AccessToken"]
    assert authorizer["FunctionPayloadType"] == "REQUEST"
    identity = authorizer["Identity"]
    assert (identity["Headers"], identity["Context"]) == (["Authorization"], ["identity.sourceIp"])
    assert "AuthorizerCacheSeconds" in str(identity["ReauthorizeEvery"])
    route = resources["TokenFunction"]["Properties"]["Events"]["WhoAmI"]["Properties"]
    assert route["Auth"] == {"Authorizer": "AccessToken"}


def test_the_template_routes_what_openapi_json_describes():
    events = [
        event["Properties"] for resource in template.resources().values()
        for event in resource["Properties"].get("Events", {}).values() if event["Type"] == "Api"]
    routed = {(event["Path"], event["Method"].lower()) for event in events}
    described = json.loads((ROOT / "openapi.json").read_text())["paths"]
    assert routed == {(path, method) for path, methods in described.items() for method in methods}
