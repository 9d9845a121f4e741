import json
import os
import stat
import tomllib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trap_agent.card.apply import Board, apply, own_name
from trap_agent.card.boot_partition import write_status
from trap_agent.card.condition import Code, Condition, of_card, of_delivery, of_wifi, shown, status_text
from trap_agent.card.derive import NOWHERE, TIME_SERVERS, derive
from trap_agent.card.light import pattern
from trap_agent.card.watch import AGAIN_S, STEADY_S, Notes, look
from trap_agent.runfiles import LINK_FILE, PICTURES_FILE, LinkFile, PicturesFile, run_folder
from trap_agent.settings import AgentSettings, load_settings
from trap_contract.card import Card, Wifi, read_card

CARD = b"""\
trap = "yard-03"
broker = "mqtt://10.0.0.1"
[wifi]
ssid = "net"
password = "correct horse"
country = "ES"
"""


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.sethostname", lambda _name: None)
    (tmp_path / "card").mkdir()
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/machine-id").write_text("00ff00ff00ff00ff00ff00ff00abcdef\n")
    return Board(tmp_path / "card", tmp_path / "root")


def put(board: Board, data: bytes) -> Card:
    (board.card / "trap.toml").write_bytes(data)
    return apply(board)


def agent_settings(board: Board) -> dict:
    return tomllib.loads((board.run / "trap.toml").read_text())


def test_a_card_becomes_settings_that_the_agent_takes(board, monkeypatch):
    put(board, CARD)
    monkeypatch.setattr("os.environ", {"HOME": "/"})
    loaded = load_settings(AgentSettings, {}, board.run / "trap.toml")
    assert (loaded.trap, loaded.broker, str(loaded.model)) == ("yard-03", "mqtt://10.0.0.1", "installed")
    assert loaded.source == "camera:0"


def test_what_holds_secrets_is_readable_by_root_alone(board):
    put(board, CARD)
    names = ("trap.toml", "wpa_supplicant.conf", "key.pem")
    assert [stat.S_IMODE((board.run / name).stat().st_mode) for name in names] == [0o600] * 3


def test_time_servers_can_be_read_by_the_user_who_asks_them_whatever_the_units_mask(board):
    mask = os.umask(0o077)
    try:
        put(board, CARD + b'[network]\nntp = ["10.0.0.2"]\n')
    finally:
        os.umask(mask)
    file = board.root / TIME_SERVERS
    assert file.read_text() == "[Time]\nNTP=10.0.0.2\n"
    assert [stat.S_IMODE(place.stat().st_mode) for place in (file.parent, file)] == [0o755, 0o644]


def test_the_network_name_and_key_reach_wpa_supplicant(board):
    put(board, CARD)
    text = (board.run / "wpa_supplicant.conf").read_text()
    assert f"ssid={b'net'.hex()}" in text
    assert 'psk="correct horse"' in text
    assert "country=ES" in text


def test_nothing_of_an_earlier_card_is_left(board):
    put(board, CARD + b'[network]\nntp = ["10.0.0.2"]\n')
    put(board, b'trap = "yard-04"\nbroker = "mqtt://10.0.0.1"\n')
    assert not (board.run / "wpa_supplicant.conf").exists()
    assert not (board.root / TIME_SERVERS).exists()
    assert agent_settings(board)["trap"] == "yard-04"


@pytest.mark.parametrize("data", [None, b"trap = ", b"\xff\xfe", b"", b"[wifi]\nssid = 3\n"])
def test_a_trap_without_a_right_card_starts_under_its_boards_name_and_keeps_its_windows(board, data):
    if data is not None:
        (board.card / "trap.toml").write_bytes(data)
    card = apply(board)
    assert card.faults
    assert (agent_settings(board)["trap"], agent_settings(board)["broker"]) == ("trap-abcdef", NOWHERE)
    assert "line 1" in (board.card / "trap-status.txt").read_text()


def test_a_certificate_that_is_missing_is_named_with_its_line_and_the_trap_keeps_its_windows(board):
    card = put(board, b'trap = "a"\nbroker = "mqtts://b"\nca = "ca.pem"\n')
    assert [fault.line for fault in card.faults] == [3]
    assert "ca: ca.pem can't be read" in (board.card / "trap-status.txt").read_text()
    assert "ca" not in agent_settings(board)


def test_a_certificate_that_is_none_is_a_fault_of_the_brokers_line(board):
    (board.card / "ca.pem").write_text("no certificate")
    card = put(board, b'trap = "a"\nbroker = "mqtts://b"\nca = "ca.pem"\n')
    assert [fault.line for fault in card.faults] == [2]
    assert agent_settings(board)["broker"] == NOWHERE


def test_a_status_that_says_the_same_is_not_written_again(board):
    put(board, CARD)
    before = (board.card / "trap-status.txt").stat().st_mtime_ns
    put(board, CARD)
    assert (board.card / "trap-status.txt").stat().st_mtime_ns == before


def test_a_card_that_can_t_be_opened_for_writing_is_logged_with_what_mount_says(board, tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "mount"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "mount: $*: not permitted" >&2\nexit 1\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("os.statvfs", lambda _folder: SimpleNamespace(f_flag=os.ST_RDONLY))
    with capture_logs() as logs:
        assert not write_status(board.card, "light code 4")
    assert logs[0]["error"] == f"mount: -n -o remount,rw {board.card}: not permitted"


def test_a_stock_system_keeps_its_own_network(board):
    (board.card / "trap.toml").write_bytes(CARD)
    apply(Board(board.card, board.root, is_whole=False))
    assert not (board.run / "wpa_supplicant.conf").exists()
    assert agent_settings(board)["trap"] == "yard-03"


def test_a_board_without_any_number_is_called_trap(tmp_path):
    assert own_name(tmp_path) == "trap"


texts = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=60)


