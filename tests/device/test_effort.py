from hypothesis import given
from hypothesis import strategies as st
from trap_agent.effort import Timeline


def closed(timeline: Timeline, at_s: float = 10.0) -> tuple[float, dict[str, float]]:
    observed_s, gaps = timeline.close(at_s)
    return observed_s, {gap.reason: gap.seconds for gap in gaps}


def timeline(absence: str = "no_frame") -> Timeline:
    """Ten seconds at a frame a second."""
    return Timeline(0.0, 10.0, 1.0, 0.0, absence)


def test_a_frame_that_is_merely_late_is_no_loss_of_the_camera():
    late = timeline()
    for at_s in (1, 2, 6, 7, 8, 9):
        late.frame(at_s, "observed")
    assert closed(late) == (7.0, {"no_frame": 3.0})


def test_a_hang_that_is_noticed_later_is_all_the_cameras():
    hung = timeline()
    hung.frame(1, "observed")
    hung.lost(9)
    assert closed(hung) == (2.0, {"camera": 8.0})


def test_a_camera_that_was_lost_in_an_earlier_window_is_lost_until_its_next_frame():
    assert closed(timeline("camera")) == (0.0, {"camera": 10.0})
    back = timeline("camera")
    back.frame(4, "observed")
    back.frame(9, "observed")
    assert closed(back) == (3.0, {"camera": 3.0, "no_frame": 4.0})


def test_a_camera_that_never_gave_a_frame_is_the_cameras_gap():
    absent = timeline()
    absent.lost(2)
    absent.lost(5)
    assert closed(absent) == (0.0, {"camera": 10.0})


@given(
    st.lists(
        st.tuples(st.floats(0, 4), st.sampled_from(["observed", "unreadable", "dark", "overload", "lost"])), max_size=20
    )
)
def test_every_second_is_observed_or_a_gap(events):
    line, at_s = timeline(), 0.0
    for step_s, event in events:
        at_s += step_s
        if event == "lost":
            line.lost(at_s)
        else:
            line.frame(at_s, event)
    observed_s, gaps = closed(line)
    assert abs(observed_s + sum(gaps.values()) - 10.0) < 0.01
