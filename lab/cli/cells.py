"""The options that verbs share, the job where none is named, and the call that measures the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from lab.cli.types import PATH, TEXT
from lab.command import text_from_argv

DEFAULT_JOB = "jobs/virtio-scsi-iothreads.toml"

WAIT = click.option("--wait", is_flag=True, help="Wait for the experiment that is under way on this host. [refuse]")

F = TypeVar("F", bound=Callable[..., Any])


def arms_options(command: F) -> F:
    """Add the options that name what is built."""
    for option in (
        click.option("--revision", type=click.IntRange(1), help="Revision of the series, of several. [newest]"),
        click.option("--series", type=PATH, help="Series: mbox, maildir, folder or mail."),
        click.option("--range", type=TEXT, help="Commits of the tree instead of a series: BASE..TOPIC."),
        click.option(
            "--base", type=TEXT, help="Commit of the tree that the series applies to. [what it names, or HEAD]"
        ),
        click.option("--tree", type=PATH, help="QEMU git tree. [the distribution's source]"),
    ):
        command = option(command)
    return command


def cell_options(command: F) -> F:
    """Add the options that name one cell of a job, and those that say what is built for it."""
    for option in (
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option("--accelerator", type=click.Choice(["kvm", "tcg"]), help="Insist on one. [what works]"),
        click.option("--cell", "cell_id", type=TEXT, help="Cell, as 'lab plan' names it. [the first]"),
    ):
        command = option(command)
    return arms_options(command)


def call_to_reproduce(arguments: Sequence[str]) -> str:
    """Return what was typed, less ``--results``: with that the call would show the old results and measure nothing."""
    kept, rest = ["lab"], iter(arguments)
    for word in rest:
        if word == "--results":
            next(rest, "")
        elif not word.startswith("--results="):
            kept.append(word)
    return text_from_argv(kept)
