import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ROOTFS = DEPLOY / "image/rootfs"

IMAGE_UNITS = sorted(ROOTFS.glob("etc/systemd/system/trap-*.service"))

needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


def exposure(unit: Path) -> float:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)[1])


@needs_analyze
@pytest.mark.parametrize("unit", [*UNITS, *IMAGE_UNITS], ids=lambda unit: unit.stem)
def test_every_unit_is_exposed_by_at_most_two(unit):
    assert exposure(unit) <= 2.0


@pytest.mark.parametrize("name", ["trap-card", "trap-light"])
def test_who_looks_for_the_card_or_the_light_sees_the_devices(name):
    (unit,) = [unit for unit in [*UNITS, *IMAGE_UNITS] if unit.stem == name]
    assert not re.search("^PrivateDevices", unit.read_text(), re.MULTILINE), "mount finds the card by its label in /dev"


def test_everything_that_starts_by_itself_is_there():
    preset = (ROOTFS / "etc/systemd/system-preset/00-zancudo.preset").read_text()
    ours = {name for name in re.findall(r"^enable (\S+)", preset, re.MULTILINE) if name.startswith("trap-")}
    there = {unit.name for unit in [*UNITS, *IMAGE_UNITS]}
    assert ours == there
    assert preset.rstrip().endswith("disable *")


def test_a_unit_names_only_programs_that_the_image_brings():
    started = {word for unit in UNITS for word in re.findall(r"/opt/zancudo/bin/[a-z-]+", unit.read_text())}
    assert {Path(word).name for word in started} == {path.name for path in (ROOTFS / "opt/zancudo/bin").iterdir()}


def test_every_credential_has_a_default_so_that_a_trap_without_a_card_starts():
    text = (DEPLOY / "systemd/trap-agent.service").read_text()
    loaded = re.findall(r"^LoadCredential=([a-z.]+):", text, re.MULTILINE)
    assert loaded == re.findall(r"^SetCredential=([a-z.]+):", text, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """deploy/install into a folder; pip is replaced by one that installs nothing, for that is pip's own business."""
    base = tmp_path_factory.mktemp("stock")
    wheel = base / "zancudo-0-py3-none-any.whl"
    wheel.touch()
    tools = base / "bin"
    tools.mkdir()
    fake = tools / "python3"
    fake.write_text(
        '#!/bin/sh\n[ "$1" = -m ] || exit 0\nmkdir -p $3/bin; '
        "printf '#!/bin/sh\\ntrue\\n' >$3/bin/pip; cp $3/bin/pip $3/bin/trap-card; chmod +x $3/bin/*\n"
    )
    fake.chmod(0o755)
    card = base / "card"
    card.mkdir()
    (card / "trap.toml").write_text('trap = "a"\n')
    (card / "trap.key").write_text("secret")
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "ZANCUDO_ROOT": str(base / "root")}

    def call(*words: str) -> subprocess.CompletedProcess:
        command = [str(DEPLOY / "install"), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = call(str(wheel), str(card))
    assert done.returncode == 0, done.stderr
    return base / "root", call


def test_a_stock_system_gets_the_same_units_as_the_image(installed):
    root, _ = installed
    there = {path.name: path.read_text() for path in (root / "etc/systemd/system").glob("*.service")}
    assert there == {unit.name: unit.read_text() for unit in UNITS}
    assert "TRAP_CARD_AGENT_ONLY=1" in (root / "etc/systemd/system/trap-card.service.d/10-stock.conf").read_text()


def test_a_traps_secret_is_readable_by_root_alone(installed):
    root, _ = installed
    assert (root / "etc/zancudo").stat().st_mode & 0o777 == 0o700
    assert (root / "etc/zancudo/trap.key").stat().st_mode & 0o777 == 0o600


def test_uninstalling_leaves_settings_and_counts_and_purging_nothing(installed):
    root, call = installed
    waiting = root / "var/lib/private/trap/outbox.sqlite"
    waiting.parent.mkdir(parents=True)
    waiting.touch()
    assert call("--uninstall").returncode == 0
    assert waiting.exists()
    assert (root / "etc/zancudo/trap.toml").exists()
    assert not list((root / "etc/systemd/system").iterdir())
    assert not (root / "opt/zancudo").exists()
    call("--purge")
    assert not [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["no.whl"], "no.whl: no such wheel"), (["README.md", "/nowhere"], "/nowhere: has no trap.toml")],
)
def test_a_wrong_call_is_one_line(installed, words, message):
    _, call = installed
    done = call(*[str(DEPLOY.parent / word) if word == "README.md" else word for word in words])
    assert (done.returncode, message in done.stderr, done.stderr.count("\n")) == (1, True, 1)
