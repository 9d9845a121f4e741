"""What is known of the training of a checkpoint, from the report that trap-train leaves beside it."""

import json
from collections.abc import Iterator
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


def _flat(content: dict[str, Any] | list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys, and places in lists, joined by dots."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if isinstance(value, (dict, list)):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
