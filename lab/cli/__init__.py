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
    "baseline": _Verb("baseline", "baseline", "Keep results as named baselines, and judge against them."),
    "bench": _Verb("run", "bench_command", "Install what the host lacks, then run an experiment."),
    "bisect": _Verb("bisect", "bisect_command", "Find the patch of a series that causes a regression."),
    "build": _Verb("build", "build", "Build QEMU without and with a series, into the cache."),
    "calibrate": _Verb("calibrate", "calibrate", "Measure this host's false alarms and the changes it catches."),
    "capabilities": _Verb("capabilities", "capabilities", "Show what a QEMU binary can do, or what two differ in."),
    "command-line": _Verb("run", "command_line_command", "Print the QEMU command line of a cell, ready to paste."),
    "compare": _Verb("compare", "compare", "Judge stored results: table and verdicts."),
    "cost": _Verb("cost", "cost", "Count QEMU's instructions per command, exactly, for one or both arms."),
    "doctor": _Verb("doctor", "doctor_command", "Say what this host can do, and install what is missing."),
    "draw": _Verb("draw", "draw", "Draw the patches of a series, a mapping, scenarios, or the matrix of 'lab tmf'."),
    "fsck": _Verb("fsck", "fsck", "Verify every stored file of a results folder."),
    "host": _Verb("host", "host", "Show, tune and restore the host's settings for measuring."),
    "image": _Verb("image", "image", "Build or list guest images."),
    "job": _Verb("job", "job", "Check job files, or print their JSON schema."),
    "malformed": _Verb("malformed", "malformed", "Put requests that break the rules before virtio-scsi."),
    "mapping": _Verb("mapping", "mapping", "Check, render and translate an IOThread mapping."),
    "plan": _Verb("run", "plan_command", "Show cells, order and duration of a job."),
    "proof": _Verb("proof", "proof_command", "Show which thread serves which queue: asked, stored, observed."),
    "race": _Verb("race", "race", "Race commands, task management and QMP operations, from a seed."),
    "report": _Verb("compare", "report", "Make the report of stored results again."),
    "run": _Verb("run", "run_command", "Run or resume an experiment, report and judge it."),
    "scenario": _Verb("scenario", "scenario_command", "Disturb a guest under verified load, on one or both arms."),
    "series": _Verb("series", "series", "Read a patch series, or apply it to a tree."),
    "shell": _Verb("shell", "shell_command", "Boot a cell and give a shell in its guest."),
    "trend": _Verb("trend", "trend", "Show the history of stored results, and where it changed."),
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
