"""Tables: one list of columns makes the CSV, the Parquet file and the Frictionless schema, so they can't disagree."""

import csv
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from trap_contract.errors import ConfigError

from trap_server.exporting.rows import iso

Cell = str | int | float | bool | date | datetime | None
Kind = Literal["string", "integer", "number", "boolean", "date", "datetime"]
Record = Sequence[Cell]
WriteRecord = Callable[[Record], object]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
GUARD = "A text that begins with =, +, -, @, a tab or a carriage return is preceded by an apostrophe, so that no "
GUARD += "spreadsheet takes it for a formula."
PARQUET_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table and what its numbers mean."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False

    def field(self) -> dict[str, object]:
        """The Frictionless field descriptor."""
        described = {"name": self.name, "type": self.kind, "description": self.meaning}
        return described | ({"constraints": {"required": True}} if self.required else {})


def schema(columns: Iterable[Column]) -> dict[str, object]:
    """The Frictionless table schema."""
    return {"fields": [column.field() for column in columns], "missingValues": [""]}


def guarded(text: str) -> str:
    """The text, harmless in a spreadsheet (OWASP, CSV Injection)."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def written(cell: Cell) -> str:
    """A cell as CSV has it; empty for what is not known."""
    match cell:
        case None:
            return ""
        case str():
            return guarded(cell)
        case bool():
            return "true" if cell else "false"
        case datetime():
            return iso(cell)
        case date():
            return cell.isoformat()
        case _:
            return str(cell)


@contextmanager
def csv_table(path: Path, columns: Sequence[Column], *, quote_all: bool = False) -> Iterator[WriteRecord]:
    """A CSV file with its header (UTF-8, RFC 4180); yields what writes one record."""
    with path.open("w", encoding="utf-8", newline="") as file:
        quoting: Literal[0, 1] = 1 if quote_all else 0  # csv.QUOTE_ALL, csv.QUOTE_MINIMAL
        writer = csv.writer(file, quoting=quoting, lineterminator="\r\n")
        writer.writerow([column.name for column in columns])

        def write(record: Record) -> None:
            writer.writerow([written(cell) for cell in record])

        yield write


def write_csv(path: Path, columns: Sequence[Column], records: Iterable[Record], *, quote_all: bool = False) -> None:
    """A whole table, record by record."""
    with csv_table(path, columns, quote_all=quote_all) as write:
        for record in records:
            write(record)


def write_parquet(
    path: Path, columns: Sequence[Column], records: Iterable[Record], metadata: Callable[[], str]
) -> None:
    """A whole table in row groups of 10,000; `metadata` is asked when all records have passed.

    Raises ConfigError when the extra `parquet` is not installed.
    """
    arrow, parquet = _pyarrow()
    kinds = {
        "string": arrow.string(), "integer": arrow.int64(), "number": arrow.float64(), "boolean": arrow.bool_(),
        "date": arrow.date32(), "datetime": arrow.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    fields = [
        arrow.field(one.name, kinds[one.kind], nullable=not one.required, metadata={"description": one.meaning})
        for one in columns
    ]
    waiting = iter(records)
    with parquet.ParquetWriter(path, arrow.schema(fields)) as writer:
        while batch := list(islice(waiting, PARQUET_BATCH)):
            rows = [dict(zip((one.name for one in columns), record, strict=True)) for record in batch]
            writer.write_table(arrow.Table.from_pylist(rows, schema=arrow.schema(fields)))
        writer.add_key_value_metadata({"zancudo": metadata()})


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError("Parquet needs the extra `parquet`: pip install 'zancudo[server,parquet]'") from error
    return pa, parquet


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """A folder aside to write into; it becomes `out` (an archive if that ends in .zip) only when all went well.

    Raises ConfigError when `out` is there already, or its folder is not.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already: choose another name for the export")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}; create it first")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as aside:
        folder = Path(aside) / "export"
        folder.mkdir()
        yield folder
        (_zipped(folder) if out.suffix == ".zip" else folder).replace(out)


def _zipped(folder: Path) -> Path:
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.iterdir()):
            zipped.write(path, path.name)
    return archive
