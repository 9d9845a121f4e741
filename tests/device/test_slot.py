import pytest
from trap_agent.slot import LatestFrame
from trap_agent.sources import Frame

from device.samples import moment


def test_the_newest_frame_replaces_one_that_nobody_took_and_the_drop_is_told():
    slot = LatestFrame()
    for second in (1, 2, 3):
        slot.put(Frame(None, moment(second)))
    frame, dropped, _ = slot.take(0)
    assert frame is not None
    assert frame.at.mono_s == 3
    assert [at.mono_s for at in dropped] == [1, 2]


def test_an_empty_slot_gives_nothing_after_the_wait():
    assert LatestFrame().take(0) == (None, (), ())


def test_a_frame_is_taken_once():
    slot = LatestFrame()
    slot.put(Frame(None, moment(1)))
    slot.take(0)
    assert slot.take(0) == (None, (), ())


def test_what_ended_the_capture_is_raised_where_frames_are_taken():
    slot = LatestFrame()
    slot.fail(ZeroDivisionError("in the capture thread"))
    with pytest.raises(ZeroDivisionError, match="capture thread"):
        slot.take(10)


def test_a_loss_wakes_who_waits_and_is_told_once_with_the_frame_before_it():
    slot = LatestFrame()
    slot.put(Frame(None, moment(1)))
    slot.lose(moment(2))
    frame, dropped, lost = slot.take(10)
    assert frame is not None
    assert (frame.at, dropped, lost) == (moment(1), (), (moment(2),))
    assert slot.take(0) == (None, (), ())
