"""A finished build as a value, and its JSON form: build.json of a cache entry, and builds.json of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import InputError, NotComparableError

FORMAT = 1

_OPTIMISED = ("-O2", "-O3", "-Ofast")
_COMPARED = ("configure_options", "compiler", "linker", "libraries", "c_flags", "firmware_sha256")


@dataclass(frozen=True)
class Build:
    """Binaries in the cache, and everything known about how they came to be.

    :param folder: the cache entry; it is complete in itself.
    :param key: of the content; equal keys are equal builds.
    :param tree_id: what was built. The commit is only one name of it.
    :param origin: where the source came from, for people.
    :param version: QEMU's.
    :param configure_options: what both arms must share.
    :param c_flags: code generation flags of a file of the request path (-O, -f, -m, -g), in their order.
    :param libraries: name to version, of what it was linked with.
    :param binary_sha256: of qemu-system-x86_64.
    :param firmware_sha256: file name to digest.
    :param seconds: how long building took, when it was built.
    :param steps: how many ninja steps were run: few where objects were reused.
    :param cached: whether this call found it in the cache.
    """

    folder: Path
    key: str
    commit: str
    tree_id: str
    origin: str
    version: str
    configure_options: tuple[str, ...]
    compiler: str
    linker: str
    libraries: Mapping[str, str]
    c_flags: tuple[str, ...]
    binary_sha256: str
    firmware_sha256: Mapping[str, str]
    built_at: str
    seconds: float
    steps: int
    cached: bool = field(default=False, compare=False)

    @property
    def qemu(self) -> Path:
        """Return the system emulator."""
        return self.folder / "qemu-system-x86_64"

    @property
    def qemu_img(self) -> Path:
        """Return the image tool of the same build."""
        return self.folder / "qemu-img"

    @property
    def firmware(self) -> tuple[Path, ...]:
        """Return the folders for ``-L``."""
        return (self.folder / "firmware",)

    @property
    def log(self) -> Path:
        """Return what configure, ninja and make printed."""
        return self.folder / "build.log"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of a build."""
        return {
            "format": FORMAT,
            "key": self.key,
            "folder": str(self.folder),
            "qemu": str(self.qemu),
            "firmware": [str(folder) for folder in self.firmware],
            "commit": self.commit,
            "tree_id": self.tree_id,
            "origin": self.origin,
            "version": self.version,
            "configure_options": list(self.configure_options),
            "compiler": self.compiler,
            "linker": self.linker,
            "libraries": dict(self.libraries),
            "c_flags": list(self.c_flags),
            "binary_sha256": self.binary_sha256,
            "firmware_sha256": dict(self.firmware_sha256),
            "built_at": self.built_at,
            "seconds": self.seconds,
            "steps": self.steps,
            "cached": self.cached,
        }

    @classmethod
    def from_json(cls, value: Any) -> Build:
        """Return the build of a JSON object: the inverse of :meth:`to_json`.

        :raise InputError: it is not one, or of another format.
        """
        try:
            if value["format"] != FORMAT:
                raise InputError(f"this build has format {value['format']!r}, not {FORMAT}")
            return cls(
                folder=Path(value["folder"]),
                key=str(value["key"]),
                commit=str(value["commit"]),
                tree_id=str(value["tree_id"]),
                origin=str(value["origin"]),
                version=str(value["version"]),
                configure_options=tuple(str(option) for option in value["configure_options"]),
                compiler=str(value["compiler"]),
                linker=str(value["linker"]),
                libraries={str(name): str(version) for name, version in value["libraries"].items()},
                c_flags=tuple(str(flag) for flag in value["c_flags"]),
                binary_sha256=str(value["binary_sha256"]),
                firmware_sha256={str(name): str(digest) for name, digest in value["firmware_sha256"].items()},
                built_at=str(value["built_at"]),
                seconds=float(value["seconds"]),
                steps=int(value["steps"]),
                cached=bool(value["cached"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise InputError(f"this is not a build: {type(err).__name__} {err}") from err


def differences(one: Build, other: Build) -> tuple[str, ...]:
    """Return in which of the things that must be equal two builds differ, each as a sentence."""
    return tuple(
        f"{name.replace('_', ' ')}: {_text(getattr(one, name))} against {_text(getattr(other, name))}"
        for name in _COMPARED
        if getattr(one, name) != getattr(other, name)
    )


def debug_traits(build: Build) -> tuple[str, ...]:
    """Return what makes a build unfit for measuring: no optimisation, sanitizers, coverage."""
    level = next((flag for flag in reversed(build.c_flags) if flag.startswith("-O")), "no -O at all")
    traits = () if level in _OPTIMISED else (f"optimisation {level}",)
    bad = ("-fsanitize", "--coverage", "-fprofile-arcs", "-ftest-coverage", "-pg")
    return (*traits, *(flag for flag in build.c_flags if flag.startswith(bad)))


def objections(baseline: Build, candidate: Build) -> tuple[str, ...]:
    """Return why two builds should not be compared: what differs beside their source, what is not made for speed."""
    traits = (f"{build.origin}: {trait}" for build in (baseline, candidate) for trait in debug_traits(build))
    return (*differences(baseline, candidate), *dict.fromkeys(traits))


def require_comparable(baseline: Build, candidate: Build) -> None:
    """Refuse a pair of builds that differ in more than their source, or that are not made for speed.

    :raise NotComparableError: they differ, or one is a debug build; the message names each difference.
    """
    reasons = objections(baseline, candidate)
    if reasons:
        raise NotComparableError(
            "the two builds cannot be compared: " + "; ".join(reasons),
            remedy="build both with the same options and compiler; --force compares them all the same and says so",
        )


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={item}" for name, item in value.items())
    return " ".join(value) if isinstance(value, tuple) else str(value)
