import json
from collections import Counter

import pytest

from lab.virtio.backing import Backing
from lab.virtio.race.draw import Theme, draw
from lab.virtio.race.schedule import Action, schedule_from_text

MAPPINGS = ("none", "iothread", "2")


def test_a_seed_is_a_schedule() -> None:
    """The same one each time; another seed is another."""
    assert draw(3, MAPPINGS) == draw(3, MAPPINGS)
    assert len({draw(seed, MAPPINGS).steps for seed in range(50)}) == 50


def test_everything_is_drawn_sometimes() -> None:
    """Every action, backing and mapping is in some schedule of the first few hundred."""
    schedules = [draw(seed, MAPPINGS) for seed in range(400)]
    assert {step.action for schedule in schedules for step in schedule.steps} == set(Action)
    assert Counter(schedule.backing for schedule in schedules).keys() == set(Backing)
    assert {schedule.mapping for schedule in schedules} == set(MAPPINGS)


def test_the_order_of_a_plot_is_kept() -> None:
    """However much is shuffled in between: an IOThread is made again after it was taken away."""
    order = [Action.IOTHREAD_DEL, Action.IOTHREAD_ADD, Action.CONTROLLER_DEL]
    for seed in range(30):
        steps = draw(seed, ["2"], [Theme.IOTHREADS]).steps
        plot = [step.action for step in steps if step.action in order]
        assert plot == order[: len(plot)] and plot


@pytest.mark.parametrize("theme", list(Theme))
def test_every_theme_can_be_stored(theme: Theme) -> None:
    """What is drawn is what a stored schedule may say."""
    schedule = draw(1, ["4"], [theme])
    assert schedule_from_text(json.dumps(schedule.to_json())) == schedule
