"""What is known of the training of a checkpoint, from the report that trap-train leaves beside it."""

import json
from pathlib import Path
from typing import Any

from trap_contract.errors import ConfigError
from trap_contract.manifest import Provenance


def read_provenance(report: Path | None) -> Provenance:
    """Provenance from trap-train's report.json; empty without one.

    Raises ConfigError when the file is not such a report.
    """
    if report is None:
        return Provenance()
    try:
        recipe = json.loads(report.read_text())["recipe"]
        return Provenance(
            dataset=recipe["name"],
            teacher=(recipe["teacher"] or {}).get("model", ""),
            recipe=dict(_flat(recipe)),
            seed=recipe["seed"],
        )
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"{report}: not a report of trap-train: {error!r}") from error


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested keys joined by dots."""
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs
