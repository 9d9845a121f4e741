"""Settings that change while the agent runs."""

import pytest
from structlog.testing import capture_logs
from trap_agent.settings import AgentSettings, load_settings
from trap_agent.tuning import Tuning
from trap_contract.errors import ConfigError

FLAGS = {"model": "m.onnx", "source": "pictures", "trap": "t-1"}


class Place:
    """A settings file, and the tuning that reads it."""

    def __init__(self, tmp_path, text: str, **flags: object) -> None:
        self.file = tmp_path / "trap.toml"
        self.write(text)
        self.flags = {**FLAGS, **flags}
        self.tuning = Tuning(self.load({}), self.load, {})

    def load(self, remote) -> AgentSettings:
        return load_settings(AgentSettings, self.flags, self.file, remote)

    def write(self, text: str) -> None:
        self.file.write_text(text)


def test_a_changed_file_waits_until_it_is_taken(tmp_path):
    place = Place(tmp_path, "window = 60\n")
    place.write("window = 30\nthreshold = 0.4\nschedule = '18:00-06:00 UTC'\n")
    place.tuning.reload()
    assert place.tuning.current.window == 60
    taken = place.tuning.take()
    assert taken is not None
    assert (taken.window, taken.threshold, taken.schedule) == (30, 0.4, "18:00-06:00 UTC")
    assert place.tuning.current.window == 30
    assert place.tuning.take() is None


def test_a_file_that_is_wrong_changes_nothing_and_is_named_with_its_line(tmp_path):
    place = Place(tmp_path, "window = 60\n")
    place.write("window = 30\nthreshold = 7\n")
    with capture_logs() as logs:
        place.tuning.reload()
    assert place.tuning.take() is None
    assert "trap.toml, line 2, threshold" in logs[0]["error"]


def test_what_needs_a_restart_is_named_and_kept_as_it_is(tmp_path):
    place = Place(tmp_path, "window = 60\n")
    place.write("window = 30\ntenant = 'other'\ndrain = 5\n")
    with capture_logs() as logs:
        place.tuning.reload()
    assert logs[0]["settings"] == ["tenant", "drain"]
    taken = place.tuning.take()
    assert taken is not None
    assert (taken.window, taken.tenant, taken.drain) == (30, "default", 30)


def test_a_file_changed_back_before_it_was_taken_leaves_nothing_to_take(tmp_path):
    place = Place(tmp_path, "window = 60\n")
    for text in ("window = 30\n", "window = 60\n"):
        place.write(text)
        place.tuning.reload()
    assert place.tuning.take() is None


def test_what_is_set_from_afar_goes_over_the_file_and_outlives_its_reload(tmp_path):
    place = Place(tmp_path, "window = 60\n")
    place.tuning.adopt({"window": 20.0})
    place.write("window = 40\n")
    place.tuning.reload()
    taken = place.tuning.take()
    assert taken is not None
    assert taken.window == 20


def test_what_is_not_set_from_afar_any_more_is_as_the_file_says(tmp_path):
    place = Place(tmp_path, "window = 60\n")
    place.tuning.adopt({"window": 20.0, "fps": 5})
    place.tuning.adopt({"fps": 5})
    taken = place.tuning.take()
    assert taken is not None
    assert (taken.window, taken.fps) == (60, 5)


def test_what_a_flag_or_a_variable_pins_can_not_be_set_from_afar(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAP_FPS", "3")
    place = Place(tmp_path, "window = 60\n", window=15.0)
    for name, value in (("window", 20.0), ("fps", 9.0)):
        with pytest.raises(ConfigError, match=f"{name} is pinned to"):
            place.tuning.check({name: value})
    assert place.tuning.take() is None


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("window", -1, "greater than or equal to 1"),
        ("schedule", "at night", "malformed"),
        ("threshold", "much", "number"),
        ("window", "30", "write 30.0"),
        ("evidence", True, "write 1.0"),
        ("broker", "mqtt://elsewhere", "only window, threshold, fps, schedule, evidence"),
    ],
)
def test_what_no_trap_would_take_from_afar_is_refused_and_named(tmp_path, name, value, why):
    with pytest.raises(ConfigError, match=f"{name}.*{why}"):
        Place(tmp_path, "").tuning.check({name: value})
