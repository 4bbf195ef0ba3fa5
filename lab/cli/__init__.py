"""The ``lab`` command: one module per group of verbs, put together here."""

from __future__ import annotations

import click

from lab import __version__

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lab", message="%(prog)s %(version)s")
def app() -> None:
    """Does a patch series make QEMU's block I/O faster or slower, and does it still behave?

    \b
    Exit codes: 0 done, nothing found - 1 a finding - 2 input is wrong - 3 this host cannot do it -
    4 could not decide - 130 interrupted.
    """
