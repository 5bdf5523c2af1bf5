"""Monitors in files: one in each, or several in a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwatch.config.documents import decode_document
from modelwatch.config.monitors.monitor import MonitorConfig, parse_monitor
from modelwatch.errors import FieldError, InvalidInput, RequestError

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class FiledMonitor:
    """A valid monitor and the file that it is in. pointer: where in it."""

    path: Path
    model: str
    config: MonitorConfig
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A problem of a file. pointer: its place in the file; empty: the whole file."""

    path: Path
    pointer: str
    message: str

    def __str__(self) -> str:
        where = f" {self.pointer}" if self.pointer else ""
        return f"{self.path}{where}: {self.message}"


def monitor_files(path: Path) -> list[Path]:
    """The file, or the monitor files of a folder, sorted, without hidden ones. Empty when there is nothing.

    What can't be read is among them, for `read_monitors` to say so.
    """
    if not path.is_dir():
        return [path] if path.exists() else []
    try:
        return sorted(each for each in path.iterdir() if _is_monitor_file(each))
    except OSError:
        return [path]


def _is_monitor_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def read_monitors(paths: Iterable[Path]) -> tuple[list[FiledMonitor], list[FileProblem]]:
    """The monitors of these files, and everything that is wrong with them."""
    found: dict[str, FiledMonitor] = {}
    problems: list[FileProblem] = []
    for path in paths:
        for item in _read(path):
            if isinstance(item, FileProblem):
                problems.append(item)
            elif item.model in found:
                other = found[item.model].path
                problems.append(
                    FileProblem(path, item.pointer, f"The model {item.model!r} has a monitor in {other} already")
                )
            else:
                found[item.model] = item
    return list(found.values()), problems


def _read(path: Path) -> Iterator[FiledMonitor | FileProblem]:
    try:
        data = decode_document(path.read_bytes(), "json" if path.suffix.lower() == ".json" else "yaml")
    except OSError as error:
        yield FileProblem(path, "", f"It can't be read: {(error.strerror or str(error)).lower()}")
        return
    except RequestError as error:
        yield FileProblem(path, "", error.detail)
        return
    if isinstance(data, Mapping) and "monitors" in data:
        for unknown in sorted(set(map(str, data)) - {"monitors"}):
            yield FileProblem(path, f"/{unknown}", "Expected nothing beside the list of monitors")
        listed = data["monitors"]
        if not isinstance(listed, list):
            yield FileProblem(path, "/monitors", "Expected a list of monitors")
            return
        for index, each in enumerate(listed):
            yield from _monitor(path, f"/monitors/{index}", each)
    else:
        yield from _monitor(path, "", data)


def _monitor(path: Path, pointer: str, data: object) -> Iterator[FiledMonitor | FileProblem]:
    try:
        config = parse_monitor(data, pointer)
        if config.model is None:
            raise InvalidInput("", (FieldError(f"{pointer}/model", "Required in a file: the model that it is for"),))
    except InvalidInput as error:
        for problem in error.errors:
            given = "" if problem.value_excerpt is None else f", got {problem.value_excerpt!r}"
            yield FileProblem(path, problem.pointer, problem.message + given)
        return
    yield FiledMonitor(path, config.model, config, pointer)
