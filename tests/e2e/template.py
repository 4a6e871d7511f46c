"""template.yaml as data."""

import pathlib

import yaml


class Loader(yaml.SafeLoader):
    """Reads the template's short forms as what stands behind them."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_object(
    type(node)(node.tag.replace("!" + suffix, {
        yaml.ScalarNode: "tag:yaml.org,2002:str",
        yaml.SequenceNode: "tag:yaml.org,2002:seq",
        yaml.MappingNode: "tag:yaml.org,2002:map",
    }[type(node)]), node.value), deep=True))


def resources():
    with open(pathlib.Path(__file__).parent.parent.parent / "template.yaml") as file:
        return yaml.load(file, Loader)["Resources"]
