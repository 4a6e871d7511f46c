"""Runs ministack with the operations of this folder: `python launch.py`, with ministack's environment."""

import pathlib
import sys

# The folder itself would put its modules before everybody's; the package is what is wanted.
sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from ministack.app import main  # noqa: E402

from iot import hooks  # noqa: E402

hooks.install()
main()
