from __future__ import annotations

from pathlib import Path

import pytest

from lab.host.accelerator_choice import Tier, last_subject, read_choice, write_choice
from lab.settings import cache_dir
from tests.unit.host.probes import ON_KVM, ON_TCG, stored, subject

DAY_S = 86400.0


def test_an_answer_survives_the_cache(tmp_path: Path) -> None:
    """What was written is read back, and no half-written file stays."""
    answer = stored(ON_TCG, subject(tmp_path))
    write_choice(tmp_path, answer)
    assert read_choice(tmp_path) == answer
    assert [path.name for path in tmp_path.glob("answer*")] == ["answer.json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:50],
        lambda text: text.replace('"tcg"', '"hvf"'),
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"reason"', '"motive"'),
        lambda text: "[]",
    ],
)
def test_a_damaged_answer_is_no_answer(tmp_path: Path, damage: object) -> None:
    """The question is asked again instead."""
    write_choice(tmp_path, stored(ON_TCG, subject(tmp_path)))
    path = tmp_path / "answer.json"
    assert callable(damage)
    path.write_text(damage(path.read_text()))
    assert read_choice(tmp_path) is None


def test_no_answer_is_none(tmp_path: Path) -> None:
    """An empty folder holds no answer."""
    assert read_choice(tmp_path) is None


def test_that_kvm_works_is_believed_for_ever(tmp_path: Path) -> None:
    """A booted guest was no accident."""
    assert stored(ON_KVM, subject(tmp_path)).is_believed(1000 * DAY_S)


def test_that_kvm_does_not_work_is_believed_for_a_day(tmp_path: Path) -> None:
    """A busy host may have been the reason; a clock that went back is not trusted either."""
    answer = stored(ON_TCG, subject(tmp_path), asked_at_s=DAY_S)
    assert answer.is_believed(2 * DAY_S - 1)
    assert not answer.is_believed(2 * DAY_S)
    assert not answer.is_believed(DAY_S - 1)


def test_that_there_is_no_kvm_is_believed_for_ever(tmp_path: Path) -> None:
    """Without a device there was nothing to fail; one that appears makes another question."""
    answer = stored(ON_TCG, subject(tmp_path)).model_copy(update={"kvm_opens": False})
    assert answer.is_believed(1000 * DAY_S)


def test_the_tiers_are_those_that_worked() -> None:
    """A tier that was tried in vain is not one."""
    assert ON_TCG.tiers == (Tier.QTEST, Tier.TCG)
    assert ON_KVM.tiers == (Tier.QTEST, Tier.TCG, Tier.KVM)


def test_the_last_subject_of_this_host_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor can boot what was booted last, unless its files are gone or it was on another host."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    assert last_subject("host") is None
    subjects = []
    for number, host in enumerate(("host", "host", "other")):
        folder = tmp_path / str(number)
        folder.mkdir()
        subjects.append(subject(folder))
        write_choice(
            cache_dir("probes", str(number)), stored(ON_TCG, subjects[-1], host=host, asked_at_s=float(number))
        )
    (cache_dir("probes", "damaged") / "answer.json").write_text("?")
    assert last_subject("host") == subjects[1]
    subjects[1].initrd.unlink()
    assert last_subject("host") == subjects[0]
    assert last_subject("nobody") is None
