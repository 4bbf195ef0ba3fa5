from lab.virtio.tmf.observation import Observation
from tests.unit.virtio.tmf.made_up import NEVER, command_ending


def test_what_never_ended_has_no_response() -> None:
    """There is nothing to read, and it is not taken for zeros."""
    assert NEVER.response is None
    assert str(command_ending(4, "t0").response) == "RESET"


def test_an_observation_begins_empty() -> None:
    """A case that broke off before it began has seen nothing."""
    seen = Observation()
    assert (seen.commands, seen.function, seen.stall, seen.crash, seen.after) == ((), None, None, "", {})
