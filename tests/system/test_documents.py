"""What the documents tell a reader to type is what the commands accept."""

import re
import shlex
from pathlib import Path
from typing import get_args

import click
import pytest
import typer
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "README.md",
    "models/README.md",
    "docs/first-count.md",
    "docs/distillation.md",
    "docs/export.md",
    "docs/trap.md",
    "docs/collector.md",
    "docs/image.md",
    "docs/fleet.md",
    "docs/containers.md",
    "docs/field-guide.md",
    "docs/field-guide.es.md",
    "docs/field-guide.pt.md",
]


def applications() -> dict[str, typer.Typer]:
    from trap_agent.bench_commands import app as bench
    from trap_agent.card.commands import app as card
    from trap_agent.commands import app as agent
    from trap_deploy.flash.commands import app as flash
    from trap_export.commands import app as export
    from trap_server.commands import app as server
    from trap_server.fleet_commands import app as fleet
    from trap_training.data_commands import app as data
    from trap_training.train_commands import app as train

    return {
        "trap-agent": agent,
        "trap-bench": bench,
        "trap-card": card,
        "trap-data": data,
        "trap-export": export,
        "trap-flash": flash,
        "trap-fleet": fleet,
        "trap-server": server,
        "trap-train": train,
    }


def documented_commands() -> list[str]:
    found: list[str] = []
    for name in DOCUMENTS:
        text = (ROOT / name).read_text()
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(trap-[a-z]+ [^`]+)`", text)
        found += [line for line in lines if line.startswith("trap-") and "FILE" not in line and "--group`" not in line]
    return sorted({line for line in found if len(shlex.split(line)) > 2 and "DIR" not in line})


def parse(command: click.Command, arguments: list[str], name: str) -> None:
    context = command.make_context(name, list(arguments), resilient_parsing=False)
    if isinstance(command, click.Group) and context.protected_args:
        child, sub, rest = command.resolve_command(context, [*context.protected_args, *context.args])
        assert sub is not None
        parse(sub, rest, child)


@pytest.mark.parametrize("line", documented_commands())
def test_a_documented_command_has_only_flags_that_exist(line: str):
    program, *arguments = shlex.split(line)
    parse(typer.main.get_command(applications()[program]), arguments, program)


@pytest.mark.parametrize(("document", "least"), [("fleet.md", 17), ("decisions/0012-broker-promises.md", 11)])
def test_every_test_that_a_document_names_exists(document: str, least: int):
    text = (ROOT / "docs" / document).read_text()
    named = set(re.findall(r"`(?:tests/)?([a-z]+/test_[a-z_]+\.py)::(test_\w+)`", text))
    assert len({name for _, name in named}) >= least
    assert [one for one in named if f"\ndef {one[1]}(" not in (ROOT / "tests" / one[0]).read_text()] == []


def test_the_recipe_in_the_distillation_document_is_one():
    from trap_training.recipe import Recipe

    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "distillation.md").read_text(), re.DOTALL)
    recipe = Recipe.model_validate(yaml.safe_load(text))
    assert recipe.distillation is not None
    assert [term.name for term in recipe.distillation.terms] == ["response", "localisation", "pkd"]


def test_the_distillation_document_names_every_term_and_scheme():
    from trap_training.recipe import Distillation
    from trap_training.terms import AnyTerm

    text = (ROOT / "docs" / "distillation.md").read_text()
    terms = [term.model_fields["term"].default for term in get_args(get_args(AnyTerm)[0])]
    schemes = get_args(Distillation.model_fields["scheme"].annotation)
    assert [name for name in (*terms, *schemes) if f"`{name}`" not in text and f"`scheme: {name}`" not in text] == []


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", (ROOT / "README.md").read_text())) <= targets


def test_every_command_says_in_its_help_what_each_option_is_for():
    for program, app in applications().items():
        command = typer.main.get_command(app)
        commands = [command, *(command.commands.values() if isinstance(command, click.Group) else [])]
        silent = [
            f"{program} {each.name} --{option.name}"
            for each in commands
            for option in each.params
            if isinstance(option, click.Option) and not option.help
        ]
        assert silent == []
