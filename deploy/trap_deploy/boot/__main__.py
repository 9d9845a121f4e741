"""`python -m trap_deploy.boot`: what `make image-test` runs."""

import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from trap_contract.command import run_command
from trap_contract.errors import ConfigError, ZancudoError

from trap_deploy.boot.stage import load, staged

ROOT = Path(__file__).resolve().parents[3]
SCENARIOS = ROOT / "deploy" / "image" / "scenarios"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def boot(
    names: Annotated[list[str] | None, typer.Argument(help="scenarios [all]", show_default=False)] = None,
    *,
    image: Annotated[Path | None, typer.Option(help="an unpacked image [the newest in dist/image]")] = None,
    folder: Annotated[Path, typer.Option(help="for copies, logs and results")] = ROOT / "dist" / "image-test",
    seed: Annotated[int, typer.Option(help="of the moments of power cuts")] = 8,
) -> None:
    """Boot the image in an emulator and do to it what the scenarios say. Exit status: 0 all as it should be, 1 not."""
    chosen = names or sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.py"))
    image = image or _newest()
    folder.mkdir(parents=True, exist_ok=True)
    results = [_run(image, SCENARIOS / name, folder, seed) for name in chosen]
    raise typer.Exit(any(result["error"] for result in results))


def _run(image: Path, scenario: Path, folder: Path, seed: int) -> dict[str, Any]:
    began, error, notes = time.monotonic(), "", {}
    print(f"{scenario.name}: ", end="", flush=True)
    try:
        with staged(image, scenario, folder / scenario.name, seed) as stage:
            notes = stage.notes
            load(scenario)(stage)
    except ZancudoError as failure:
        error = str(failure)
    result = {"scenario": scenario.name, "error": error, "host_s": round(time.monotonic() - began, 1), "notes": notes}
    result |= {"image": image.name, "seed": seed, "emulator": _emulator(), "machine": platform.machine()}
    (folder / f"{scenario.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"{'FAILED: ' + error if error else 'good'} ({result['host_s']} s)", flush=True)
    return result


def _newest() -> Path:
    found = sorted((ROOT / "dist" / "image").glob("zancudo-trap-*.img"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise ConfigError("no image is there: run make image first")
    return found[-1]


def _emulator() -> str:
    done = subprocess.run(["qemu-system-aarch64", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else "none"


if __name__ == "__main__":
    run_command(app)
