from pathlib import Path

import pytest

from lab.analysis.alike import unlike_reasons
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
    assert reasons(unlike) == ()
