"""`trap-agent models`: which bundles are installed, and which one counts."""

from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Install model bundles, and return to the one before."
)

AgentStateDir = Annotated[
    Path, typer.Option(help="The agent's --state-dir.", envvar="TRAP_STATE_DIR", show_envvar=False)
]
Trust = Annotated[
    Path | None, typer.Option(help="PEM of who must have signed it.", envvar="TRAP_TRUST", show_envvar=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="The same as one JSON object.")]


@models.command()
def install(
    bundle: Annotated[Path, typer.Argument(help="Model bundle, its .sig beside it.", show_default=False)],
    *,
    state_dir: AgentStateDir,
    trust: Trust = None,
) -> None:
    """Check a bundle, and put it on trial from the agent's next start on.

    The agent runs it with --model installed. Ten good windows end the trial;
    a bundle that slows the agent much or makes it crash is rolled back.
    """
    from trap_contract.signature import load_public_key

    from trap_agent.slots import SlotFolder

    trusted = None if trust is None else {load_public_key(trust)}
    print(f"installed, on trial from the next start on: {SlotFolder(state_dir).install(bundle, trusted)}")


@models.command()
def show(*, state_dir: AgentStateDir, as_json: AsJson = False) -> None:
    """Show what lies in the slots, and what became of the last trial."""
    from trap_agent.report import print_slots
    from trap_agent.slots import SlotFolder

    print_slots(SlotFolder(state_dir).read(), as_json=as_json)


@models.command()
def rollback(*, state_dir: AgentStateDir) -> None:
    """Return to the bundle before, from the agent's next start on."""
    from trap_agent.slots import SlotFolder, roll_back

    print(roll_back(SlotFolder(state_dir)).outcome)
