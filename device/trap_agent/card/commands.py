"""The command `trap-card`."""

import json
import signal
import threading
import time
from pathlib import Path
from typing import Annotated

import typer
from trap_contract.card import read_card
from trap_contract.command import run_command
from trap_contract.logs import configure_logs

from trap_agent.card.apply import Board, apply
from trap_agent.card.watch import watch

app = typer.Typer(
    help="A trap's card: check its trap.toml, apply it, and tell by light and on the card how things are.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Option("--card", help="the folder with trap.toml", envvar="TRAP_CARD")]
AgentOnly = Annotated[
    bool, typer.Option("--agent-only", help="leave hostname, Wi-Fi, time and SSH alone", envvar="TRAP_CARD_AGENT_ONLY")
]
CARD = Path("/boot/firmware")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="a trap.toml", show_default=False)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Say what is wrong with a trap.toml, by line. Exit status: 0 nothing, 1 something."""
    card = read_card(file.read_bytes())
    faults = [{"line": fault.line, "text": fault.text} for fault in card.faults]
    text = "".join(f"{file}, {fault}\n" for fault in card.faults) or f"{file}: good\n"
    typer.echo(json.dumps(faults) if as_json else text.rstrip())
    raise typer.Exit(bool(faults))


@app.command("apply")
def apply_card(*, card: Folder = CARD, agent_only: AgentOnly = False) -> None:
    """Put what trap.toml says into /run; mistakes go into trap-status.txt, and the rest is used."""
    configure_logs(as_json=False)
    apply(Board(card, is_whole=not agent_only))


@app.command("watch")
def watch_card(
    *,
    card: Folder = CARD,
    agent_only: AgentOnly = False,
    agent_run: Annotated[Path, typer.Option(help="where the agent says how it fares")] = Path("/run/trap"),
) -> None:
    """Flash and write onto the card how things are, until stopped."""
    configure_logs(as_json=False)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    watch(Board(card, is_whole=not agent_only), agent_run, time.monotonic, stop)


def main() -> None:
    """Entry point."""
    run_command(app)


if __name__ == "__main__":
    main()
