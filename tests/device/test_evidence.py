"""Pictures for people to look at: chosen sensibly, within their budget, and never before a count."""

import base64
import secrets
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from brokers import running_broker
from hypothesis import given
from hypothesis import strategies as st
from trap_agent.evidence import box as box_module
from trap_agent.evidence.box import FOLDER, EvidenceBox
from trap_agent.evidence.budget import Budget
from trap_agent.evidence.courier import RESEND_S, Courier
from trap_agent.evidence.jpegs import area_around, encoded
from trap_agent.evidence.picking import Picker
from trap_agent.evidence.witness import Witness
from trap_agent.outbox import read_account
from trap_agent.settings import AgentSettings
from trap_agent.sources import Frame
from trap_contract.detections import Detections
from trap_contract.errors import SourceError, StoreError
from trap_contract.messages import JPEG_LIMIT, Clock, Command, Evidence, Window
from trap_contract.topics import COMMAND, TrapAddress
from waiting import until

from device.agents import started_agent
from device.collectors import tiny_collector
from device.samples import MODEL, WALL_MS, draft, moment, plan

DAY_MS = 24 * 3600 * 1000
MIDNIGHT_MS = WALL_MS // DAY_MS * DAY_MS


def picture(width: int = 320, height: int = 240) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def frame(at_s: float) -> Frame:
    return Frame(picture(), moment(at_s))


def insects(*found: tuple[float, float, float, int]) -> Detections:
    """Insects of 20 px at (x, y) with a score and a class."""
    boxes = np.array([[x - 10, y - 10, x + 10, y + 10] for x, y, _, _ in found], np.float32).reshape(-1, 4)
    return Detections(
        boxes, np.array([one[2] for one in found], np.float32), np.array([one[3] for one in found], np.int64)
    )


def window(start_s: float, length_s: float = 10) -> Window:
    made = draft()(boot="a" * 32, seq=1, mono_ms=round(start_s * 1000), duration_ms=round(length_s * 1000))
    return made.model_copy(update={"model": MODEL.model_copy(update={"threshold": 0.3})})


def evidence(number: int = 1, size: int = 300, **changes: object) -> Evidence:
    values = {
        "trap": "t-1",
        "id": f"{number:032x}",
        "kind": "snapshot",
        "reason": "command",
        "wall_ms": WALL_MS,
        "clock": Clock(synced=False),
        "model": MODEL,
        "frame_px": (640, 480),
        "area": (0, 0, 640, 480),
        "jpeg": base64.b64encode(bytes(size)).decode(),
    }
    return Evidence(**(values | changes))


def test_the_least_certain_insect_of_a_window_and_one_of_another_place_are_picked():
    picker = Picker(np.random.default_rng(0))
    picker.offer(frame(1), insects((50, 50, 0.9, 0), (150, 50, 0.42, 1)))
    picker.offer(frame(2), insects((50, 50, 0.9, 0), (150, 50, 0.33, 1)))
    (first, uncertain), (second, sample) = picker.close(window(0))
    assert (first, uncertain.label, uncertain.at_s, round(uncertain.score, 2)) == ("uncertain", 1, 2, 0.33)
    assert (second, sample.label) == ("sample", 0)


def test_a_sure_insect_is_a_sample_and_not_called_uncertain():
    picker = Picker(np.random.default_rng(0))
    picker.offer(frame(1), insects((50, 50, 0.9, 0)))
    assert [reason for reason, _ in picker.close(window(0))] == ["sample"]


def test_an_insect_that_sits_is_shown_once_an_hour():
    picker = Picker(np.random.default_rng(0))
    shown = []
    for minute in range(120):
        picker.offer(frame(60 * minute + 1), insects((50, 50, 0.9, 0)))
        shown += [minute] * len(picker.close(window(60 * minute, 60)))
    assert shown == [0, 61]


def test_of_the_sure_ones_the_class_shown_least_comes_first():
    picker = Picker(np.random.default_rng(0))
    labels = []
    for turn in range(6):
        x = 50 + 40 * turn
        picker.offer(frame(10 * turn + 1), insects((x, 50, 0.9, 0), (x, 120, 0.9, 1), (x, 190, 0.9, 2)))
        labels += [pick.label for _, pick in picker.close(window(10 * turn))]
    assert sorted(labels) == [0, 0, 1, 1, 2, 2]


