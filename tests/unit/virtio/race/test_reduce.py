from collections.abc import Callable

from lab.virtio.race.reduce import Steps, reduced
from lab.virtio.race.schedule import Action, Step

NOISE = tuple(Step(Action.READ, queue=number, count=3, pause_us=1000) for number in range(20))
TAKE, GIVE = Step(Action.IOTHREAD_DEL, pause_us=50), Step(Action.IOTHREAD_ADD)
UNPLUG = Step(Action.CONTROLLER_DEL)


def in_order(*actions: Action) -> Callable[[Steps], bool]:
    """Fail where these actions are there in this order."""

    def fails(steps: Steps) -> bool:
        left = list(actions)
        for step in steps:
            if left and step.action is left[0]:
                left.pop(0)
        return not left

    return fails


def test_what_is_needed_is_left() -> None:
    """Of many steps the three that matter, in their order, without their pauses."""
    steps = (*NOISE[:7], TAKE, *NOISE[7:11], GIVE, *NOISE[11:], UNPLUG)
    fails = in_order(Action.IOTHREAD_DEL, Action.IOTHREAD_ADD, Action.CONTROLLER_DEL)
    assert reduced(steps, fails) == (Step(Action.IOTHREAD_DEL), GIVE, UNPLUG)


def test_no_step_can_be_left_out() -> None:
    """A failure that needs seven reads ends with seven, each of one command."""
    found = reduced(NOISE, lambda steps: len(steps) >= 7)
    assert len(found) == 7 and {(step.count, step.pause_us) for step in found} == {(1, 0)}


def test_a_pause_that_matters_stays() -> None:
    """What makes the failure go away is not made simpler."""
    found = reduced((TAKE, GIVE), lambda steps: any(step.pause_us == 50 for step in steps))
    assert found == (TAKE,)


def test_what_never_fails_again_stays_whole() -> None:
    """A race that cannot be repeated is kept as it was drawn."""
    assert reduced(NOISE, lambda _: False) == NOISE
