"""Entry point: runs the command line and turns what happened into an exit code. The only ``sys.exit`` in the lab."""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import click

from lab.cli import app
from lab.cli.output import print_error
from lab.errors import ExitCode, LabError

_STDOUT, _STDERR = 1, 2


def run(argv: Sequence[str] | None = None) -> int:
    """Run ``lab`` and return its exit code. A verb returns its own code, or None for 0.

    Not by ``app.main``, which takes every EOFError and every broken pipe for the user's, a guest's too.

    :param argv: arguments without the program name; None for those of this process.
    :raise Exception: anything that is not a :class:`LabError` is a bug in the lab and passes through.
    """
    try:
        with app.make_context("lab", list(sys.argv[1:] if argv is None else argv)) as context:
            result = app.invoke(context)
    except LabError as err:
        print_error(err)
        return int(err.exit_code)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.stderr.write("lab: interrupted; what was finished is kept, call again to go on\n")
        return int(ExitCode.INTERRUPTED)
    except click.ClickException as err:
        err.show()
        return int(ExitCode.INPUT)
    except click.exceptions.Exit as err:
        return err.exit_code
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return int(ExitCode.INTERRUPTED)  # the verb did not get to its end: neither "nothing found" nor "a finding"
    if result is not None and not isinstance(result, int):
        raise TypeError(f"a verb returned a {type(result).__name__}, which is not an exit code")
    return int(result or ExitCode.DONE)


def main() -> None:
    """Run ``lab`` and exit."""
    if "_LAB_COMPLETE" in os.environ:  # a shell asks click how to complete a line; nothing is run
        app.main(prog_name="lab")
    signal.signal(signal.SIGTERM, _interrupt_once)
    if isinstance(sys.stdout, io.TextIOWrapper):  # what the locale cannot say is escaped, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run()
    except Exception:  # noqa: BLE001 - a bug in the lab: the traceback is wanted, but 1 would read as a finding
        traceback.print_exc()
        sys.stderr.write("lab: this is a bug in the lab; the lines above are what its authors need\n")
        code = int(ExitCode.INTERNAL)
    _flush_stdout()
    sys.exit(code)


def _interrupt_once(_signal: int, _frame: FrameType | None) -> None:
    """Treat being terminated like Ctrl-C, so that guests are stopped; more of the same must not cut that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _reader_is_gone() -> bool:
    """Tell whether the other end of our output is closed, as with ``lab ... | head``."""
    poll = select.poll()
    for descriptor in (_STDOUT, _STDERR):
        poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _flush_stdout() -> None:
    """Flush while a reader that went away still does no harm: in the interpreter's own flush it costs the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)


if __name__ == "__main__":
    main()
