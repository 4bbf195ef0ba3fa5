"""The ``lab`` command: a table of verbs, each imported only when it is called.

Loading pandas and matplotlib takes longer than most verbs do, so nobody pays for what another verb needs.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

from lab import __version__

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Verb(NamedTuple):
    module: str
    attribute: str
    summary: str


VERBS = {
    "bench": _Verb("run", "bench_command", "Install what the host lacks, then run an experiment."),
    "build": _Verb("build", "build", "Build QEMU without and with a series, into the cache."),
    "command-line": _Verb("run", "command_line_command", "Print the QEMU command line of a cell, ready to paste."),
    "compare": _Verb("compare", "compare", "Judge stored results: table and verdicts."),
    "doctor": _Verb("doctor", "doctor_command", "Say what this host can do, and install what is missing."),
    "fsck": _Verb("fsck", "fsck", "Verify every stored file of a results folder."),
    "host": _Verb("host", "host", "Show, tune and restore the host's settings for measuring."),
    "image": _Verb("image", "image", "Build or list guest images."),
    "mapping": _Verb("mapping", "mapping", "Check, render and translate an IOThread mapping."),
    "plan": _Verb("run", "plan_command", "Show cells, order and duration of a job."),
    "report": _Verb("compare", "report", "Make the report of stored results again."),
    "run": _Verb("run", "run_command", "Run or resume an experiment, report and judge it."),
    "series": _Verb("series", "series", "Read a patch series, or apply it to a tree."),
    "tmf": _Verb("tmf", "tmf", "Test the task management functions of virtio-scsi, without a guest."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called; its help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return super().get_command(ctx, cmd_name)
        found = getattr(importlib.import_module(f"lab.cli.{verb.module}"), verb.attribute)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.summary) for name, verb in sorted(VERBS.items())])


@click.group(cls=_LazyGroup, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lab", message="%(prog)s %(version)s")
def app() -> None:
    """Does a patch series make QEMU's block I/O faster or slower, and does it still behave?

    \b
    Exit codes: 0 done, nothing found - 1 a finding - 2 input is wrong - 3 this host cannot do it -
    4 could not decide - 130 interrupted.

    \b
    Example: lab run jobs/virtio-scsi-iothreads.toml --tree ~/src/qemu --base v10.0.0 --series my.mbox
    """
