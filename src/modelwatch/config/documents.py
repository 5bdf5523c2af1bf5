"""Documents in YAML or JSON that people write: read safely, within bounds, with errors that say where."""

from __future__ import annotations

import json
from typing import Any, Literal

import yaml

from modelwatch.errors import BodyTooLarge, MalformedBody, excerpt, first_line

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 50
MOST_DIGITS = 300
Format = Literal["yaml", "json"]


def decode_document(raw: bytes, form: Format) -> object:
    """The data of a YAML or JSON document.

    Raises MalformedBody when it is not one, or a YAML document with aliases (a few lines of them can mean gigabytes) or
    tags, and BodyTooLarge beyond a megabyte.

    >>> decode_document(b"every: 1h", "yaml")
    {'every': '1h'}
    """
    if len(raw) > MAX_BYTES:
        raise BodyTooLarge(f"The document has {len(raw)} bytes; at most {MAX_BYTES} are allowed.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The document is not UTF-8: {error.reason} at byte {error.start}.") from None
    return _yaml(text) if form == "yaml" else _json(text)


def _json(text: str) -> object:
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise MalformedBody("The document is nested too deeply.") from None
    except UnicodeEncodeError:
        raise MalformedBody("The document has a lone surrogate, one of \\ud800 to \\udfff.") from None
    except ValueError as error:
        # Python's own words for a number that is too long speak of Python.
        problem = "a number has too many digits" if "int_max_str_digits" in str(error) else error
        raise MalformedBody(f"The document is not JSON: {problem}.") from None
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{excerpt(name)!r} is given twice")
        found[name] = value
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _yaml(text: str) -> object:
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise MalformedBody(f"The document has the alias {excerpt(event.anchor)!r}; write it out.")
            tag = getattr(event, "tag", None)
            if tag is not None:
                shown = tag.replace("tag:yaml.org,2002:", "!!")
                raise MalformedBody(f"The document has the tag {excerpt(shown)!r}; leave it out.")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise MalformedBody("The document is nested too deeply.")
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise MalformedBody(f"The document is not YAML{line}: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise MalformedBody(f"The document is not YAML: {first_line(error)}.") from None


class _StrictLoader(yaml.CSafeLoader):
    """Refuses a key that is given twice; YAML would silently take the last one. Dates stay text, as in JSON."""

    def construct_number(self, node: yaml.ScalarNode) -> int:
        """Integer of a node. Raises ConstructorError for one with too many digits."""
        if len(node.value) > MOST_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, "a number has too many digits", node.start_mark)
        number: int = self.construct_yaml_int(node)
        return number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Mapping of a node. Raises ConstructorError for a key that is given twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{excerpt(key.value)!r} is given twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_StrictLoader.yaml_constructors = yaml.CSafeLoader.yaml_constructors | {
    "tag:yaml.org,2002:int": _StrictLoader.construct_number,
    "tag:yaml.org,2002:timestamp": yaml.CSafeLoader.construct_yaml_str,
}
