"""Column names of users' files, and what they are called on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.cli.base import CliError, Refused
from modelwatch.errors import first_line

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("categorical", "continuous")

ColumnMapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column-map",
        metavar="OLD=NEW",
        help="Rename a column of the file, or omit it (OLD=). Repeatable.",
    ),
]
ColumnTypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="COLUMN=TYPE",
        help="Type of a column: categorical or continuous, such as zip=categorical. Repeatable.",
    ),
]
MissingOption = Annotated[
    str | None,
    typer.Option(
        "--missing-values",
        metavar="A,B",
        help="Missing values in a CSV file, in addition to empty fields. Default: NA, NaN, null and the like.",
    ),
]
FormatOption = Annotated[str, typer.Option("--format", help="auto, parquet, csv or ndjson.")]


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """New names by old names; a column whose new name is empty is left out."""

    names: Mapping[str, str]

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> ColumnMap:
        """From texts like `old=new`. Raises CliError that names the text that is not one.

        >>> ColumnMap.parse(["score=prediction_probability", "comment="]).new("score")
        'prediction_probability'
        """
        names: dict[str, str] = {}
        for pair in pairs:
            old, separator, new = pair.rpartition("=")
            if not separator or not old:
                raise CliError(f"--column-map {pair!r}: expected OLD=NEW, or OLD= to omit the column")
            if old in names:
                raise CliError(f"--column-map names the column {old!r} twice")
            names[old] = new
        return cls(names)

    def with_column(self, option: str, old: str | None, new: str) -> ColumnMap:
        """The same, and the column `old` that an option names gets this new name. None: no column. Raises CliError."""
        if old is None:
            return self
        if self.names.get(old, new) != new:
            raise CliError(f"{option} and --column-map both name the column {old!r}")
        return ColumnMap({**self.names, old: new})

    def new(self, old: str) -> str:
        """The name on the wire; empty when the column is left out."""
        return self.names.get(old, old)

    def check(self, present: Iterable[str]) -> None:
        """Raises CliError when a column is named that is not there, or when two get the same name."""
        columns = list(present)
        for old in self.names:
            if old not in columns:
                raise CliError(f"The file has no column {old!r}; it has: {', '.join(columns)}")
        new = [self.new(old) for old in columns if self.new(old)]
        for name in new:
            if new.count(name) > 1:
                raise CliError(f"Two columns would be named {name!r}; --column-map OLD=NEW renames one, OLD= omits it")

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with new names, without the columns that are left out."""
        import pyarrow as pa

        kept = [index for index, name in enumerate(batch.schema.names) if self.new(name)]
        return pa.RecordBatch.from_arrays(
            [batch.column(index) for index in kept], names=[self.new(batch.schema.names[index]) for index in kept]
        )


@dataclass(frozen=True, slots=True)
class ColumnTypes:
    """Types by column name in the file, where a column is not what it seems to be."""

    types: Mapping[str, str]

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> ColumnTypes:
        """From texts like `zip=categorical`. Raises CliError that names the text that is not one.

        >>> ColumnTypes.parse(["zip=categorical"]).types
        {'zip': 'categorical'}
        """
        types: dict[str, str] = {}
        for pair in pairs:
            column, separator, kind = pair.rpartition("=")
            if not separator or not column or kind not in KINDS:
                raise CliError(f"--type {pair!r}: expected COLUMN=categorical or COLUMN=continuous")
            if types.get(column, kind) != kind:
                raise CliError(f"--type names the column {column!r} twice")
            types[column] = kind
        return cls(types)

    def check(self, present: Iterable[str]) -> None:
        """Raises CliError when a column is named that is not there."""
        columns = list(present)
        for column in self.types:
            if column not in columns:
                raise CliError(f"--type: the file has no column {column!r}; it has: {', '.join(columns)}")

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with these types: numbers that are categories as a dictionary, texts that are numbers as numbers.

        Raises CliError when a text is no number.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        for column, kind in self.types.items():
            index = batch.schema.get_field_index(column)
            values = batch.column(index)
            is_dictionary = pa.types.is_dictionary(values.type)
            if kind == "categorical" and not is_dictionary:
                batch = batch.set_column(index, column, values.dictionary_encode())
            elif kind == "continuous" and not pa.types.is_floating(values.type):
                plain = values.dictionary_decode() if is_dictionary else values
                try:
                    numbers = pc.cast(plain, pa.float64(), safe=False)
                except pa.ArrowException as error:
                    raise CliError(f"--type {column}=continuous: {first_line(error)}") from error
                batch = batch.set_column(index, column, numbers)
        return batch


def with_hint(trouble: CliError) -> CliError:
    """The error, and how to rename or leave out columns if the service refused some."""
    errors = trouble.problem.get("errors") if isinstance(trouble, Refused) else None
    if errors:
        trouble.message += "\n--column-map OLD=NEW renames a column, --column-map OLD= omits it"
    return trouble
