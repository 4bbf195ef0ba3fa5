"""Prints false alarms and power of rules for "did it change?", side by side, on the same simulated campaigns.

A campaign is a schedule of boots, both arms in random order within each block. Each boot has a level of its own (the
noise of the table) around which 20 readings, one per second, scatter and resemble their neighbours (0.85, as in
published logs of fio). Rules that look at seconds get these; the others get one number per boot.

    python benchmarks/verdicts.py [--campaigns 2000] [--seed 20250213]

The rules:

- ours: sign flips of paired log ratios, as lab/analysis/ judges (lab.analysis.campaigns);
- seconds: permutation of the pooled seconds of one boot of each arm, an alarm at p < 0.01 if the means also differ by
  5 %; after an alarm another boot of each arm is added, and the first clean look of up to three passes the candidate
  (in the manner of Firecracker's tools/ab_test.py; its number of looks is configurable);
- Mann-Whitney: of the boots' values (scipy, exact), unpaired;
- Welch: the t test of the boots' values, unpaired.

Ours and the last two get sixteen boots; the second rule gets two boots for each look, as it is used. Its
first look alone, without the gate, shows what counting seconds as observations does.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lab.analysis.campaigns import called

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int, int], Array]
BLOCKS, SECONDS, LOOKS = 8, 20, 3
ALPHA, GATE, SECONDS_ALPHA = 0.05, 0.05, 0.01
WITHIN, RESEMBLANCE = 0.015, 0.85
SHUFFLES = 200


def normal(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return 3 % noise."""
    return rng.normal(0, 0.03, (campaigns, runs))


def heavy_tailed(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return noise of infinite variance: now and then a boot is far off."""
    return np.asarray(0.03 * rng.standard_t(2, (campaigns, runs)))


def drifting(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return a host that gets 30 % faster from the first boot to the last."""
    return np.asarray(rng.normal(0, 0.01, (campaigns, runs)) + np.linspace(0, 0.3, runs))


def bimodal(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return boots at one of two speeds 10 % apart."""
    return np.asarray(rng.normal(0, 0.01, (campaigns, runs)) + 0.1 * rng.integers(0, 2, (campaigns, runs)))


def autocorrelated(rng: np.random.Generator, campaigns: int, runs: int) -> Array:
    """Return boots that resemble the one before (0.9)."""
    values = rng.normal(0, 0.03, (campaigns, runs))
    for run in range(1, runs):
        values[:, run] = 0.9 * values[:, run - 1] + math.sqrt(1 - 0.9**2) * values[:, run]
    return values


NOISES: tuple[Noise, ...] = (normal, heavy_tailed, drifting, bimodal, autocorrelated)


def boots(rng: np.random.Generator, noise: Noise, campaigns: int, change: float) -> tuple[Array, Array]:
    """Return the logarithms of baseline and candidate, campaigns x blocks, arms in random order within each block."""
    along = noise(rng, campaigns, 2 * BLOCKS).reshape(campaigns, BLOCKS, 2)
    first = rng.integers(0, 2, (campaigns, BLOCKS, 1))
    baseline = np.take_along_axis(along, first, axis=2)[:, :, 0]
    candidate = np.take_along_axis(along, 1 - first, axis=2)[:, :, 0]
    return baseline, candidate + math.log1p(change)


def ours(baseline: Array, candidate: Array, _: np.random.Generator) -> NDArray[np.bool_]:
    """Return which campaigns the lab calls changed."""
    return called((candidate - baseline)[:, :, None], alpha=ALPHA, smallest_effect=0.02).alarms


def mann_whitney(baseline: Array, candidate: Array, _: np.random.Generator) -> NDArray[np.bool_]:
    """Return which campaigns Mann-Whitney's test calls changed."""
    return np.asarray(stats.mannwhitneyu(baseline, candidate, axis=1, method="exact").pvalue <= ALPHA)


def welch(baseline: Array, candidate: Array, _: np.random.Generator) -> NDArray[np.bool_]:
    """Return which campaigns Welch's t test calls changed."""
    return np.asarray(stats.ttest_ind(baseline, candidate, axis=1, equal_var=False).pvalue <= ALPHA)


def seconds_until_clean(baseline: Array, candidate: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which campaigns stay suspicious at every look; a look is one boot of each arm."""
    suspicious = np.ones(len(baseline), dtype=np.bool_)
    pooled: list[tuple[Array, Array]] = []
    for look in range(LOOKS):
        pooled.append((traces(rng, baseline[:, look]), traces(rng, candidate[:, look])))
        mine, theirs = (np.concatenate(arm, axis=1) for arm in zip(*pooled, strict=True))
        suspicious &= permuted(rng, mine, theirs)
    return suspicious


def traces(rng: np.random.Generator, level: Array) -> Array:
    """Return readings per second around the level of each boot."""
    steps = rng.normal(0, WITHIN, (len(level), SECONDS))
    for second in range(1, SECONDS):
        steps[:, second] = RESEMBLANCE * steps[:, second - 1] + math.sqrt(1 - RESEMBLANCE**2) * steps[:, second]
    return np.asarray(np.exp(level[:, None] + steps))


def permuted(rng: np.random.Generator, baseline: Array, candidate: Array, gate: float = GATE) -> NDArray[np.bool_]:
    """Return which pairs of boots differ by the permutation of their seconds and by the gate."""
    pooled = np.concatenate([baseline, candidate], axis=1)
    observed = candidate.mean(axis=1) - baseline.mean(axis=1)
    extreme, half = np.ones(len(pooled)), baseline.shape[1]
    for _ in range(SHUFFLES):
        mixed = rng.permuted(pooled, axis=1)
        extreme += np.abs(mixed[:, half:].mean(axis=1) - mixed[:, :half].mean(axis=1)) >= np.abs(observed)
    p = extreme / (SHUFFLES + 1)
    return np.asarray((p < SECONDS_ALPHA) & (np.abs(observed) >= gate * baseline.mean(axis=1)))


def seconds_once(baseline: Array, candidate: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which campaigns are suspicious at the first look, without the gate."""
    return permuted(rng, traces(rng, baseline[:, 0]), traces(rng, candidate[:, 0]), gate=0.0)


RULES = {
    "ours": ours,
    "seconds": seconds_until_clean,
    "seconds, one look, no gate": seconds_once,
    "Mann-Whitney": mann_whitney,
    "Welch": welch,
}


def share(seed: int, noise: Noise, campaigns: int, change: float) -> list[float]:
    """Return the share of campaigns that each rule calls changed."""
    baseline, candidate = boots(np.random.default_rng(seed), noise, campaigns, change)
    return [float(np.mean(rule(baseline, candidate, np.random.default_rng(seed + 1)))) for rule in RULES.values()]


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaigns", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20250213)
    options = parser.parse_args()
    start = time.monotonic()
    print(f"{options.campaigns} campaigns each, seed {options.seed}; one point, {BLOCKS} blocks, alpha {ALPHA:g}")
    for title, change in (("false alarms", 0.0), ("a loss of 5 % is found", -0.05), ("a gain of 5 % is found", 0.05)):
        print(f"\n| {title} | " + " | ".join(RULES) + " |\n|---" + "|---" * len(RULES) + "|")
        for noise in NOISES:
            name = noise.__name__.replace("_", " ")
            cells = (f"{100 * value:.1f} %" for value in share(options.seed, noise, options.campaigns, change))
            print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
