from dataclasses import replace
from pathlib import Path

import pytest

from lab.analysis.alike import setting_differences, unlike_reasons
from lab.analysis.question import Question
from lab.analysis.results import Results
from tests.unit.analysis.campaign import BUILD, BUILDS, Campaign


def reasons(builds: dict[str, object]) -> tuple[str, ...]:
    """Return why results with these builds may not be compared."""
    campaign = Campaign(blocks=1)
    return unlike_reasons(Results(Path("x"), Question("t"), campaign.schedule(), campaign.records(), {}, builds))


def test_equal_builds_are_alike() -> None:
    """Commit and binary differ on purpose; a CSV file has no builds at all."""
    assert reasons(dict(BUILDS)) == () and reasons({}) == ()


@pytest.mark.parametrize(("key", "value"), [("compiler", "clang 19"), ("configure_options", ["-O0 " * 40])])
def test_what_was_not_asked_about_must_be_equal(key: str, value: object) -> None:
    """Another compiler or other options make another question; long lists are cut."""
    (reason,) = reasons(BUILDS | {"candidate": BUILD | {key: value}})
    assert key in reason and len(reason) < 200


def test_builds_that_were_forced_are_judged() -> None:
    """Their differences are warnings of the experiment then; another accelerator still is none of it."""
    unlike = BUILDS | {"candidate": BUILD | {"compiler": "clang 19"}, "warnings": ["compiler: gcc against clang"]}
    assert reasons(unlike) == () and reasons({**unlike, "warnings": ["x"], "forced": True}) == ()


@pytest.mark.parametrize("said", [{}, {"forced": False}, {"forced": "yes"}])
def test_a_warning_about_something_else_is_no_force(said: dict[str, object]) -> None:
    """That the series touches nothing the job runs does not make builds alike; nor does it in folders from before."""
    unlike = BUILDS | {"candidate": BUILD | {"compiler": "clang 19"}}
    assert len(reasons({**unlike, "warnings": ["the series changes nothing that this job runs"], **said})) == 1


def test_one_verdict_is_of_one_accelerator() -> None:
    """Also where both arms had the same two."""
    campaign = Campaign(blocks=2)
    records = tuple(
        replace(record, accelerator="kvm") if record.scheduled.block == 2 else record for record in campaign.records()
    )
    (reason,) = unlike_reasons(Results(Path("x"), Question("t"), campaign.schedule(), records))
    assert reason == "the runs had several accelerators: kvm and tcg"


def test_of_long_settings_only_the_difference_is_listed() -> None:
    """A line of a fio job, a version among many; what one has and the other lacks; the guest image once."""

    def measured(fio: str, programs: dict[str, str], image: str) -> Results:
        question = Question("t", settings=(("fio", fio), ("image", image)))
        return Results(Path("x"), question, (), (), {"guest_image": image, "guest_programs": programs})

    one = measured("[global]\n" + 60 * "same=1\n" + "bs=4k", {"busybox": "1", "fio": "3.33"}, "aa")
    other = measured("[global]\n" + 60 * "same=1\n" + "bs=8k\nfsync=1", {"busybox": "1", "fio": "3.41"}, "bb")
    assert setting_differences(one, other) == (
        "the software: guest_image is aa and bb",
        "the software: guest_programs is fio 3.33 and fio 3.41",
        "the question: fio is bs=4k and bs=8k fsync=1",
    )
    shorter = measured("[global]\n" + 59 * "same=1\n" + "same=1", {"busybox": "1", "fio": "3.33"}, "aa")
    assert setting_differences(one, shorter) == ("the question: fio is bs=4k and without that",)


def test_an_old_result_has_its_image_in_the_question_only() -> None:
    """It is compared all the same."""
    one, other = (Results(Path("x"), Question("t", settings=(("image", image),)), (), ()) for image in ("aa", "bb"))
    assert setting_differences(one, other) == ("the software: guest_image is aa and bb",)
