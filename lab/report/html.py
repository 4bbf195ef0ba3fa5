"""What every page of the lab has in common: it needs no network, runs from the disk, and trusts no text it shows.

All text goes through the autoescaping of jinja2. Script and style are the lab's own and named by their hashes in a
Content-Security-Policy, so that whatever slipped through could still not run.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lab.progress import printable


def environment() -> Environment:
    """Return where the templates are, set up so that text is escaped and control characters can be seen."""
    return Environment(
        loader=PackageLoader("lab.report"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def own(name: str) -> str:
    """Return a file of the lab's own, which is put into the page as it is."""
    return resources.files("lab.report").joinpath("templates", name).read_text(encoding="utf-8")


def policy(style: str, script: str = "") -> str:
    """Return the Content-Security-Policy of a page: this style, this script and pictures inside it, nothing else."""
    scripts = f"script-src {_hash(script)}; " if script else ""
    return f"default-src 'none'; img-src data:; style-src {_hash(style)}; {scripts}base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    """Return how a Content-Security-Policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _printable(value: Any) -> Any:
    """Make control characters visible, wherever a text comes from, but in what is the lab's own."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
