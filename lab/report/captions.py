"""Results to the words around a picture of them, and to what the file says of its origin."""

from __future__ import annotations

from lab import __version__
from lab.analysis.caveats import CaveatKind
from lab.analysis.compare import Comparison
from lab.progress import printable
from lab.record import Arm
from lab.report.charts import Caption
from lab.report.provenance import host_line, source_line


def caption_of(comparison: Comparison, title: str, notes: tuple[str, ...], alerts: tuple[str, ...] = ()) -> Caption:
    """Return the words around a picture of an experiment.

    :param notes: what the marks are; where the numbers come from is added.
    :param alerts: which claims the numbers do not support.
    """
    results = comparison.results
    arms = {arm: results.builds.get(arm.value) for arm in Arm}
    binaries = [f"{arm.value} {build.get('binary_sha256')}" for arm, build in arms.items() if isinstance(build, dict)]
    source = source_line(results)
    about = f"{results.question.title}; {comparison.verdict.value}; {', '.join(binaries)}"
    origin = (f"Host: {host_line(results)}.", f"Source: {source}.")
    return plain_caption(title, (*notes, *origin), source, about, alerts)


def plain_caption(
    title: str, notes: tuple[str, ...], source: str, description: str, alerts: tuple[str, ...] = ()
) -> Caption:
    """Return the words around a picture of anything.

    :param source: where the numbers come from, for the metadata of the file.
    :param description: what they say, likewise.
    """
    metadata = {
        "Title": title,
        "Software": f"qemu-patch-lab {__version__}",
        "Source": source,
        "Description": description,
    }
    return Caption(title, alerts, notes, {key: _ascii(value) for key, value in metadata.items()})


def alerts_of(comparison: Comparison) -> tuple[str, ...]:
    """Return the caveats that forbid reading absolute values or scaling from a picture."""
    kinds = (CaveatKind.TIER, CaveatKind.CPUS)
    return tuple(f"Note: {caveat.text}." for caveat in comparison.caveats if caveat.kind in kinds)


def _ascii(text: str) -> str:
    """Return text that the text chunks of a PNG file can hold, and the XML of an SVG file, too."""
    one_line = printable(text).replace("\n", " ").replace("\t", " ")
    return one_line.encode("ascii", "backslashreplace").decode()
