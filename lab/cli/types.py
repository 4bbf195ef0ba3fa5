"""Types of options: an empty one is a mistake, such as an unset variable of a script, and never the current folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class _GivenPath(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


class _GivenText(click.types.StringParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = _GivenPath(path_type=Path)
TEXT = _GivenText()
