"""The files that a series touches to what it can change, and so to what is worth running, with reasons.

The judgement is a table, scope.toml, so that who knows better changes a line and not a program. A file that no rule
fits may change everything: to run too much wastes an hour, to run too little hides a regression.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files as resources
from typing import Any

ANY = "any"
"""The load that every machine has."""


@dataclass(frozen=True)
class Rule:
    """One rule of the table.

    :param paths: patterns of files; ``*`` also stands for ``/``.
    :param loads: words for what a machine must have in it for a change to matter (lab/machine/needs.py), any of them.
    :param scenarios: what is worth playing beside measuring: names of ``lab scenario``, and ``tmf``.
    :param reason: ends the sentence that begins with the file.
    """

    paths: tuple[str, ...]
    loads: frozenset[str]
    reason: str
    scenarios: tuple[str, ...] = ()

    def fits(self, path: str) -> bool:
        """Tell whether a file is meant."""
        return any(fnmatchcase(path, pattern) for pattern in self.paths)

    def concerns(self, loaded: Iterable[str]) -> bool:
        """Tell whether a machine with these loads runs what was changed."""
        return ANY in self.loads or not self.loads.isdisjoint(loaded)


@dataclass(frozen=True)
class ScopeItem:
    """Files of a series that one rule speaks about.

    :param files: as the series names them, sorted.
    """

    files: tuple[str, ...]
    rule: Rule

    def to_json(self) -> dict[str, Any]:
        """Return one item of ``scope`` in ``lab series show --json``."""
        rule = self.rule
        shown = {"loads": sorted(rule.loads), "scenarios": list(rule.scenarios), "reason": rule.reason}
        return {"files": list(self.files), **shown}


UNKNOWN = Rule(("*",), frozenset({ANY}), "nothing is known of this file, so it may change everything")


@cache
def rules() -> tuple[Rule, ...]:
    """Return the table, in its order."""
    text = resources("lab.series").joinpath("scope.toml").read_text(encoding="utf-8")
    return tuple(
        Rule(tuple(row["paths"]), frozenset(row["loads"]), row["reason"], tuple(row.get("scenarios", ())))
        for row in tomllib.loads(text)["rule"]
    )


def scope_from_files(paths: Iterable[str], table: Sequence[Rule] | None = None) -> tuple[ScopeItem, ...]:
    """Return what the files of a series can change: those that concern a machine first, in the order of the table.

    :param table: rules, the first that fits a file counts; None for the project's.
    """
    known = rules() if table is None else tuple(table)
    by_rule: dict[Rule, list[str]] = {}
    for path in sorted(set(paths)):
        rule = next((rule for rule in known if rule.fits(path)), UNKNOWN)
        by_rule.setdefault(rule, []).append(path)
    order = {rule: number for number, rule in enumerate((*known, UNKNOWN))}
    ranked = sorted(by_rule, key=lambda rule: (not rule.loads, not rule.scenarios, order[rule]))
    return tuple(ScopeItem(tuple(by_rule[rule]), rule) for rule in ranked)


def scenarios_of(scope: Iterable[ScopeItem]) -> tuple[str, ...]:
    """Return the scenarios that are worth playing, each once, the most wanted first."""
    counted: dict[str, int] = {}
    for item in scope:
        for name in item.rule.scenarios:
            counted[name] = counted.get(name, 0) + len(item.files)
    return tuple(sorted(counted, key=lambda name: -counted[name]))
