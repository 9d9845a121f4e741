import json
import lzma
import random
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.card import read_card
from trap_contract.errors import ConfigError
from trap_deploy.boot.machine import Card
from trap_deploy.boot.ntp import reply
from trap_deploy.image import artefacts
from trap_deploy.image.base import Base, make_base
from trap_deploy.image.boot_files import collect
from trap_deploy.image.contents import Package, as_sbom, parse_status
from trap_deploy.image.filesystems import assemble, extract_partition, make_ext4, make_fat
from trap_deploy.image.layout import MIB, Layout
from trap_deploy.image.mirrors import Mirrors, parse_targets

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SMALL = Layout(boot=40, root=8, data=8)


def has(*tools: str) -> bool:
    return all(shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") for tool in tools)


needs_tools = pytest.mark.skipif(
    not has("mke2fs", "mkfs.vfat", "mcopy", "sfdisk"), reason="needs e2fsprogs, dosfstools, mtools and fdisk"
)


@given(st.binary(min_size=1, max_size=20_000), st.binary(min_size=1, max_size=20_000))
def test_a_packed_image_is_the_image_and_keeps_its_own_pieces_alone(first, second):
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(artefacts, "PIECE", 4096)
        image, packed, kept = (Path(name, part) for part in ("image", "image.xz", "kept"))
        for content in (first, second):
            image.write_bytes(content)
            artefacts.pack_pieces(image, packed, kept)
            assert lzma.decompress(packed.read_bytes()) == content
            assert len(list(kept.iterdir())) <= -(-len(content) // 4096)


def test_only_the_pieces_of_an_image_that_changed_are_packed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(artefacts, "PIECE", 4096)
    image, packed, kept = tmp_path / "image", tmp_path / "image.xz", tmp_path / "kept"
    image.write_bytes(random.Random(1).randbytes(5 * 4096))
    artefacts.pack_pieces(image, packed, kept)
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    with image.open("r+b") as file:
        file.write(b"changed")
    artefacts.pack_pieces(image, packed, kept)
    after = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert len(before.items() & after.items()) == 4
    assert len(after) == 5


@given(st.builds(Layout, *(st.integers(least, 5000) for least in (33, 1, 8, 1))) | st.just(Layout()))
def test_partitions_follow_each_other_without_hole_or_overlap(layout):
    parts = layout.partitions
    assert parts[0].start == layout.lead >= 1
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert layout.size == parts[-1].end == layout.lead + layout.boot + layout.root + layout.data


@given(st.integers(-5, 32))
def test_a_boot_partition_too_small_for_fat32_is_refused(size):
    with pytest.raises(ConfigError, match="FAT32 needs 33 MiB"):
        Layout(boot=size)


@needs_tools
def test_an_image_has_the_partitions_that_were_asked_for_and_their_files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "trap.toml").write_text("trap = 'a'\n")
    parts = SMALL.partitions
    files = [tmp_path / part.label for part in parts]
    make_fat(files[0], parts[0], folder)
    make_ext4(files[1], parts[1], folder)
    make_ext4(files[2], parts[2], folder)
    image = tmp_path / "card.img"
    assemble(image, SMALL, files)
    table = json.loads(subprocess.run(["sfdisk", "--json", image], capture_output=True, check=True).stdout)
    found = [(one["start"] * 512 // MIB, one["size"] * 512 // MIB) for one in table["partitiontable"]["partitions"]]
    assert found == [(part.start, part.size) for part in parts]
    assert Card(image, SMALL).get("trap.toml") == "trap = 'a'\n"
    assert image.stat().st_blocks * 512 < image.stat().st_size / 2
    extract_partition(image, parts[1], tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == files[1].read_bytes()


@needs_tools
def test_a_folder_that_does_not_fit_is_refused_with_the_tools_own_words(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files/big").write_bytes(b"x" * 20 * MIB)
    with pytest.raises(ConfigError, match="mke2fs failed"):
        make_ext4(tmp_path / "out", SMALL.partitions[1], tmp_path / "files")


def test_another_package_list_makes_another_base(tmp_path):
    text = (DEPLOY / "image/base.toml").read_text()
    (tmp_path / "base.toml").write_text(text.replace('"zstd",', ""))
    assert Base.read(DEPLOY / "image/base.toml").key != Base.read(tmp_path / "base.toml").key


def test_only_what_is_listed_comes_from_backports():
    base = Base.read(DEPLOY / "image/base.toml")
    assert base.preferences.startswith("Package: linux-image-* ")
    assert "Pin: release n=trixie-backports\n" in base.preferences
    assert " * " not in base.preferences


def test_an_unknown_key_of_the_package_list_is_named(tmp_path):
    (tmp_path / "base.toml").write_text("pakages = []\n")
    with pytest.raises(ConfigError, match=r"base.toml: .*pakages"):
        Base.read(tmp_path / "base.toml")


def test_the_csi_flavour_says_which_archive_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("trap_deploy.image.base._check_tools", lambda: None)
    with pytest.raises(ConfigError, match="needs Raspberry Pi's archive"):
        make_base(Base.read(DEPLOY / "image/base-csi.toml"), Mirrors("http://a", "http://s"), tmp_path)


def test_security_updates_come_from_their_own_mirror():
    lines = Mirrors("http://a/debian", "http://s/debian-security").sources(["trixie", "trixie-security"], ["main"])
    assert lines == "deb http://a/debian trixie main\ndeb http://s/debian-security trixie-security main\n"


def test_a_foreign_archive_is_no_mirror():
    assert parse_targets("Google|x|http://g/\nDebian|Debian|http://d/debian/\n") == {"Debian": "http://d/debian/"}


STATUS = """\
Package: python3
Status: install ok installed
Version: 3.13.5-1
Description: a
 Package: not-this

Package: gone
Status: deinstall ok config-files
Version: 1

Package: adduser
Status: install ok installed
Version: 3.1+b1
"""


def test_the_package_list_has_what_is_installed_and_nothing_else():
    assert [(one.name, one.version) for one in parse_status(STATUS)] == [("adduser", "3.1+b1"), ("python3", "3.13.5-1")]


names = st.from_regex("[a-z0-9][a-z0-9+.-]{1,20}", fullmatch=True)


@given(st.lists(st.builds(Package, st.sampled_from(["deb", "pypi"]), names, names), unique=True))
def test_every_package_is_in_the_bill_of_materials_under_its_own_reference(packages):
    document = json.loads(as_sbom(packages, "card", "1"))
    assert [one["name"] for one in document["components"]] == [one.name for one in packages]
    assert len({one["bom-ref"] for one in document["components"]}) == len(packages)
    assert all(one["purl"].startswith("pkg:") for one in document["components"])


def test_two_kernels_in_the_base_are_refused(tmp_path):
    (tmp_path / "boot").mkdir()
    for version in ("1", "2"):
        (tmp_path / f"boot/vmlinuz-{version}").touch()
    with pytest.raises(ConfigError, match="has 2 kernels"):
        collect(tmp_path, DEPLOY / "image/boot", tmp_path / "out")


@given(st.binary(min_size=48, max_size=60), st.floats(0, 4e9))
def test_a_time_answer_repeats_the_clients_own_time(request, now_s):
    answer = reply(request, now_s)
    assert len(answer) == 48
    assert answer[24:32] == request[40:48]
    assert int.from_bytes(answer[40:44], "big") == (int(now_s) + 2_208_988_800) % 2**32


@pytest.mark.parametrize("scenario", sorted(path.parent.name for path in DEPLOY.glob("image/scenarios/*/scenario.py")))
def test_every_scenario_says_what_it_shows_and_has_a_card(scenario):
    folder = DEPLOY / "image/scenarios" / scenario
    assert (folder / "scenario.py").read_text().startswith('"""')
    text = (folder / "trap.toml").read_text()
    text = text.replace("BROKER", "mqtt://10.0.2.2:1").replace("PUBLIC_KEY", "ssh-ed25519 " + "A" * 60)
    is_wrong_on_purpose = scenario in ("invalid_card", "incomplete_card")
    assert bool(read_card(text.encode()).faults) == is_wrong_on_purpose


def test_no_account_of_the_image_has_a_password_and_no_key_is_in_it():
    files = [path for path in (DEPLOY / "image/rootfs").rglob("*") if path.is_file()]
    assert not [
        path for path in files if path.name in ("shadow", "passwd", "authorized_keys") or "host_key" in path.name
    ]
    sshd = (DEPLOY / "image/rootfs/etc/ssh/sshd_config.d/00-zancudo.conf").read_text()
    assert "PasswordAuthentication no" in sshd
    assert "AuthenticationMethods publickey" in sshd
