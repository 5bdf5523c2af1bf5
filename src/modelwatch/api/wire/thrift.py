"""Reading structs in Thrift's compact protocol, as far as Parquet needs it: integers are kept, the rest is skipped.

pyarrow ends the whole process when some metadata that it is asked for are corrupt; this reader raises.
Format: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Iterator

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
MAX_DEPTH = 8
LONGEST_SHIFT = 63

Path = tuple[int, ...]


class CorruptThrift(ValueError):
    """The bytes are no struct in the compact protocol."""


class CompactReader:
    """Reads from a position on. All methods raise CorruptThrift."""

    def __init__(self, body: bytes, position: int) -> None:
        self._body = body
        self.position = position

    def fields(self) -> Iterator[tuple[int, int]]:
        """The number and type of each field of a struct; the value must be read or skipped before the next is taken."""
        field = 0
        while True:
            head = self._byte()
            kind = head & 0x0F
            if kind == STOP:
                return
            field = field + (head >> 4) if head >> 4 else self.integer()
            if not 0 <= field < 1 << 15:
                raise CorruptThrift("a field with an impossible number")
            yield field, kind

    def integers(self, kind: int, path: Path = ()) -> dict[Path, int]:
        """The integers of one type, of a struct and of the structs in it, by the numbers of their fields.

        A field of another type than its own is skipped by Parquet's readers, so its type matters here too.
        """
        if len(path) > MAX_DEPTH:
            raise CorruptThrift("too deep")
        found: dict[Path, int] = {}
        for field, given in self.fields():
            if given == kind:
                found[*path, field] = self.integer()
            elif given == STRUCT:
                found |= self.integers(kind, (*path, field))
            else:
                self.skip(given, len(path))
        return found

    def length_of_list(self) -> tuple[int, int]:
        """The number of a list's items, and their type."""
        head = self._byte()
        length = self._varint() if head >> 4 == 15 else head >> 4
        if length > len(self._body) - self.position:
            raise CorruptThrift("a list longer than the file")
        return length, head & 0x0F

    def integer(self) -> int:
        """A signed integer of at most 64 bits."""
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def skip(self, kind: int, depth: int = 0, *, in_list: bool = False) -> None:
        """Goes behind a value."""
        if depth > MAX_DEPTH:
            raise CorruptThrift("too deep")
        if kind in (TRUE, FALSE):
            # In a struct, a boolean's value is its type.
            self.position += in_list
        elif kind == BYTE:
            self.position += 1
        elif kind in (I16, I32, I64):
            self._varint()
        elif kind == DOUBLE:
            self.position += 8
        elif kind == BINARY:
            length = self._varint()
            self.position += length
        elif kind == STRUCT:
            for _, given in self.fields():
                self.skip(given, depth + 1)
        elif kind in (LIST, SET):
            length, item = self.length_of_list()
            for _ in range(length):
                self.skip(item, depth + 1, in_list=True)
        else:
            raise CorruptThrift("a type that Parquet does not use")

    def _byte(self) -> int:
        if not 0 <= self.position < len(self._body):
            raise CorruptThrift("cut off")
        value = self._body[self.position]
        self.position += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > LONGEST_SHIFT:
                raise CorruptThrift("an integer of more than 64 bits")
