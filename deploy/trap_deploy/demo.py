"""`make demo`: broker, collector and a counting trap on this machine, kept running, and a closing account."""

import json
import os
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from trap_contract.command import run_command
from trap_contract.errors import ConfigError, StoreError

from trap_deploy.balance import Balance, balance
from trap_deploy.children import Child, wait_until
from trap_deploy.invitation import link_for, output_of, token_for
from trap_deploy.ports import is_taken

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "yolov8n_kd.tflite"
BROKER_CONFIG = ROOT / "deploy" / "mosquitto" / "demo.conf"
TRAP = "demo-trap"
WINDOW_S = 2
START_LIMIT_S = 60.0
DRAIN_S = 30

app = typer.Typer(add_completion=False)
console = Console()


@dataclass(slots=True)
class Site:
    """Everything that runs, and where it keeps its files."""

    folder: Path
    http_port: int
    mqtt_port: int
    broker: Child
    collector: Child
    agent: Child
    token: str = ""
    """By which this program reads the API."""

    @property
    def address(self) -> str:
        """Where the dashboard is."""
        return f"http://127.0.0.1:{self.http_port}/"

    @property
    def children(self) -> tuple[Child, Child, Child]:
        """In the order in which they start."""
        return (self.broker, self.collector, self.agent)


@app.command()
def demo(
    seconds: Annotated[float, typer.Option(help="End by itself after so long; 0: until Ctrl-C.", min=0)] = 0,
    http_port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8765,
    mqtt_port: Annotated[int, typer.Option(help="Port of the broker.")] = 18830,
    folder: Annotated[Path, typer.Option(help="Made anew for databases and logs.")] = ROOT / "demo-data",
) -> None:
    """Run a small site on this machine and show counts arriving."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    began = time.monotonic()
    site = prepare_site(folder, http_port, mqtt_port)
    try:
        start(site)
        link = link_for("demo", _database(folder), site.address)
        console.print(f"dashboard: {link}  (good once; Ctrl-C ends the demo; logs in {folder})", soft_wrap=True)
        watch(site, seconds, began)
        result = settle(site)
    finally:
        for child in reversed(site.children):
            child.stop(10)
    report(result, site)
    raise typer.Exit(0 if result.is_even else 1)


def prepare_site(folder: Path, http_port: int, mqtt_port: int) -> Site:
    """Check what is needed and write the broker's configuration.

    Raises ConfigError for a port in use, a missing broker or a missing model.
    """
    mosquitto = find_mosquitto()
    if not MODEL.exists():
        raise ConfigError(f"{MODEL}: the shipped model is missing: restore it with `git checkout models`")
    for port, variable in ((http_port, "DEMO_HTTP_PORT"), (mqtt_port, "DEMO_MQTT_PORT")):
        if is_taken(port):
            raise ConfigError(f"port {port} is in use: end what uses it, or `make demo {variable}={port + 1}`")
    config = write_broker_config(_fresh(folder), mqtt_port)
    url, python = f"mqtt://127.0.0.1:{mqtt_port}", Path(sys.executable).parent
    agent = [str(python / "trap-agent"), "--model", str(MODEL), "--source", "rendered", "--broker", url]
    agent += ["--trap", TRAP, "--window", str(WINDOW_S), "--fps", "5", "--threads", "1"]
    server = [str(python / "trap-server"), "run", "--broker", url, "--port", str(http_port)]
    return Site(
        folder,
        http_port,
        mqtt_port,
        Child("broker", [mosquitto, "-c", str(config)], folder / "broker.log"),
        Child("collector", [*server, "--database", _database(folder)], folder / "collector.log"),
        Child("trap", [*agent, "--state-dir", str(folder / "trap"), "--drain", str(DRAIN_S)], folder / "trap.log"),
    )


def write_broker_config(folder: Path, port: int) -> Path:
    """The demo's broker configuration, with its port and a place for its own files under `folder`."""
    config, own = folder / "mosquitto.conf", folder / "broker"
    own.mkdir()
    # Started as root the broker would become another user, who may not write where we can.
    user = "user root\n" if os.geteuid() == 0 else ""
    config.write_text(f"{BROKER_CONFIG.read_text()}\nlistener {port} 127.0.0.1\npersistence_location {own}/\n{user}")
    return config


