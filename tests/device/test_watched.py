import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trap_agent.feeds import open_feed
from trap_agent.sources import open_source, seen
from trap_agent.sources.seen import SeenPictures, Stamp
from trap_agent.sources.watched import Settling
from trap_contract.errors import SourceError, StoreError

from device.bundles import paint
from device.samples import SetClock

JPEG = cv2.imencode(".jpg", paint("Female"))[1].tobytes()


class Watch:
    """A watched folder under a clock that is set."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder, self.state, self.clock = tmp_path / "drop", tmp_path / "state", SetClock(100)
        self.folder.mkdir()

    def start(self) -> "Watch":
        self.frames = open_source(f"watch:{self.folder}", None, self.clock, self.state).frames()
        return self

    def put(self, name: str, data: bytes = JPEG, age: int = 0) -> None:
        (self.folder / name).write_bytes(data)
        os.utime(self.folder / name, ns=(age, age))

    def seconds(self, count: int) -> list[tuple[str, float, bool]]:
        """Name, time and readability of what comes in that many seconds, at two looks a second."""
        came = []
        for _ in range(2 * count):
            self.clock.mono_s += 0.5
            while (frame := next(self.frames)) is not None:
                came.append((frame.name, frame.at.mono_s, frame.pixels is not None))
        return came


@pytest.fixture
def watch(tmp_path):
    return Watch(tmp_path)


def test_pictures_come_once_in_the_order_of_their_appearance_dated_by_their_arrival(watch):
    watch.start().put("b.jpg", age=1)
    watch.put("a.jpg", age=2)
    watch.put("notes.txt")
    assert watch.seconds(3) == [("b.jpg", 101.5, True), ("a.jpg", 101.5, True)]
    watch.put("0.jpg", age=3)
    assert watch.seconds(3) == [("0.jpg", 104.5, True)]


def test_what_lay_there_before_the_first_start_is_not_counted(watch):
    watch.put("old.jpg")
    assert watch.start().seconds(5) == []


def test_a_restart_counts_nothing_again_and_misses_nothing(watch):
    watch.start().put("a.jpg")
    assert len(watch.seconds(3)) == 1
    watch.put("b.jpg")
    assert [name for name, _, _ in watch.start().seconds(3)] == ["b.jpg"]
    assert watch.start().seconds(3) == []


def test_a_picture_is_not_looked_at_while_it_is_being_written(watch):
    watch.start()
    for length in range(1, 9):
        watch.put("a.jpg", JPEG[: length * 50], age=length)
        assert watch.seconds(1) == []
    watch.put("a.jpg", age=100)
    assert [(name, whole) for name, _, whole in watch.seconds(3)] == [("a.jpg", True)]


def test_an_upload_that_pauses_is_waited_for(watch):
    watch.start().put("a.jpg", JPEG[:200])
    assert watch.seconds(8) == []
    watch.put("a.jpg", age=1)
    assert [(name, whole) for name, _, whole in watch.seconds(3)] == [("a.jpg", True)]


def test_a_picture_that_stays_cut_short_is_one_unreadable_frame(watch):
    watch.start().put("a.jpg", JPEG[:200])
    assert [(name, whole) for name, _, whole in watch.seconds(30)] == [("a.jpg", False)]
    assert watch.start().seconds(15) == []


def test_a_renamed_part_file_and_a_picture_written_anew_count(watch):
    watch.start().put("a.jpg.part")
    watch.put(".b.jpg")
    assert watch.seconds(3) == []
    (watch.folder / "a.jpg.part").rename(watch.folder / "a.jpg")
    assert [name for name, _, _ in watch.seconds(3)] == ["a.jpg"]
    watch.put("a.jpg", age=5)
    assert [name for name, _, _ in watch.seconds(3)] == ["a.jpg"]


def test_a_picture_that_goes_before_it_was_looked_at_is_none(watch):
    watch.start().put("a.jpg")
    assert watch.seconds(1) == []
    (watch.folder / "a.jpg").unlink()
    assert watch.seconds(3) == []


def test_a_folder_that_goes_is_a_loss_and_what_comes_with_it_again_is_counted_once(watch):
    source = open_source(f"watch:{watch.folder}", None, watch.clock, watch.state)
    feed = open_feed(source, watch.clock, np.random.default_rng(0))
    watch.put("a.jpg")
    away = watch.folder.rename(watch.folder.with_name("away"))
    watch.clock.mono_s += 1
    assert [at.mono_s for at in feed.take(0).lost] == [101]
    away.rename(watch.folder)
    names = []
    for _ in range(8):
        watch.clock.mono_s += 1
        taken = feed.take(0)
        names += [taken.frame.name] if taken.frame else []
    assert taken.lost == ()
    assert names == ["a.jpg"]


def test_a_folder_that_stays_away_is_looked_for_ever_more_seldom_and_said_to_be_lost_once(watch):
    source = open_source(f"watch:{watch.folder}", None, watch.clock, watch.state)
    feed = open_feed(source, watch.clock, np.random.default_rng(0))
    looks, list_folder = [], source._list
    source._list = lambda: looks.append(watch.clock.mono_s) or list_folder()
    watch.folder.rmdir()
    with capture_logs() as logs:
        for _ in range(2400):
            watch.clock.mono_s += 0.25
            assert feed.take(0).lost
    assert [entry["event"] for entry in logs] == ["source lost, trying it again and again"]
    assert 60 < len(looks) < 200


def test_pictures_that_arrive_faster_than_they_are_analysed_all_wait(watch):
    source = open_source(f"watch:{watch.folder}", None, watch.clock, watch.state)
    feed = open_feed(source, watch.clock, np.random.default_rng(0))
    for number in range(20):
        watch.put(f"{number:02}.jpg", age=number)
    names = []
    for _ in range(30):
        watch.clock.mono_s += 2
        taken = feed.take(0)
        names += [taken.frame.name] if taken.frame else []
    assert names == [f"{number:02}.jpg" for number in range(20)]


def test_a_place_that_can_not_remember_is_refused(watch):
    watch.state.write_text("a file where a folder belongs")
    with pytest.raises(StoreError, match="can't remember what was counted: check --state-dir"):
        watch.start()


def test_a_full_disk_does_not_stop_counting(watch, monkeypatch):
    watch.start()
    monkeypatch.setattr(SeenPictures, "_query", None)
    watch.put("a.jpg")
    source_seen = watch.frames.gi_frame.f_locals["self"]._seen
    source_seen._connection.execute("PRAGMA max_page_count = 1")
    source_seen._connection.execute("PRAGMA query_only = 1")
    assert len(watch.seconds(5)) == 1


def test_of_pictures_that_left_the_folder_the_oldest_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "_GONE_KEPT", 2)
    pictures = SeenPictures(tmp_path / "s.db", tmp_path)
    pictures.begin({})
    for number in range(5):
        pictures.add(f"{number}.jpg", Stamp(1, number))
    pictures.prune({"0.jpg": Stamp(1, 0)})
    for memory in (pictures, SeenPictures(tmp_path / "s.db", tmp_path)):
        assert [memory.has(f"{number}.jpg", Stamp(1, number)) for number in range(5)] == [
            True,
            False,
            False,
            True,
            True,
        ]


@given(
    st.lists(st.tuples(st.integers(1, 30), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))), max_size=30)
)
def test_only_what_was_left_alone_for_a_second_has_settled(looks):
    settling, now_s, history = Settling(), 0.0, []
    for tenths, sizes in looks:
        now_s += tenths / 10
        history.append((now_s, sizes))
        for arrival in settling.look({name: Stamp(size, 0) for name, size in sizes.items()}, now_s):
            recent = [sizes.get(arrival.name) for at_s, sizes in history if at_s >= arrival.since_s]
            assert set(recent) == {arrival.stamp.size}
            assert now_s - arrival.since_s >= 1


def test_a_folder_that_never_was_is_refused(tmp_path):
    with pytest.raises(SourceError, match="make or mount it"):
        open_source(f"watch:{tmp_path}/none", None, SetClock(), tmp_path)
