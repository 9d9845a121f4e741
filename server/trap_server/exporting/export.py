"""`trap-server export`: from the database to a folder or archive in the format asked for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from rich.console import Console
from rich.progress import track
from trap_contract.bundle import bundle_digest, read_manifest
from trap_contract.errors import BundleError, ConfigError

from trap_server.exporting.camtrap import write_camtrap
from trap_server.exporting.darwin_core import write_darwin_core
from trap_server.exporting.metadata import ExportMetadata, Seen
from trap_server.exporting.reading import Period, Selection, read_rows
from trap_server.exporting.rows import Places, Row, model_name
from trap_server.exporting.tables import published
from trap_server.exporting.tidy import write_tidy_csv, write_tidy_parquet
from trap_server.exporting.vectors import write_miread, write_vecdyn, write_vectorsurv

Format = Literal["csv", "parquet", "dwca", "camtrap", "miread", "vecdyn", "vectorsurv"]
Writer = Callable[[Path, Iterable[Row], Places, ExportMetadata], Seen]
WRITERS: dict[Format, Writer] = {
    "csv": write_tidy_csv,
    "parquet": write_tidy_parquet,
    "dwca": write_darwin_core,
    "camtrap": write_camtrap,
    "miread": write_miread,
    "vecdyn": write_vecdyn,
    "vectorsurv": write_vectorsurv,
}
ANY_PERIOD = ("csv", "parquet")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    out: str
    format: Format
    rows: int
    models: list[str]
    begins_ms: int | None
    ends_ms: int | None


def export(
    connection: sa.Connection,
    format_: Format,
    out: Path,
    *,
    period: Period,
    selection: Selection,
    places: Places,
    metadata: ExportMetadata,
    followed: Callable[[Iterable[Row]], Iterable[Row]] = iter,
) -> Exported:
    """Write one export; `out` is there only when it is complete. `followed` sees the rows pass.

    Raises ConfigError for a format that has no such period, an `out` that is there already, or a missing library;
    DataError when the format needs what is not known.
    """
    if period != "night" and format_ not in ANY_PERIOD:
        raise ConfigError(f"--by {period}: {format_} is a format of trap-nights; csv and parquet know every period")
    rows = read_rows(connection, period, selection, metadata.created_at_ms)
    with published(out) as folder:
        seen = WRITERS[format_](folder, followed(rows), places, metadata)
    return Exported(str(out), format_, seen.rows, sorted(seen.models), seen.begins_ms, seen.ends_ms)


def accuracy_of(bundles: Iterable[Path]) -> dict[str, str]:
    """What the bundles measured, by model as rows name it. Raises BundleError for a file that does not say."""
    found: dict[str, str] = {}
    for path in bundles:
        manifest = read_manifest(path)
        if manifest is None or manifest.metrics is None:
            raise BundleError(f"{path} tells no measured accuracy: give a bundle that `trap-export build` made")
        measured = manifest.metrics
        text = f"mAP50 {measured.map50:.3f}, mAP50-95 {measured.map50_95:.3f} on {measured.pictures} pictures"
        found[model_name(manifest.id, bundle_digest(path))] = text
    return found


def with_progress(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, with a bar on standard error."""
    return iter(track(rows, "exporting", console=Console(stderr=True)))
