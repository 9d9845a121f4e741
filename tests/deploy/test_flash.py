import hashlib
import json
import lzma
import os
import shutil
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.card import read_card
from trap_contract.errors import ConfigError
from trap_deploy.boot.machine import Card
from trap_deploy.flash.blocks import parse_bmap
from trap_deploy.flash.commands import main
from trap_deploy.flash.drives import choose, parse_drives
from trap_deploy.flash.identity import make_identity
from trap_deploy.flash.image_file import read_table
from trap_deploy.image.filesystems import assemble, make_ext4, make_fat
from trap_deploy.image.layout import MIB, Layout

SMALL = Layout(boot=40, root=8, data=8)
BLOCK = 4096
NAMED = ["--id", "a", "--broker", "mqtt://b"]

TOOLS = ("mcopy", "mkfs.vfat", "sfdisk", "mke2fs")
PLACES = "/usr/sbin:/usr/bin:/sbin:/bin"

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool, path=PLACES) for tool in TOOLS),
    reason="needs mtools, dosfstools, fdisk and e2fsprogs",
)


def bmap(image: Path) -> str:
    """The map that bmaptool makes, for blocks that are not all zero."""
    data = image.read_bytes()
    ranges = "".join(
        f'<Range chksum="{hashlib.sha256(data[at : at + BLOCK]).hexdigest()}"> {at // BLOCK} </Range>\n'
        for at in range(0, len(data), BLOCK)
        if any(data[at : at + BLOCK])
    )
    text = f"<bmap><ImageSize> {len(data)} </ImageSize><BlockSize> {BLOCK} </BlockSize>\n{ranges}"
    text += f"<BmapFileChecksum> {'0' * 64} </BmapFileChecksum></bmap>\n"
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A small image of the card's own shape, packed, its map and sum beside it."""
    folder = tmp_path_factory.mktemp("image")
    files = folder / "files"
    files.mkdir()
    for name in ("cmdline.txt", "vmlinuz", "trap.toml"):
        (files / name).write_text(f"{name}\n" * 500)
    parts = SMALL.partitions
    made = [folder / part.label for part in parts]
    make_fat(made[0], parts[0], files)
    make_ext4(made[1], parts[1], files)
    make_ext4(made[2], parts[2], files)
    image = folder / "trap.img"
    assemble(image, SMALL, made)
    (folder / "trap.bmap").write_text(bmap(image))
    packed = folder / "trap.img.xz"
    packed.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    (folder / "trap.img.xz.sha256").write_text(f"{hashlib.sha256(packed.read_bytes()).hexdigest()}  trap.img.xz\n")
    return packed


@pytest.fixture
def image(built, tmp_path):
    for name in ("trap.img.xz", "trap.bmap", "trap.img.xz.sha256"):
        shutil.copy(built.with_name(name), tmp_path / name)
    return tmp_path / "trap.img.xz"


