"""DescribeThingGroup's `thingGroupMetadata`, which names every group above a group, the root first."""

import json
import re

from ministack.core.responses import json_response
from ministack.services import iot as service

ONE_GROUP = re.compile(r"/thing-groups/([^/]+)")


def above(name):
    """The groups above a group, the nearest first."""
    seen = []
    while (group := service._thing_groups.get(name)) and (name := group.get("thingGroupMetadata", {}).get("parentGroupName")):
        if name in seen:
            break
        seen.append(name)
    return seen


def completed(method, path, answer):
    group = ONE_GROUP.fullmatch(path)
    if method != "GET" or not group or answer[0] != 200:
        return answer
    document = json.loads(answer[2])
    document.pop("things", None)
    metadata = {"creationDate": document.pop("creationDate", None)} | document.get("thingGroupMetadata", {})
    metadata["rootToParentThingGroups"] = [
        {"groupName": name, "groupArn": service._thing_group_arn(name)} for name in reversed(above(group[1]))
    ]
    return json_response(document | {"thingGroupMetadata": metadata})
