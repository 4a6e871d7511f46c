"""The template and what the code says of itself are of one mind."""

import json
import pathlib

import template

ROOT = pathlib.Path(__file__).parent.parent.parent


def test_the_template_routes_what_openapi_json_describes():
    events = [
        event["Properties"] for resource in template.resources().values()
        for event in resource["Properties"].get("Events", {}).values() if event["Type"] == "Api"]
    routed = {(event["Path"], event["Method"].lower()) for event in events}
    described = json.loads((ROOT / "openapi.json").read_text())["paths"]
    assert routed == {(path, method) for path, methods in described.items() for method in methods}