def test_what_was_seen_in_another_window_is_not_shown_as_this_ones():
    picker = Picker(np.random.default_rng(0))
    picker.offer(frame(15), insects((50, 50, 0.9, 0)))
    assert picker.close(window(0)) == []
    assert picker.close(window(10)) == []


@given(
    st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(0, 900), st.floats(0, 900)),
    st.integers(1, 640),
    st.integers(1, 480),
)
def test_an_area_is_never_empty_and_lies_in_the_frame(place, width, height):
    x, y, wide, high = place
    left, top, right, bottom = area_around(np.array([x, y, x + wide, y + high], np.float32), width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_an_area_holds_its_box_with_what_is_around_it():
    assert area_around(np.array([100, 100, 180, 140], np.float32), 640, 480) == (68, 48, 212, 192)
    assert area_around(np.array([0, 0, 8, 8], np.float32), 640, 480) == (0, 0, 64, 64)


def test_a_jpeg_fits_a_message_whatever_it_shows_and_its_longer_side_is_bounded():
    data = encoded(picture(2600, 1200), 1280)
    assert len(data) <= JPEG_LIMIT
    assert max(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape) <= 1280


def test_the_box_gives_the_oldest_first_also_after_a_restart(tmp_path):
    box = EvidenceBox(tmp_path, 10_000_000)
    for number in (3, 1, 2):
        box.put(evidence(number))
    (tmp_path / FOLDER / "0000000009-x.part").touch()
    box = EvidenceBox(tmp_path, 10_000_000)
    assert (box.held, box.first()) == (3, evidence(3))
    assert box.first([f"{3:032x}"]) == evidence(1)
    box.forget([f"{3:032x}", "unknown"])
    assert EvidenceBox(tmp_path, 10_000_000).held == 2


def test_a_full_box_drops_the_oldest(tmp_path):
    box = EvidenceBox(tmp_path, 10_000)
    sizes = [box.put(evidence(number, 3000)) for number in (1, 2, 3)]
    assert sum(sizes) > 10_000
    assert (box.held, box.first()) == (2, evidence(2, 3000))
    assert sum(file.stat().st_size for file in (tmp_path / FOLDER).iterdir()) <= 10_000


def test_a_damaged_picture_is_given_up(tmp_path):
    box = EvidenceBox(tmp_path, 10_000_000)
    box.put(evidence(1))
    box.put(evidence(2))
    next(iter(sorted((tmp_path / FOLDER).iterdir()))).write_text("{")
    assert box.first() == evidence(2)
    assert box.held == 1


def test_pictures_go_first_when_the_disk_is_short_of_space(tmp_path, monkeypatch):
    box = EvidenceBox(tmp_path, 10_000_000)
    for number in (1, 2, 3):
        box.put(evidence(number, 3000))

    def usage(_folder) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in (tmp_path / FOLDER).iterdir())
        return SimpleNamespace(free=box_module.RESERVE_BYTES + 5000 - taken)

    monkeypatch.setattr(box_module.shutil, "disk_usage", usage)
    with pytest.raises(StoreError, match="short of space"):
        box.put(evidence(4))
    box.make_room()
    assert (box.held, box.first()) == (1, evidence(3, 3000))


