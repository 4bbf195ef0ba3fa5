"""Entry point: runs the command line and turns what happened into an exit code. The only ``sys.exit`` in the lab.

What takes long to import is imported when it is called, so that Ctrl-C is one line even while the lab is being loaded.
"""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from lab.errors import ExitCode, HostError, InputError, LabError

if TYPE_CHECKING:
    import click

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_HOST_ERRNOS = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM}
_NAME_ERRNOS = {errno.ENAMETOOLONG, errno.ELOOP}


def run(argv: Sequence[str] | None = None) -> int:
    """Run ``lab`` and return its exit code. A verb returns its own code, or None for 0.

    Not by ``app.main``, which takes every EOFError and every broken pipe for the user's, a guest's too.

    :param argv: arguments without the program name; None for those of this process.
    :raise Exception: anything that is not a :class:`LabError` is a bug in the lab and passes through.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:
        _tell("lab: interrupted; what was finished is kept, call again to go on")
        return int(ExitCode.INTERRUPTED)


def _run(argv: Sequence[str] | None) -> int:
    import click  # noqa: PLC0415 - see the head of this module

    from lab.cli import app  # noqa: PLC0415

    try:
        with app.make_context("lab", list(sys.argv[1:] if argv is None else argv)) as context:
            result = app.invoke(context)
    except LabError as err:
        return _failed(err)
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as err:
        return _misused(err)
    except click.exceptions.Exit as err:
        return err.exit_code
    except OSError as err:
        return _refused(err)
    if result is not None and not isinstance(result, int):
        raise TypeError(f"a verb returned a {type(result).__name__}, which is not an exit code")
    return int(result or ExitCode.DONE)


def main() -> None:
    """Run ``lab`` and exit."""
    if "_LAB_COMPLETE" in os.environ:  # a shell asks click how to complete a line; nothing is run
        from lab.cli import app  # noqa: PLC0415

        app.main(prog_name="lab")
    signal.signal(signal.SIGTERM, _interrupt_once)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: the lab goes on without its terminal
        signal.signal(signal.SIGHUP, _interrupt_once)
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # what the locale cannot say is escaped, as on stderr
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run()
    except Exception:  # noqa: BLE001 - a bug in the lab: the traceback is wanted, but 1 would read as a finding
        with suppress(OSError):
            traceback.print_exc()
        _tell("lab: this is a bug in the lab; the lines above are what its authors need")
        code = int(ExitCode.INTERNAL)
    sys.exit(_flushed(code))


def _failed(error: LabError) -> int:
    """Say what went wrong, where anybody can hear it, and return the exit code."""
    from lab.cli.output import print_error  # noqa: PLC0415

    with suppress(OSError):
        print_error(error)
    return int(error.exit_code)


def _tell(line: str) -> None:
    with suppress(OSError):
        sys.stderr.write(line + "\n")


def _misused(error: click.ClickException) -> int:
    """Say what is wrong with the words of the command line, which may be anybody's, and return the exit code."""
    import click  # noqa: PLC0415

    if isinstance(error, click.UsageError) and error.ctx is not None:
        usage = error.ctx.get_usage()
        if error.message.startswith(usage):  # the help, for a verb that cannot do without words
            _tell(error.message)
            return int(ExitCode.INPUT)
        _tell(usage)
        return _failed(InputError(error.format_message(), remedy=f"see '{error.ctx.command_path} --help'"))
    return _failed(InputError(error.format_message()))


def _refused(error: OSError) -> int:
    """Say what the system refused and return the exit code.

    :raise OSError: the error itself, where it can only be a bug.
    """
    if isinstance(error, BrokenPipeError) and _unread():
        return int(ExitCode.INTERRUPTED)  # the verb did not get to its end: neither "nothing found" nor "a finding"
    refusal = _refusal(error)
    if refusal is None:
        raise error
    return _failed(refusal)


def _refusal(error: OSError) -> LabError | None:
    """Return what the system refused as an error of the lab, or None where that would hide a bug."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return HostError("the working folder was removed", remedy="change to a folder that is there")
    what = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename is not None else str(error.strerror)
    if error.errno in _HOST_ERRNOS:
        return HostError(
            f"this host refused something: {what}",
            remedy="make room there, or write to a folder that is yours; LAB_CACHE moves what the lab keeps",
        )
    if error.errno in _NAME_ERRNOS:
        return InputError(f"a path cannot be used: {what}", remedy="give a shorter path, without links in a circle")
    return None


def _open_closed_streams() -> None:
    """Give what the shell closed (``>&-``) to /dev/null, before a file that is opened gets its number."""
    for descriptor, name, mode in ((_STDIN, "stdin", "r"), (_STDOUT, "stdout", "w"), (_STDERR, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            _silence(descriptor)
        if getattr(sys, name) is None:  # Python found it closed
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _silence(descriptor: int) -> None:
    """Let a descriptor lead to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    os.set_inheritable(descriptor, True)  # as standard streams are


def _interrupt_once(_signal: int, _frame: FrameType | None) -> None:
    """Treat being terminated like Ctrl-C, so that guests are stopped; more of the same must not cut that short."""
    for also in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(also, signal.SIG_IGN)
    for descriptor in _unread():  # a terminal that is gone: what is said during the clean-up must not end that
        _silence(descriptor)
    raise KeyboardInterrupt


def _unread() -> tuple[int, ...]:
    """Return which of stdout and stderr lead nowhere: a pipe without a reader (``lab | head``), a closed terminal."""
    poll = select.poll()
    for descriptor in (_STDOUT, _STDERR):
        poll.register(descriptor, 0)
    return tuple(descriptor for descriptor, event in poll.poll(0) if event & select.POLLERR)


def _flushed(code: int) -> int:
    """Flush what was said and return the exit code, which a failure of the interpreter's own flush would replace."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(_STDOUT)
    except OSError as err:
        _silence(_STDOUT)
        code = _failed(HostError(f"the output could not be written: {err.strerror}"))
    try:
        sys.stderr.flush()
    except OSError:
        _silence(_STDERR)
    return code


if __name__ == "__main__":
    main()
