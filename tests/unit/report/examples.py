"""Results made in memory, and the words a stranger may have put into them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from lab.analysis.question import question_from_toml
from lab.analysis.results import Results
from tests.unit.analysis.campaign import BUILDS, EXPERIMENT, HOST, Campaign

HOSTILE = "<script>alert(1)</script> [x](javascript:1) `code` | \x1b[31mred\u202e $\\frac{1}$ \u732b"


def results(campaign: Campaign, *, builds: Mapping[str, object] = BUILDS, experiment: str = EXPERIMENT) -> Results:
    """Return the results of a campaign without going through files."""
    question = question_from_toml(tomllib.loads(experiment), "experiment.toml")
    return Results(Path("experiment"), question, campaign.schedule(), campaign.records(), HOST, builds)
