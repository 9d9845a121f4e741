"""How sightings change what is known of a trap."""

import pytest
from trap_contract.topics import TrapAddress
from trap_server.sorting import Sighting
from trap_server.trap_record import SILENT_AFTER_MS, TrapRecord

from server.traps import BOOT, make_birth, make_state

ADDRESS = TrapAddress("demo", "t1")
NEW = TrapRecord("demo", "t1")
NEXT_BOOT = "f" * 32


def seen(at_ms: int | None = 1000, **told: object) -> Sighting:
    return Sighting(ADDRESS, at_ms, **told)


def test_a_last_will_from_before_a_restart_does_not_end_the_newer_boot():
    record = NEW.after([seen(birth=make_birth(boot=NEXT_BOOT)), seen(state=make_state("online", boot=NEXT_BOOT))])
    assert record.after([seen(state=make_state("offline", boot=BOOT))]).state == "online"
    assert record.after([seen(state=make_state("offline", boot=NEXT_BOOT))]).state == "offline"


def test_a_new_boot_that_says_online_replaces_the_old_one():
    record = NEW.after([seen(state=make_state("offline", boot=BOOT)), seen(state=make_state("online", boot=NEXT_BOOT))])
    assert (record.state, record.boot) == ("online", NEXT_BOOT)


def test_last_seen_never_goes_back():
    assert NEW.after([seen(5000), seen(3000), seen(None)]).last_seen_ms == 5000


@pytest.mark.parametrize(
    ("state", "window_ms", "age_ms", "status"),
    [
        ("online", 60_000, SILENT_AFTER_MS, "online"),
        ("online", 60_000, SILENT_AFTER_MS + 1, "silent"),
        ("online", 600_000, 1_800_000, "online"),
        ("stopped", 60_000, 10**9, "stopped"),
        ("offline", 60_000, 0, "offline"),
        (None, None, 0, "online"),
    ],
)
def test_status_is_the_traps_word_unless_it_is_quiet_for_long(
    state: str | None, window_ms: int | None, age_ms: int, status: str
):
    record = TrapRecord("demo", "t1", last_seen_ms=1000, window_ms=window_ms, state=state)
    assert record.status(1000 + age_ms) == status


def test_a_trap_known_only_from_retained_words_is_unknown():
    assert NEW.after([seen(None, birth=make_birth())]).status(0) == "unknown"