def test_a_day_spends_its_budget_and_never_a_tenth_more_than_its_share(tmp_path):
    budget = Budget(tmp_path)
    assert budget.allows(100, 1000, MIDNIGHT_MS)
    assert not budget.allows(101, 1000, MIDNIGHT_MS)
    budget.spend(600, MIDNIGHT_MS + DAY_MS // 2)
    assert not budget.allows(1, 1000, MIDNIGHT_MS + DAY_MS // 2)
    assert not Budget(tmp_path).allows(401, 1000, MIDNIGHT_MS + DAY_MS - 1)
    assert Budget(tmp_path).allows(400, 1000, MIDNIGHT_MS + DAY_MS - 1)
    assert budget.allows(100, 1000, MIDNIGHT_MS + DAY_MS)


def test_one_picture_is_on_its_way_and_one_that_is_not_taken_lets_the_others_go(tmp_path):
    box = EvidenceBox(tmp_path, 10_000_000)
    courier = Courier(box)
    assert courier.next(0) is None
    box.put(evidence(1))
    box.put(evidence(2))
    assert courier.next(0) == evidence(1)
    assert courier.next(RESEND_S - 1) is None
    assert courier.next(RESEND_S) == evidence(2)
    courier.settled([evidence(2).id])
    assert courier.next(RESEND_S) is None  # the first was passed over; its turn comes again
    assert courier.next(RESEND_S) == evidence(1)
    courier.connected()
    assert courier.next(RESEND_S) == evidence(1)


def settings(tmp_path, **changes: object) -> AgentSettings:
    return AgentSettings(model="m.onnx", source="pictures", trap="t-1", state_dir=tmp_path, **changes)


def witness(tmp_path, **changes: object) -> Witness:
    box = EvidenceBox(tmp_path, 10_000_000)
    return Witness(settings(tmp_path, **changes), plan(), box, np.random.default_rng(0))


def test_a_crop_tells_its_window_its_place_its_class_and_when_it_was_taken(tmp_path):
    witnessing = witness(tmp_path, evidence=1000)
    witnessing.look(frame(4), insects((100, 100, 0.4, 0)))
    witnessing.stored(window(0))
    crop = witnessing.box.first()
    assert crop is not None
    assert (crop.kind, crop.reason, crop.scores, crop.label) == ("crop", "uncertain", {"Female": 0.4}, "Female")
    assert (crop.window.seq, crop.box, crop.frame_px) == (1, (90, 90, 110, 110), (320, 240))
    assert crop.wall_ms == window(0).wall_ms + 4000
    left, top, right, bottom = crop.area
    shown = cv2.imdecode(np.frombuffer(crop.picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (bottom - top, right - left, 3)


def test_without_a_budget_no_crop_is_kept_and_with_a_small_one_few(tmp_path):
    for budget, most in ((0, 0), (0.02, 2)):
        folder = tmp_path / str(budget)
        witnessing = witness(folder, evidence=budget)
        for turn in range(50):
            witnessing.look(frame(10 * turn), insects((20 + 6 * turn, 100, 0.9, 0)))
            witnessing.stored(window(10 * turn).model_copy(update={"wall_ms": MIDNIGHT_MS}))
        assert witnessing.box.held <= most


def test_a_snapshot_is_the_last_frame_under_the_commands_id(tmp_path):
    witnessing = witness(tmp_path)
    with pytest.raises(SourceError, match="no frame has been analysed"):
        witnessing.snapshot("a" * 32)
    witnessing.look(frame(4), insects())
    assert "320x240 px" in witnessing.snapshot("a" * 32)
    kept = witnessing.box.first()
    assert (kept.id, kept.kind, kept.wall_ms, kept.window) == ("a" * 32, "snapshot", frame(4).at.wall_ms, None)
    assert cv2.imdecode(np.frombuffer(kept.picture, np.uint8), cv2.IMREAD_COLOR).shape == (240, 320, 3)


def test_a_running_agent_sends_crops_and_the_snapshot_it_is_asked_for(tmp_path, bundle):
    with running_broker(tmp_path) as broker, tiny_collector(broker.port) as collector:
        options = {"model": bundle, "source": "rendered:3", "trap": "t-1", "tenant": "acme", "window": 1}
        options |= {"broker": broker.url, "state-dir": tmp_path / "state"}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        (tmp_path / "trap.toml").write_text("evidence = 1000\n")
        log = tmp_path / "agent.log"
        with started_agent(*flags, "--config", tmp_path / "trap.toml", log=log):
            until(lambda: [one for one in collector.evidence if one.kind == "crop"], "a crop comes")
            wanted = Command(trap="t-1", id=secrets.token_hex(16), name="snapshot", expires_wall_ms=2**50)
            topic = TrapAddress("acme", "t-1").topic(COMMAND)
            collector.publish(topic, wanted.model_dump_json(), expiry_s=60)
            until(lambda: [one for one in collector.evidence if one.id == wanted.id], "the snapshot comes")
            until(lambda: not list((tmp_path / "state" / FOLDER).glob("*-*.json")), "all is acknowledged")
        assert [answer.state for answer in collector.answers] == ["done"]
        crop = next(one for one in collector.evidence if one.kind == "crop")
        assert (crop.window.boot, crop.window.seq) in collector.stored
        assert read_account(tmp_path / "state")["dropped"] == 0
