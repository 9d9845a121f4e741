"""`python -m trap_deploy.boot.report`: what the scenarios' runs gave, as docs/studies/image/report.md."""

import ast
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from trap_contract.command import run_command
from trap_contract.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = ROOT / "deploy" / "image" / "scenarios"
_HEAD = """\
# The image, booted and maltreated

Made by `python -m trap_deploy.boot.report` from what `make image-test` left in dist/image-test. Each scenario boots a
copy of {image} in {emulator} ({machine} host, no virtualisation for arm64, cores shared with other
work) beside a real mosquitto and collector. Host seconds are what a person waits here; guest seconds are what its own
kernel counted, and neither is what a Raspberry Pi takes. Seed of the moments of cuts: {seed}.

"""


def as_markdown(results: list[dict[str, Any]], not_run: list[str]) -> str:
    """A table of all scenarios, and below it what each noted."""
    text = _HEAD.format(**results[0])
    text += "| scenario | what it shows | result | host s |\n| --- | --- | --- | ---: |\n"
    for one in results:
        text += f"| {one['scenario']} | {_shows(one['scenario'])} | {_outcome(one)} | {one['host_s']:.0f} |\n"
    text += "".join(f"| {name} | {_shows(name)} | not run | |\n" for name in not_run)
    for one in results:
        notes = "".join(f"- {name}: {_plain(value)}\n" for name, value in one["notes"].items())
        text += f"\n## {one['scenario']}\n\n{notes}" if notes else ""
    return text


def _shows(name: str) -> str:
    module = ast.parse((SCENARIOS / name / "scenario.py").read_text())
    return (ast.get_docstring(module) or "").splitlines()[0].rstrip(".")


def _outcome(one: dict[str, Any]) -> str:
    return f"**failed**: {_plain(one['error'])}" if one["error"] else "as it should be"


def _plain(value: object) -> str:
    words = ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)
    return " / ".join(line.strip() for line in words.splitlines() if line.strip()).replace("|", "\\|")[:600]


def main(
    folder: Annotated[Path, typer.Option(help="results of make image-test")] = ROOT / "dist" / "image-test",
    out: Annotated[Path, typer.Option(help="the report")] = ROOT / "docs" / "studies" / "image" / "report.md",
) -> None:
    """Write the report of the runs that there are."""
    results = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    if not results:
        raise ConfigError(f"{folder}: has no results: run make image-test")
    done = {one["scenario"] for one in results}
    not_run = sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.py") if path.parent.name not in done)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(as_markdown(results, not_run))
    typer.echo(f"{out}: {len(results)} scenarios, {len(not_run)} not run")


if __name__ == "__main__":
    run_command(lambda: typer.run(main))