def disk(path: str, **changes) -> dict:
    base = {"name": "sdx", "path": path, "type": "disk", "size": 64 * MIB, "rm": True, "hotplug": True, "ro": False}
    return {**base, "model": "Card Reader", "tran": "usb", "mountpoints": [None], **changes}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A computer whose drives are sparse files: only the listing is not real."""
    card, system = tmp_path / "card", tmp_path / "system"
    for file in (card, system):
        with file.open("wb") as out:
            out.truncate(64 * MIB)
    mounted = {"name": "sdy1", "mountpoints": ["/media/me/X"]}
    listing = [
        disk(str(card)),
        disk(str(system), name="nvme0", rm=False, hotplug=False, children=[{"name": "p1", "mountpoints": ["/"]}]),
        disk(str(tmp_path / "mounted"), name="sdy", children=[mounted]),
        disk(str(tmp_path / "small"), name="sdz", size=8 * MIB),
    ]
    fake = tmp_path / "bin/lsblk"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps({'blockdevices': listing})}\nEND\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return card


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def flash(monkeypatch, capsys):
    """The command, in this process: a start of Python for each call would take most of the time."""

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["trap-flash", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return call


def test_a_card_gets_the_whole_image_and_its_identity(flash, image, machine):
    done = flash("write", image, machine, "--id", "yard-03", "--broker", "mqtt://10.0.0.1", "--site", "North", "--yes")
    assert done.returncode == 0, done.stderr
    settings = read_card(Card(machine, SMALL).get("trap.toml").encode()).settings
    assert settings == {"trap": "yard-03", "broker": "mqtt://10.0.0.1", "site": "North"}
    with machine.open("rb") as card:
        whole = card.read(SMALL.size * MIB)
    data_start = SMALL.partitions[1].start * MIB
    assert whole[data_start:] == lzma.decompress(image.read_bytes())[data_start:]


def test_a_dry_run_writes_nothing(flash, image, machine):
    done = flash("write", image, machine, "--id", "a", "--broker", "mqtt://b", "--dry-run")
    assert "would write" in done.stdout
    assert not any(machine.read_bytes())


@pytest.mark.parametrize(
    ("drive", "message"),
    [
        ("system", "this computer runs from it"),
        ("mounted", "it is in use at /media/me/X: eject or unmount it first"),
        ("small", "too small: 0.0 GB, the image needs 0.1 GB"),
        ("nothing", "no such drive: trap-flash list shows the cards"),
    ],
)
def test_a_drive_that_is_no_free_card_is_refused(flash, image, machine, drive, message):
    done = flash("write", image, machine.with_name(drive), "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {machine.with_name(drive)}: {message}")
    assert done.stderr.count("\n") == 1


def test_only_removable_drives_are_listed(flash, machine):
    listed = json.loads(flash("list", "--json").stdout)
    assert [one["path"] for one in listed] == [
        str(machine),
        str(machine.with_name("mounted")),
        str(machine.with_name("small")),
    ]


def test_a_card_that_does_not_keep_what_is_written_is_found_out(image, machine, monkeypatch):
    from trap_deploy.flash import blocks

    one = parse_bmap(image.with_name("trap.bmap").read_text(), "trap.bmap")
    with lzma.open(image) as source:
        blocks.write_blocks(source, machine, one, lambda _: None)
    with machine.open("r+b") as card:
        card.seek(one.stretches[3].start)
        card.write(b"\xff" * 16)
    with pytest.raises(ConfigError, match="does not hold what was written"):
        blocks.verify_blocks(machine, one, lambda _: None)


def test_an_image_cut_short_is_refused_before_anything_is_written(flash, image, machine):
    image.write_bytes(image.read_bytes()[:-2000])
    done = flash("write", image, machine, "--yes")
    assert "is not what trap.img.xz.sha256 says: download both again" in done.stderr
    assert not any(machine.read_bytes())


def test_an_image_cut_short_without_a_sum_beside_it_is_one_clear_line(flash, image, machine):
    image.with_name("trap.img.xz.sha256").unlink()
    image.write_bytes(image.read_bytes()[:-2000])
    done = flash("write", image, machine, "--yes")
    assert done.returncode == 1
    assert "is damaged or cut short" in done.stderr


def test_another_image_is_refused(flash, tmp_path, machine):
    other = tmp_path / "other.img"
    other.write_bytes(b"\0" * 4 * MIB)
    assert "this is another card or image" in flash("write", other, machine, "--yes").stderr


def test_an_altered_block_map_is_refused(flash, image, machine):
    map_file = image.with_name("trap.bmap")
    map_file.write_text(map_file.read_text().replace("> 1024 <", "> 1025 <"))
    assert "trap.bmap: was altered or cut short" in flash("write", image, machine, "--yes").stderr


def test_an_image_for_raspberry_pi_imager_has_the_identity_in_it(flash, image, tmp_path):
    out = tmp_path / "yard-03.img"
    done = flash("write", image, "--to-file", out, "--id", "yard-03", "--broker", "mqtt://b")
    assert done.returncode == 0, done.stderr
    assert 'trap = "yard-03"' in Card(out, SMALL).get("trap.toml")
    assert out.stat().st_size == SMALL.size * MIB
    assert "exists: give another name" in flash("write", image, "--to-file", out).stderr


@pytest.fixture
def enrolment(tmp_path):
    folder = tmp_path / "enrolment"
    folder.mkdir()
    (folder / "trap.toml").write_text('tenant = "t"\ntrap = "yard-04"\nbroker = "mqtts://b"\nca = "ca.pem"\n')
    (folder / "ca.pem").write_text("CERTIFICATE")
    return folder


def test_what_trap_fleet_wrote_goes_onto_a_card_once(flash, image, machine, enrolment):
    assert flash("write", image, machine, "--enrolment", enrolment, "--yes").returncode == 0
    card = Card(machine, SMALL)
    assert (card.get("ca.pem"), 'tenant = "t"' in card.get("trap.toml")) == ("CERTIFICATE", True)
    again = flash("personalise", machine, "--enrolment", enrolment)
    assert "two traps with one identity push each other off the broker" in again.stderr
    assert flash("personalise", machine, "--enrolment", enrolment, "--again").returncode == 0


def test_a_certificate_that_is_missing_in_an_enrolment_is_named(flash, image, machine, enrolment):
    (enrolment / "ca.pem").unlink()
    assert "ca.pem: can't be read" in flash("write", image, machine, "--enrolment", enrolment, "--yes").stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--id", "Yard 3", "--broker", "mqtt://b"], "trap: use 1 to 36 of a-z"),
        (["--id", "a"], "broker is not set"),
        (["--id", "a", "--broker", "b"], "broker: the broker's address is malformed"),
        (["--id", "a", "--broker", "mqtt://b", "--wifi", "n", "--wifi-password", "short"], "wifi.country is not set"),
        (
            ["--id", "a", "--broker", "mqtt://b", "--wifi", "n", "--wifi-password", "short", "--country", "ES"],
            "wifi.password",
        ),
    ],
)
def test_a_mistyped_identity_is_refused_before_the_card_is_touched(flash, image, machine, flags, message):
    done = flash("write", image, machine, "--yes", *flags)
    assert message in done.stderr
    assert not any(machine.read_bytes())


def test_a_mounted_card_is_personalised_where_it_is_mounted(flash, tmp_path):
    (tmp_path / "cmdline.txt").touch()
    (tmp_path / "vmlinuz").touch()
    done = flash("personalise", tmp_path, "--id", "a", "--broker", "mqtt://b")
    assert done.returncode == 0, done.stderr
    assert 'trap = "a"' in (tmp_path / "trap.toml").read_text()


def test_a_folder_that_is_no_card_is_refused(flash, tmp_path):
    assert "is not the boot partition" in flash("personalise", tmp_path, "--id", "a", "--broker", "mqtt://b").stderr


texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(texts, texts)
def test_any_words_reach_the_card_as_they_were_given(site, ssid):
    identity = {"trap": "a", "broker": "mqtt://b", "site": site}
    tables = {"wifi": {"ssid": ssid, "country": "ES"}}
    if len(ssid.encode()) > 32 or not ssid.isprintable():
        with pytest.raises(ConfigError, match="ssid"):
            make_identity(identity, tables, {})
        return
    made = make_identity(identity, tables, {})
    card = read_card(made.files["trap.toml"])
    assert (card.settings["site"], card.wifi.ssid, card.faults) == (site, ssid, ())


flags = st.booleans()
mounts = st.lists(st.sampled_from(["/", "/home", "/media/x", "[SWAP]", None]), max_size=3)


@given(flags, flags, flags, mounts, st.integers(0, 3 * 10**12))
def test_no_drive_that_is_built_in_in_use_or_the_systems_is_ever_chosen(rm, hotplug, ro, used, size):
    one = disk("/dev/sdx", rm=rm, hotplug=hotplug, ro=ro, size=size, children=[{"name": "p", "mountpoints": used}])
    drives = parse_drives(json.dumps({"blockdevices": [one]}))
    is_free = (rm or hotplug) and not ro and 1000 <= size <= 2 * 10**12 and not any(used)
    with nullcontext() if is_free else pytest.raises(ConfigError):
        choose(drives, "/dev/sdx", 1000)


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_no_bytes_pass_for_a_traps_card_by_chance(head, sector):
    with pytest.raises(ConfigError):
        read_table(head, sector, "x")


@given(st.text(max_size=200))
def test_no_text_passes_for_a_block_map_by_chance(text):
    with pytest.raises(ConfigError):
        parse_bmap(text, "x.bmap")


def test_help_fits_a_screen(flash):
    for words in (["--help"], ["write", "--help"], ["personalise", "--help"], ["list", "--help"]):
        assert len(flash(*words).stdout.splitlines()) <= 40


def test_nothing_secret_is_shown(flash, image, machine):
    done = flash("write", image, machine, "--id", "a", "--broker", "mqtt://u:s3cret@b", "--yes")
    assert "s3cret" not in done.stdout + done.stderr
