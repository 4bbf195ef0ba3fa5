"""The host's apt sources to typed entries and back: what lets a private apt use the same mirror and the same keys.

apt can list its sources only after their lists were fetched (``apt-get indextargets`` prints nothing before the first
update, seen with apt 2.6.1), so the files themselves are read. Formats: sources.list(5), one-line and deb822.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AptSource:
    """One archive on one mirror.

    :param uri: as configured, without a trailing slash.
    :param suite: for example ``bookworm-security``.
    :param components: for example ``("main", "universe")``.
    :param signed_by: key files, fingerprints or a whole key (then with line breaks); empty for the host's trusted keys.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def read_sources(sourcelist: Path, sourceparts: Path) -> tuple[AptSource, ...]:
    """Return the enabled sources of binary packages, each once, in apt's order.

    Options that weaken the check of signatures (``trusted=yes``) are not carried over.

    :param sourcelist: usually ``/etc/apt/sources.list``; may be missing.
    :param sourceparts: usually ``/etc/apt/sources.list.d``; may be missing. As in apt, only ``*.list`` and
        ``*.sources`` count.
    """
    parts = sorted(sourceparts.iterdir()) if sourceparts.is_dir() else []
    found: dict[AptSource, None] = {}
    for path in (sourcelist, *parts):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # missing, or (auth tokens in it) not ours to read
            continue
        if path.suffix == ".sources":
            found.update(dict.fromkeys(sources_from_deb822(text)))
        elif path.suffix == ".list":
            found.update(dict.fromkeys(sources_from_one_line(text)))
    return tuple(found)


def sources_from_one_line(text: str) -> Iterator[AptSource]:
    """Parse ``deb [ options ] uri suite component...`` lines; lines that are not are passed over."""
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        options: dict[str, str] = {}
        rest = rest.strip()
        if rest.startswith("["):
            inside, _, rest = rest[1:].partition("]")
            options = dict(word.split("=", 1) for word in inside.split() if "=" in word)
        words = rest.split()
        if len(words) >= 2:
            signed_by = options.get("signed-by", "").replace(",", " ")
            yield AptSource(words[0].rstrip("/"), words[1], tuple(words[2:]), signed_by)


def sources_from_deb822(text: str) -> Iterator[AptSource]:
    """Parse stanzas of ``Types``, ``URIs``, ``Suites``, ``Components``, ``Signed-By``, ``Enabled``."""
    for fields in _stanzas(text):
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield AptSource(uri.rstrip("/"), suite, components, fields.get("signed-by", ""))


def deb822_from_sources(sources: tuple[AptSource, ...], types: str) -> str:
    """Return a ``.sources`` file.

    :param types: ``deb``, ``deb-src`` or both.
    """
    stanzas = []
    for source in sources:
        lines = [f"Types: {types}", f"URIs: {source.uri}", f"Suites: {source.suite}"]
        if source.components:
            lines.append(f"Components: {' '.join(source.components)}")
        if source.signed_by:
            lines.append(f"Signed-By: {source.signed_by}")
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the stanzas of a deb822 file, field names in lower case, continuation lines kept as they are."""
    fields: dict[str, str] = {}
    last = ""
    for line in (*text.splitlines(), ""):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t" and last:
            fields[last] += "\n" + line
        else:
            name, colon, value = line.partition(":")
            if colon:
                last = name.strip().lower()
                fields[last] = value.strip()
