"""What an export says of itself."""

from dataclasses import dataclass, field

from trap_server.exporting.rows import Row

NOT_TOLD = "not told"


@dataclass(frozen=True, slots=True)
class ExportMetadata:
    """Who publishes what, under which licence, made how.

    `taxon` is the name at the level that the model supports. `contact` is an e-mail address, `licence` an SPDX name;
    both are empty when not told. `accuracy` says by model, as rows name it, what its bundle measured.
    """

    title: str
    publisher: str
    taxon: str
    taxon_rank: str
    software_version: str
    created_at_ms: int
    contact: str = ""
    licence: str = ""
    accuracy: dict[str, str] = field(default_factory=dict)

    @property
    def software(self) -> str:
        """The program with its version."""
        return f"zancudo {self.software_version}"


@dataclass(slots=True)
class Seen:
    """What the rows had in common, gathered while they pass by."""

    rows: int = 0
    begins_ms: int | None = None
    ends_ms: int | None = None
    models: set[str] = field(default_factory=set)
    thresholds: set[float] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Take one row into account."""
        self.rows += 1
        self.begins_ms = row.begins_ms if self.begins_ms is None else min(self.begins_ms, row.begins_ms)
        self.ends_ms = row.ends_ms if self.ends_ms is None else max(self.ends_ms, row.ends_ms)
        self.models.update(row.models)
        self.thresholds.update(row.thresholds)

    def counting(self, metadata: ExportMetadata) -> dict[str, object]:
        """How the numbers were made: models with their measured accuracy, thresholds, software."""
        return {
            "software": metadata.software,
            "models": [
                {"model": model, "accuracy": metadata.accuracy.get(model, NOT_TOLD)} for model in sorted(self.models)
            ],
            "thresholds": sorted(self.thresholds),
        }

    def sentence(self, metadata: ExportMetadata) -> str:
        """The same for a reader of prose."""
        models = ", ".join(
            f"{model} (accuracy: {metadata.accuracy.get(model, NOT_TOLD)})" for model in sorted(self.models)
        )
        thresholds = ", ".join(f"{threshold:g}" for threshold in sorted(self.thresholds))
        return f"Counted by {metadata.software}; models: {models or 'none'}; score thresholds: {thresholds or 'none'}."
