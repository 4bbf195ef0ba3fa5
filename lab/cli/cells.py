"""The options that name what is compared, and the job that is meant where none is named: for verbs about cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lab.cli.types import PATH, TEXT

DEFAULT_JOB = "jobs/virtio-scsi-iothreads.toml"

F = TypeVar("F", bound=Callable[..., Any])


def arms_options(command: F) -> F:
    """Add the options that name what is built."""
    for option in (
        click.option("--revision", type=int, help="Revision of the series, if the mailbox holds several. [newest]"),
        click.option("--series", type=PATH, help="Series: mbox, maildir, folder or mail."),
        click.option("--range", type=TEXT, help="Commits of the tree instead of a series: BASE..TOPIC."),
        click.option(
            "--base", type=TEXT, help="Commit of the tree that the series applies to. [what it names, or HEAD]"
        ),
        click.option("--tree", type=PATH, help="QEMU git tree. [the distribution's source]"),
    ):
        command = option(command)
    return command
