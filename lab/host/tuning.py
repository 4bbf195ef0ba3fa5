"""Wanted knob values to a tuned host, and a tuned host back to what it was, whatever happens between.

The order is what makes it safe: everything that will change is written to the journal and synced before the first
write; the journal goes away after the last value is back. So at every moment either nothing was changed, or the
journal knows what to put back. Putting back may be repeated and interrupted at will.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.errors import HostError, InputError
from lab.host.tuning_controls import ControlError, Controls, GoneError
from lab.host.tuning_journal import Journal, JournalFile
from lab.host.tuning_knobs import KNOBS, Entry, survey

BOOT_ID = "proc/sys/kernel/random/boot_id"


@dataclass(frozen=True)
class Proposal:
    """What tuning would change.

    :param skipped: knobs of the profile that this host does not have.
    """

    entries: tuple[Entry, ...]
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class PutBack:
    """What became of one setting.

    :param how: a few words.
    :param ok: nothing is left to do about it.
    """

    entry: Entry
    how: str
    ok: bool = True


def propose(controls: Controls, wanted: Sequence[str] = ()) -> Proposal:
    """Say what has to change.

    :param wanted: knobs with or without a value (``thp``, ``governor=powersave``); none means the profile ``bench``,
        of which a knob that the host lacks is skipped.
    :raise InputError: no such knob or value, or a knob without a value that has none in the profile.
    :raise HostError: a knob that was named is not there, or cannot be read.
    """
    skipped: list[str] = []
    if wanted:
        asked = [_knob_and_value(word) for word in wanted]
        values = dict(asked)
        if len(values) < len(asked):
            raise InputError("a knob is named twice", remedy="give each knob one value")
    else:
        states = [state for state in survey(controls) if state.knob.bench]
        values = {state.knob.name: state.knob.bench for state in states if state.value is not None}
        skipped = [f"{state.knob.name}: {state.reason}" for state in states if state.value is None]
    found = (knob.entries(controls, values[knob.name]) for knob in KNOBS if knob.name in values)
    return Proposal(tuple(entry for entries in found for entry in entries), tuple(skipped))


def refuse_twice(file: JournalFile) -> None:
    """Make sure that nothing has to be put back before the host may be tuned.

    :raise HostError: the host is tuned already, or its journal cannot be read.
    """
    earlier = file.load()
    if earlier is not None:
        raise HostError(
            f"this host was tuned at {earlier.at} and has not been restored",
            remedy="lab host restore, then tune again",
            evidence=file.path,
        )


def tune(
    controls: Controls, file: JournalFile, entries: Sequence[Entry], *, at: str, for_run: bool = False
) -> tuple[Entry, ...]:
    """Change the host. When this raises, whatever was changed has been put back, or the journal is kept.

    :param at: now, ISO 8601.
    :param for_run: it is put back by whoever tunes, and by the next run if that one is killed.
    :return: those that the kernel refused and that were optional.
    :raise HostError: the host is tuned already, or a setting could not be changed.
    """
    refuse_twice(file)
    if not entries:
        return ()
    journal = Journal(controls.read(BOOT_ID), at, tuple(entries), for_run)
    file.save(journal)
    try:
        return tuple(entry for entry in entries if not _changed(controls, entry))
    except BaseException as err:
        undone = _put_all_back(controls, journal)
        if all(one.ok for one in undone):
            file.remove()
        if not isinstance(err, ControlError):
            raise
        raise _tuning_error(err, undone, file) from err


def restore(controls: Controls, file: JournalFile) -> tuple[PutBack, ...]:
    """Put everything back that the journal knows, and take the journal away.

    :return: what became of each setting, in the order of putting back; nothing where the host was not tuned.
    :raise HostError: a setting could not be put back; the others were, and the journal is kept.
    """
    journal = file.load()
    if journal is None:
        return ()
    done = _put_all_back(controls, journal)
    left = [one for one in done if not one.ok]
    if left:
        raise HostError(
            f"{len(left)} of {len(done)} settings could not be put back, the first: {left[0].how}",
            remedy="remove the cause (a CPU that is offline?) and call 'lab host restore' again; or set it by hand to"
            f" '{left[0].entry.before}' and call: lab host restore --forget",
            evidence=file.path,
        )
    file.remove()
    return done


def _knob_and_value(word: str) -> tuple[str, str]:
    name, equals, value = word.strip().partition("=")
    knob = next((knob for knob in KNOBS if knob.name == name), None)
    if knob is None:
        raise InputError(f"there is no knob '{name}'", remedy=f"knobs: {', '.join(knob.name for knob in KNOBS)}")
    value = value if equals else knob.bench
    if value not in knob.values:
        raise InputError(
            f"'{word.strip()}' does not say what {name} is to be", remedy=f"write {name}={knob.values[-1]}, for example"
        )
    return name, value


def _changed(controls: Controls, entry: Entry) -> bool:
    """Change one setting; False where it is optional and was refused."""
    try:
        _write_and_check(controls, entry.target, entry.after)
    except ControlError:
        if entry.optional:
            return False
        raise
    return True


def _put_all_back(controls: Controls, journal: Journal) -> tuple[PutBack, ...]:
    """Put back in reverse: SMT, changed last, returns the CPUs whose other settings follow."""
    rebooted = controls.read(BOOT_ID) != journal.boot_id
    return tuple(_put_back(controls, entry, rebooted=rebooted) for entry in reversed(journal.entries))


def _put_back(controls: Controls, entry: Entry, *, rebooted: bool) -> PutBack:
    try:
        found = controls.read(entry.target)
        if found == entry.before:
            return PutBack(entry, f"is '{found}' again since the reboot" if rebooted else f"is '{found}' already")
        if rebooted and found != entry.after:
            return PutBack(entry, f"was reset to '{found}' by the reboot, and left there")
        _write_and_check(controls, entry.target, entry.before)
    except GoneError as err:
        return PutBack(entry, "went with the reboot" if rebooted else err.message, ok=rebooted)
    except ControlError as err:
        return PutBack(entry, err.message, ok=False)
    return PutBack(entry, f"'{found}' back to '{entry.before}'")


def _write_and_check(controls: Controls, target: str, value: str) -> None:
    """Write a value and read it back: a kernel may take a text and make something else of it.

    :raise ControlError: it was refused, or another value stands there now.
    """
    controls.write(target, value)
    found = controls.read(target)
    if found != value:
        raise ControlError(f"/{target} was set to '{value}' and reads '{found}'")


def _tuning_error(err: ControlError, undone: Iterable[PutBack], file: JournalFile) -> HostError:
    left = [one for one in undone if not one.ok]
    if not left:
        return HostError(
            f"{err.message}; everything that had been changed was put back", remedy="leave that knob out: --only"
        )
    return HostError(
        f"{err.message}; and {len(left)} settings could not be put back, the first: {left[0].how}",
        remedy="remove the cause, then: lab host restore",
        evidence=file.path,
    )
