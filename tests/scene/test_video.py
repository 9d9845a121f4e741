"""A living board: one index, one picture; steady while insects sit; nobody comes where nobody is due."""

import numpy as np
import pytest
from trap_scene import Video
from trap_scene.picture import MAX_IOU, iou
from trap_scene.visits import FLIGHT_S, REACH_PX, Timetable


def _timetable(per_minute: float = 12.0) -> Timetable:
    return Timetable(np.random.default_rng(1), 448, 448, per_minute)


def test_an_index_names_one_picture_in_any_order() -> None:
    forward, backward = Video(3), Video(3)
    later, first = backward.frame(150), backward.frame(0)
    assert np.array_equal(forward.frame(0).pixels, first.pixels)
    assert np.array_equal(forward.frame(150).pixels, later.pixels)
    assert forward.frame(150).truth == later.truth


def test_seeds_name_different_boards() -> None:
    assert not np.array_equal(Video(3).frame(0).pixels, Video(4).frame(0).pixels)


def test_truth_is_steady_while_insects_sit() -> None:
    video = Video(5, arrivals_per_minute=10.0)
    changes = steady = 0
    for index in range(120):
        now, then = video.frame(index).truth, video.frame(index + 1).truth
        if [i.label for i in now] != [i.label for i in then]:
            changes += 1
            continue
        steady += 1
        assert all(iou(a.box, b.box) > 0.5 for a, b in zip(now, then, strict=True) if a.label != 3)
    assert steady > 10 * changes


def test_a_video_without_arrivals_shows_an_empty_board() -> None:
    video = Video(6, arrivals_per_minute=0.0)
    assert video.frame(0).truth == video.frame(10_000).truth == ()


def test_noise_differs_between_frames_of_an_empty_board() -> None:
    video = Video(6, arrivals_per_minute=0.0)
    assert not np.array_equal(video.frame(0).pixels, video.frame(1).pixels)


def test_arrivals_come_at_about_the_rate_asked_for() -> None:
    table = _timetable()
    seen = {visit.ordinal for t in range(0, 600, 2) for visit in table.present(float(t)) if visit.start_s > 0}
    assert 80 <= len(seen) <= 150


def test_a_visit_starts_and_ends_away_from_the_board() -> None:
    visit = _timetable().present(30.0)[0]
    assert visit.at(visit.start_s).height == 1
    assert visit.at(visit.start_s + FLIGHT_S).height == pytest.approx(0, abs=1e-9)
    assert visit.at((visit.start_s + visit.end_s) / 2).height == 0


def test_a_visitor_rests_more_than_it_walks() -> None:
    visit = _timetable().present(30.0)[0]
    walking = [visit.at(t).walking for t in np.linspace(visit.start_s, visit.end_s - 0.01, 300)]
    assert 0 < np.mean(walking) < 0.5


def test_visitors_keep_their_distance() -> None:
    video = Video(8, width=448, height=448, arrivals_per_minute=40.0)
    for index in range(0, 300, 25):
        boxes = [insect.box for insect in video.frame(index).truth]
        assert all(iou(a, b) <= MAX_IOU for i, a in enumerate(boxes) for b in boxes[:i])


def test_visitors_stay_off_the_border() -> None:
    video = Video(9, arrivals_per_minute=30.0)
    boxes = [i.box for index in range(0, 600, 20) for i in video.frame(index).truth if i.label != 3]
    assert len(boxes) > 20
    assert all(x0 > 0 and y0 > 0 and x1 < 224 and y1 < 224 for x0, y0, x1, y1 in boxes)


def test_a_walker_crosses_the_board_without_a_rest_and_stays_on_it() -> None:
    table = Timetable(np.random.default_rng(2), 448, 300, 30.0, walkers=1.0)
    for visit in table.present(0.0) + table.present(20.0):
        assert all(visit.at(t).walking for t in np.linspace(visit.start_s, visit.end_s - 0.01, 20))
        assert ((visit.keys[:, 1:3] >= REACH_PX - 1e-6) & (visit.keys[:, 1:3] <= [448 - 40.9, 300 - 40.9])).all()
        assert np.hypot(*(visit.keys[1, 1:3] - visit.keys[0, 1:3])) > 30


def test_a_share_of_walkers_leaves_the_others_sitting() -> None:
    table = Timetable(np.random.default_rng(3), 448, 448, 60.0, walkers=0.3)
    seen = {visit.ordinal: len(visit.keys) == 2 for t in range(120) for visit in table.present(float(t))}
    assert 0.15 < np.mean(list(seen.values())) < 0.5


def test_a_video_says_who_is_on_the_board() -> None:
    video = Video(5, arrivals_per_minute=10.0)
    assert len(video.visits(3.0)) == len(video.frame(30).truth) > 0


def test_a_board_that_lived_long_keeps_few_visits_and_remembers_any_of_them() -> None:
    table, fresh = _timetable(60.0), _timetable(60.0)
    early = [visit.ordinal for visit in table.present(100.0)]
    late = [visit.ordinal for visit in table.present(3_000.0)]
    assert len(table._visits) < 1100
    assert early
    assert late
    assert [visit.ordinal for visit in table.present(100.0)] == early
    assert [visit.ordinal for visit in fresh.present(3_000.0)] == late
