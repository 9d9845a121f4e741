import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trap_contract.card import MOST_BYTES, Fault, read_card
from trap_contract.toml_lines import line_of

SHIPPED = Path(__file__).resolve().parents[2] / "deploy/image/boot/trap.toml"
GOOD = """\
trap = "yard-03"
site = "North yard"
broker = "mqtts://broker.example"
ca = "ca.pem"
schedule = "18:00-06:30 Europe/Madrid"

[wifi]
ssid = "my net"
password = "correct horse"
country = "ES"

[ssh]
key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcXqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq me@laptop"

[network]
ntp = ["10.0.2.2"]
"""


def faults(text: str) -> list[str]:
    return [str(fault) for fault in read_card(text.encode()).faults]


def test_a_right_card_has_no_faults_and_all_its_settings():
    card = read_card(GOOD.encode())
    assert card.faults == ()
    assert (card.settings["trap"], card.settings["ca"]) == ("yard-03", "ca.pem")
    assert (card.wifi.ssid, card.network.ntp) == ("my net", ("10.0.2.2",))
    assert card.ssh.key.endswith("me@laptop")


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('trap = "yard-03"', 'trap = "Yard 3"', "line 1: trap: use 1 to 36 of a-z, 0-9 and '-'"),
        ('trap = "yard-03"', "", "line 1: trap is not set: add a line such as trap = "),
        ('broker = "mqtts://broker.example"', 'broker = "broker"', "line 3: broker: the broker's address is malformed"),
        ('ca = "ca.pem"', 'ca = "../secret"', "line 4: ca: must be the name of a file beside trap.toml"),
        ("schedule", "shedule", "line 5: shedule is not known here, did you mean schedule?"),
        ("18:00-06:30", "6pm-6am", "line 5: schedule: hours '6pm-6am' are malformed"),
        ("[wifi]", "[wify]", "line 7: wify is not known here, did you mean wifi?"),
        ('"correct horse"', '"short"', "line 9: wifi.password: a Wi-Fi password has 8 to 63 characters"),
        ('country = "ES"', "", "line 7: wifi.country is not set"),
        ('"ES"', '"Spain"', "line 10: wifi.country: write two capital letters, as in ES"),
        ('"my net"', '"' + "n" * 33 + '"', "line 8: wifi.ssid: a Wi-Fi name has 1 to 32 characters"),
        ("ssh-ed25519 AAAA", "AAAA", "line 13: ssh.key: write the one line of a public key"),
        ('"my net"', '"my net', "line 8: is not TOML"),
        ("[network]", "[network", "line 15: is not TOML"),
        ('site = "North yard"', 'state_dir = "/tmp"', "line 2: state_dir is set by the image: take the line away"),
    ],
)
def test_a_mistake_is_named_by_line(before, after, fault):
    assert before in GOOD
    found = faults(GOOD.replace(before, after, 1))
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_what_is_right_beside_a_mistake_is_kept():
    card = read_card(GOOD.replace("correct horse", "short").replace('"yard-03"', '"Y"').encode())
    assert card.wifi is None
    assert "trap" not in card.settings
    assert card.settings["broker"] == "mqtts://broker.example"
    assert card.ssh is not None
    assert len(card.faults) == 2


def test_windows_line_ends_and_a_byte_order_mark_are_no_mistake():
    assert read_card(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).faults == ()


def test_no_fault_repeats_a_password():
    text = GOOD.replace('"correct horse"', '"s3cret"').replace("mqtts://broker", "mqtts://u:s3cret@bro ker:x")
    assert len(faults(text)) == 2
    assert "s3cret" not in " ".join(faults(text))


def test_the_shipped_card_says_what_is_to_be_filled_in():
    card = read_card(SHIPPED.read_bytes())
    assert [fault.text.split(" ")[0] for fault in card.faults] == ["broker", "trap"]


def test_every_line_that_the_shipped_card_offers_is_right():
    offered = re.findall(r"^# (\w+ = .*|\[\w+\].*)", SHIPPED.read_text().replace("\r", ""), re.MULTILINE)
    card = read_card("\n".join(offered).replace("AAAA...", "A" * 60).encode())
    assert card.faults == ()
    assert (card.settings["cert"], card.wifi.country) == ("trap.pem", "ES")


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_fail(data):
    card = read_card(data)
    assert all(fault.line >= 1 for fault in card.faults)


@given(st.text(alphabet='abtrap="\n[]wifi.# \\1', max_size=200))
def test_a_fault_names_a_line_that_is_there(text):
    lines = max(1, len(text.splitlines()))
    assert all(1 <= fault.line <= lines + 1 for fault in read_card(text.encode()).faults)


def test_a_file_that_is_far_too_large_is_no_card():
    assert read_card(b"#" * (MOST_BYTES + 1)).faults[0].text.startswith("is larger")


@given(st.lists(st.sampled_from(["a", "bb", "c-d"]), unique=True, min_size=1), st.data())
def test_line_of_finds_the_line_that_sets_a_key(keys, data):
    text = "".join(f"{key} = 1\n" for key in keys) + "[t]\n" + "".join(f"{key} = 2\n" for key in keys)
    key = data.draw(st.sampled_from(keys))
    assert tomllib.loads(text)["t"][key] == 2
    assert line_of(text, key) == keys.index(key) + 1
    assert line_of(text, key, "t") == len(keys) + 2 + keys.index(key)
    assert line_of(text, "absent", "t") == len(keys) + 1


def test_faults_are_in_the_order_of_lines():
    assert min(Fault(9, "a"), Fault(2, "b")).line == 2