def start(site: Site) -> None:
    """Start all programs, each when the one before answers.

    Raises StoreError with the last line of the log of one that does not come up.
    """
    site.broker.start(time.monotonic())
    _await(site.broker, lambda: is_taken(site.mqtt_port))
    site.collector.start(time.monotonic())
    _await(site.collector, lambda: _answer(site, "readyz") is not None)
    site.agent.start(time.monotonic())
    site.token = token_for("demo", _database(site.folder))


def watch(site: Site, seconds: float, began_s: float) -> None:
    """Print each new window's counts and revive what dies, until the time is over or Ctrl-C."""
    cursor = "0-0"
    deadline = time.monotonic() + seconds if seconds else float("inf")
    try:
        while time.monotonic() < deadline:
            _revive(site.children)
            for window in _windows_after(site, cursor):
                if cursor == "0-0":
                    console.print(f"first count stored {time.monotonic() - began_s:.1f} s after the start")
                cursor = f"{window['start_ms']}-{window['id']}"
                console.print(_line(window), highlight=False)
            time.sleep(0.25)
    except KeyboardInterrupt:
        console.print("ending")


def settle(site: Site) -> Balance:
    """Let the trap deliver what it holds, with broker and collector kept alive, then compare both books."""
    site.agent.ask_to_end()
    wait_until(lambda: site.agent.has_ended() or _revive((site.broker, site.collector)), DRAIN_S + 15)
    outbox = _json_of("trap-agent", "outbox", "--state-dir", str(site.folder / "trap"), "--json")
    check = _json_of("trap-server", "check", "--database", _database(site.folder), "--json")
    return balance(outbox, check)


def report(result: Balance, site: Site) -> None:
    """Print the closing account."""
    table = Table("windows", "number", title="what the trap published, and what became of it")
    table.add_row("published by the trap", str(result.issued))
    table.add_row("stored by the collector", str(result.stored))
    table.add_row("acknowledged to the trap", str(result.acknowledged))
    table.add_row("missing, dropped or pending", str(result.missing + result.dropped + result.pending))
    table.add_row("colliding or quarantined", str(result.collisions + result.quarantined))
    console.print(table)
    for child in site.children:
        if child.restarts:
            console.print(f"{child.name} was started again {child.restarts} times")
    verdict = "every published window is stored exactly once" if result.is_even else "the books do NOT agree"
    console.print(verdict, style="green" if result.is_even else "red")


def find_mosquitto() -> str:
    """Path of the broker; Debian puts it where an ordinary user's PATH does not look.

    Raises ConfigError when there is none.
    """
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ConfigError("mosquitto is missing: install it with `sudo apt-get install mosquitto`")
    return found


def main() -> None:
    """Entry point of `python -m trap_deploy.demo`."""
    run_command(app)


def _fresh(folder: Path) -> Path:
    """An empty folder, in place of what an earlier demo left there, and of nothing else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "mosquitto.conf").exists():
        raise ConfigError(f"{folder}: is not empty and holds no earlier demo: give another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _database(folder: Path) -> str:
    return f"sqlite:///{folder / 'counts.db'}"


def _await(child: Child, is_up: Callable[[], bool]) -> None:
    if not wait_until(lambda: is_up() or child.has_ended(), START_LIMIT_S) or not is_up():
        raise StoreError(f"the {child.name} does not come up: {child.last_line()} (log: {child.log})")


def _revive(children: tuple[Child, ...]) -> bool:
    """Start again what died and say so; always False, so that a wait can go on."""
    for event in filter(None, (child.revive(time.monotonic()) for child in children)):
        console.print(event, style="yellow")
    return False


def _answer(site: Site, path: str) -> Any:
    """The JSON behind a path of the collector, or None while it does not answer."""
    headers = {"authorization": f"Bearer {site.token}"} if site.token else {}
    request = urllib.request.Request(site.address + path, headers=headers)  # noqa: S310 - our own http address
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return json.load(answer)
    except (urllib.error.URLError, OSError, json.JSONDecodeError):
        return None


def _windows_after(site: Site, cursor: str) -> list[dict[str, Any]]:
    answer = _answer(site, f"api/v1/traps/default/{TRAP}/windows?limit=10&cursor={cursor}")
    return [] if answer is None else list(answer["windows"])


def _line(window: dict[str, Any]) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(window["start_ms"] / 1000))
    counts = window["counts"]
    words = "not observed" if counts is None else ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"{clock}  {words}"


def _json_of(*command: str) -> Any:
    return json.loads(output_of(*command))


if __name__ == "__main__":
    main()
