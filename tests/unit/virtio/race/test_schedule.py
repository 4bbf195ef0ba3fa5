import json

import pytest

from lab.errors import InputError
from lab.virtio.backing import Backing
from lab.virtio.race.schedule import Action, Schedule, Step, schedule_from_text

RACE = Schedule(
    seed=7,
    mapping="1",
    iothreads=("t0",),
    controller={"iothread": "t0"},
    num_queues=4,
    backing=Backing.FILE,
    steps=(Step(Action.LOAD, 1, 2, 8), Step(Action.FUNCTION, function=0xFFFFFFFF, pause_us=50)),
)


def test_a_schedule_comes_back_from_its_file() -> None:
    """Whole, and what is a default is not written."""
    data = RACE.to_json()
    assert schedule_from_text(json.dumps(data)) == RACE
    assert data["steps"][0] == {"action": "load", "unit": 1, "queue": 2, "count": 8}


def test_steps_can_be_replaced() -> None:
    """The rest stays, the seed too."""
    shorter = RACE.with_steps(RACE.steps[:1])
    assert shorter.steps == RACE.steps[:1] and shorter.seed == 7


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"seed": "7"},
        {"seed": -1},
        {"seed": float("inf")},
        {"num_queues": 0},
        {"num_queues": 65},
        {"num_queues": True},
        {"steps": [{"action": "no such thing"}]},
        {"steps": [{"action": "read", "count": -1}]},
        {"steps": [{"action": "read", "count": "1"}]},
        {"steps": [{"action": "read", "count": 1001}]},
        {"steps": [{"action": "read", "pause_us": -1}]},
        {"steps": [{"action": "read", "pause_us": 1_000_001}]},
        {"steps": [{"action": "read", "pause_us": 1_000_000}] * 61},
        {"steps": [{"action": "read"}] * 1001},
        {"steps": ["action"]},
        {"steps": 5},
        {"backing": "tape"},
        {"iothreads": 3},
        {"iothreads": ["t0,id=x"]},
        {"iothreads": [7]},
        {"controller": {"driver": "vfio-pci", "host": "0000:00:02.0"}},
        {"controller": ["iothread"]},
        {"iothreads": "ab"},
        {"iothreads": ["t0", "t0"]},
        {"iothreads": [f"t{number}" for number in range(65)]},
        {"iothreads": ["t0"], "controller": {"iothread": "t1"}},
        {"iothreads": ["t0"], "controller": {"iothread": {"t0": 1}}},
        {"iothreads": ["t0"], "controller": {"iothread": "t" * 500_000}},
        {"iothreads": ["t0"], "controller": {"iothread-vq-mapping": 5}},
        {"iothreads": ["t0"], "controller": {"iothread-vq-mapping": ["t0"]}},
        {"iothreads": ["t0"], "controller": {"iothread-vq-mapping": [{"iothread": "t1"}]}},
        {"iothreads": ["t0"], "controller": {"iothread-vq-mapping": [{"iothread": "t0", "vqs": [99]}]}},
        {"iothreads": ["t0"], "controller": {"iothread-vq-mapping": [{"iothread": "t0", "vqs": 5}]}},
    ],
)
def test_what_is_no_schedule_is_refused(change: dict[str, object]) -> None:
    """A file of somebody else's cannot make the lab do anything but races."""
    with pytest.raises(InputError):
        schedule_from_text(json.dumps(RACE.to_json() | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000])
def test_what_is_not_even_json_is_refused(text: str) -> None:
    """With a sentence and no traceback."""
    with pytest.raises(InputError, match="not a schedule"):
        schedule_from_text(text)
