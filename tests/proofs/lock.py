"""The figures of long proofs, each with a digest of what it uses: taken from `lock.json` while that is the same."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import inspect
import json
import math
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from tests.proofs.definitions import Sources

T = TypeVar("T")
Argument = str | int | float | Path

LIBRARIES = ("numpy", "scipy", "pyarrow", "msgspec")
"""Whose versions count as well: they compute the figures."""
TOLERANCE = 1e-6
"""Relative; by as much a figure may differ on another machine."""


class Mode(Enum):
    """What is run: what has changed, the same and recorded, or everything, recorded and compared with what was."""

    CHANGED = ""
    RENEW = "renew"
    ALL = "all"


class Proofs:
    """Runs functions that measure something for a long time, or knows what they have measured.

    lock: the file of figures. sources: where their code is. measured: results by name and digest, shared by tests.
    """

    def __init__(self, lock: Path, sources: Sources, mode: Mode, measured: dict[tuple[str, str], Any]) -> None:
        self.ran: list[str] = []
        self._lock = lock
        self._sources = sources
        self._mode = mode
        self._measured = measured

    def figures(self, measure: Callable[..., T], *arguments: Argument) -> T:
        """What `measure(*arguments)` returns.

        It must be reproducible, have a return type that msgspec converts to, and use nothing but its code, numpy, scipy
        and its arguments: of a path the content counts. Raises AssertionError when all proofs are run and the figures
        are others than the recorded ones, though nothing that they use has changed.
        """
        name, digest = self._name(measure, arguments), self._digest(measure, arguments)
        recorded = self._recorded().get(name)
        known = recorded if recorded is not None and recorded["digest"] == digest else None
        kind = get_type_hints(measure)["return"]
        if known is not None and self._mode is not Mode.ALL:
            return msgspec.convert(known["figures"], kind, strict=False)  # type: ignore[no-any-return]
        if (name, digest) in self._measured:
            return self._measured[name, digest]  # type: ignore[no-any-return]
        self.ran.append(name)
        result = self._measured[name, digest] = measure(*arguments)
        figures = json.loads(msgspec.json.encode(result))
        if known is not None and not same(known["figures"], figures):
            raise AssertionError(f"{name} gives {figures} and gave {known['figures']}: it uses what nobody knows of")
        if self._mode is not Mode.CHANGED and known is None:
            self._record(name, {"digest": digest, "figures": figures})
        return result

    @staticmethod
    def _name(measure: Callable[..., object], arguments: tuple[Argument, ...]) -> str:
        shown = [each.name if isinstance(each, Path) else str(each) for each in arguments]
        return f"{measure.__qualname__}({', '.join(shown)})"

    def _digest(self, measure: Callable[..., object], arguments: tuple[Argument, ...]) -> str:
        path = inspect.getsourcefile(measure)
        assert path is not None
        parts = [self._sources.digest((self._sources.name_of(Path(path)), measure.__qualname__))]
        parts += [f"{library} {importlib.metadata.version(library)}" for library in LIBRARIES]
        for argument in arguments:
            parts += _contents(argument) if isinstance(argument, Path) else [repr(argument)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _recorded(self) -> dict[str, dict[str, Any]]:
        with self._lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            recorded: dict[str, dict[str, Any]] = json.load(file)
            return recorded

    def _record(self, name: str, entry: dict[str, Any]) -> None:
        with self._lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            entries = {**json.load(file), name: entry}
            lines = [f"{json.dumps(key)}: {json.dumps(entries[key])}" for key in sorted(entries)]
            file.seek(0)
            file.truncate()
            file.write("{\n" + ",\n".join(lines) + "\n}\n")


def same(left: object, right: object) -> bool:
    """Whether figures are the same, to a millionth where they are fractions."""
    match left, right:
        case list(), list():
            return len(left) == len(right) and all(map(same, left, right))
        case dict(), dict():
            return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
        case float(), int() | float():
            return math.isclose(left, right, rel_tol=TOLERANCE)
    return left == right


def _contents(path: Path) -> list[str]:
    """The digests of a file, or of all files of a folder with their names in it; byte code is none of them."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    files = [each for each in files if each.suffix != ".pyc"]
    return [f"{each.name} {hashlib.sha256(each.read_bytes()).hexdigest()}" for each in files]