@given(st.dictionaries(st.from_regex("[a-z_]{1,12}", fullmatch=True), texts | st.integers(-9, 9) | st.booleans()))
def test_settings_of_any_text_survive_being_written(found):
    written = derive(Card(found), {}, "own", whole_board=False).files["run/zancudo/trap.toml"].decode()
    assert found.items() <= tomllib.loads(written).items() or {"ca", "cert", "key"} & found.keys()


@given(texts.filter(lambda text: 1 <= len(text.encode()) <= 32 and text.isprintable()))
def test_no_network_name_can_add_a_line_to_wpa_supplicants_file(ssid):
    card = Card(wifi=Wifi(ssid=ssid, password="correct horse", country="ES"))
    text = derive(card, {}, "own", whole_board=True).files["run/zancudo/wpa_supplicant.conf"].decode()
    assert text.count("\n") == 10
    assert bytes.fromhex(text.split("ssid=")[1].split("\n")[0]) == ssid.encode()


@pytest.mark.parametrize(
    ("status", "networks", "code", "word"),
    [
        ("wpa_state=COMPLETED\n", "", None, "joined"),
        ("wpa_state=SCANNING\n", "0\tnet\tany\t[TEMP-DISABLED]\n", Code.WIFI, "password"),
        ("wpa_state=SCANNING\n", "0\tnet\tany\t\n", Code.WIFI, "not found"),
    ],
)
def test_a_wrong_password_and_a_wrong_network_name_are_told_apart(status, networks, code, word):
    found = of_wifi("net", status, networks)
    assert found.code == code
    assert word in found.words


def test_of_several_mistakes_the_light_shows_the_one_to_mend_first():
    wrong = [of_delivery("away", "no route"), of_card(read_card(b""))]
    assert shown(wrong) is Code.CARD
    assert shown([of_delivery("connected", "")]) is Code.COUNTING


@given(st.sampled_from(Code))
def test_flashes_can_be_counted(code):
    steps = list(pattern(code))
    assert sum(is_on for is_on, _ in steps) == int(code)
    assert all(steps[-1][1] > 2 * seconds for _, seconds in steps[:-1]) or code is Code.COUNTING


def test_the_card_is_written_only_when_a_condition_lasts():
    notes = Notes()
    assert not notes.due("a", 0)
    assert not notes.due("b", STEADY_S)
    assert not notes.due("b", STEADY_S + 1)
    assert notes.due("b", 2 * STEADY_S)
    notes.written("b")
    assert not notes.due("b", 9 * AGAIN_S)


def test_a_card_that_could_not_be_written_is_tried_again():
    notes = Notes()
    notes.due("a", 0)
    assert notes.due("a", STEADY_S)
    assert not notes.due("a", STEADY_S + AGAIN_S - 1)
    assert notes.due("a", STEADY_S + AGAIN_S)


def test_the_status_names_trap_version_code_and_every_part():
    text = status_text("yard-03", "1.2", [Condition("broker: away", Code.BROKER_AWAY)])
    assert text == "zancudo 1.2, trap yard-03\nlight code 4\n\nbroker: away\n"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("broker b refused: Not authorized", Code.BROKER_REFUSES),
        ("broker b can't be reached: [SSL: CERTIFICATE_VERIFY_FAILED] ...", Code.BROKER_REFUSES),
        ("broker b can't be reached: Name or service not known", Code.BROKER_AWAY),
    ],
)
def test_the_light_tells_a_broker_that_refuses_from_one_that_is_away(board, tmp_path, reason, code):
    (board.card / "trap.toml").write_bytes(CARD)
    LinkFile(tmp_path).lost(reason)
    _, parts = look(board, tmp_path)
    assert shown(parts) is code
    LinkFile(tmp_path).connected()
    assert shown(look(board, tmp_path)[1]) is Code.COUNTING


def test_an_agent_that_says_nothing_is_shown(board, tmp_path):
    (board.card / "trap.toml").write_bytes(CARD)
    assert shown(look(board, tmp_path)[1]) is Code.AGENT


def test_a_camera_that_is_lost_is_shown_although_windows_are_delivered(board, tmp_path):
    (board.card / "trap.toml").write_bytes(CARD)
    LinkFile(tmp_path).connected()
    pictures = PicturesFile(tmp_path)
    pictures.lost("camera:0 is not there")
    name, parts = look(board, tmp_path)
    assert shown(parts) is Code.AGENT
    assert "pictures: camera:0 is not there; trying again" in status_text(name, "1", parts)
    pictures.coming()
    assert shown(look(board, tmp_path)[1]) is Code.COUNTING


def test_what_stays_the_same_is_told_once(tmp_path):
    pictures = PicturesFile(tmp_path)
    pictures.coming()
    (tmp_path / PICTURES_FILE).unlink()
    pictures.coming()
    assert not (tmp_path / PICTURES_FILE).exists()


def test_nobody_is_told_where_systemd_gives_no_folder(tmp_path):
    LinkFile(run_folder({})).connected()
    LinkFile(run_folder({"RUNTIME_DIRECTORY": str(tmp_path)})).connected()
    assert json.loads((tmp_path / LINK_FILE).read_text())["state"] == "connected"
