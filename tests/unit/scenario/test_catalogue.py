"""The scenarios by name."""

import pytest

from lab.errors import InputError
from lab.machine.mapping import Device
from lab.scenario.catalogue import SCENARIOS, scenarios_from_names


def test_every_scenario_says_what_it_does_in_a_line() -> None:
    """The list of the command line is made of them."""
    assert all(10 < len(one.summary) <= 130 and one.summary.endswith(".") for one in SCENARIOS.values())


def test_no_name_is_every_scenario_that_suits_the_device() -> None:
    """A logical unit reset takes a SCSI disk."""
    scsi = [one.name for one in scenarios_from_names((), Device.VIRTIO_SCSI)]
    blk = [one.name for one in scenarios_from_names((), Device.VIRTIO_BLK)]
    assert scsi == list(SCENARIOS) and set(scsi) - set(blk) == {"lun-reset", "hotplug-disk"}


def test_names_that_are_none_or_do_not_suit_are_refused() -> None:
    """Before anything is built."""
    with pytest.raises(InputError, match="no scenario 'miror'"):
        scenarios_from_names(("miror",), Device.VIRTIO_SCSI)
    with pytest.raises(InputError, match="needs virtio-scsi-pci"):
        scenarios_from_names(("lun-reset",), Device.VIRTIO_BLK)


def test_what_cannot_be_repeated_has_one_turn() -> None:
    """A guest that was powered off is not there for a second one."""
    assert SCENARIOS["mirror"].turns(5) == 5 and SCENARIOS["power-off"].turns(5) == 1
