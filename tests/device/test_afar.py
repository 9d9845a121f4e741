"""Settings from afar: followed as a whole or not at all, reported with their version, and remembered."""

import pytest
from structlog.testing import capture_logs
from trap_agent.afar import FILE_NAME, SettingsAfar, read_afar
from trap_agent.session import Heard
from trap_agent.tuning import begin_tuning
from trap_contract.messages import WantedSettings
from trap_contract.topics import SETTINGS

from device.test_tuning import Place


class Site:
    """A trap that hears what it shall be set to."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.place = Place(folder, "window = 60\n")
        self.start()

    def start(self) -> None:
        self.tuning = begin_tuning(self.place.load({}), self.place.load, read_afar(self.folder).settings)
        self.afar = SettingsAfar("t-1", self.folder, self.tuning)

    def hear(self, version: int, trap: str = "t-1", **settings: object) -> bool:
        wanted = WantedSettings(trap=trap, version=version, settings=settings)
        return self.afar.hear(Heard(SETTINGS, wanted.model_dump_json().encode(), is_retained=True))

    def report(self) -> tuple[object, object]:
        told = self.afar.report()
        return told["settings_version"], told["settings_refused"]


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


def test_a_trap_that_never_heard_anything_reports_no_version(site):
    assert site.report() == (None, "")


def test_a_document_is_in_force_from_the_next_window_on_reported_and_remembered_through_restarts(site):
    assert site.hear(3, window=30.0, schedule="18:00-06:00 UTC")
    assert site.report() == (3, "")
    taken = site.tuning.take()
    assert (taken.window, taken.schedule) == (30, "18:00-06:00 UTC")
    site.start()
    assert site.report() == (3, "")
    assert (site.tuning.current.window, site.tuning.current.schedule) == (30, "18:00-06:00 UTC")


def test_what_the_next_document_does_not_name_is_taken_back(site):
    site.hear(1, window=30.0, fps=5)
    site.hear(2, fps=5)
    taken = site.tuning.take()
    assert (taken.window, taken.fps) == (60, 5)


def test_one_wrong_value_refuses_the_whole_document_and_what_was_followed_stays(site):
    site.hear(1, window=30.0)
    assert site.hear(2, window=20.0, threshold=7.0)
    version, refused = site.report()
    assert version == 2
    assert "threshold" in refused
    assert site.tuning.take().window == 30
    site.start()
    assert site.report() == (version, refused)
    assert site.tuning.current.window == 30


def test_the_same_document_again_changes_and_reports_nothing(site):
    assert site.hear(1, window=30.0)
    site.tuning.take()
    assert not site.hear(1, window=30.0)
    assert site.tuning.take() is None
    assert site.hear(2, threshold=7.0)
    assert not site.hear(2, threshold=7.0)


def test_a_refused_document_is_followed_once_nothing_is_in_its_way_any_more(site, monkeypatch):
    monkeypatch.setenv("TRAP_WINDOW", "15")
    assert site.hear(1, window=30.0)
    assert "pinned to 15" in site.report()[1]
    monkeypatch.delenv("TRAP_WINDOW")
    assert site.hear(1, window=30.0)
    assert site.report() == (1, "")


def test_a_collector_that_counts_anew_is_followed_too(site):
    site.hear(7, window=30.0)
    site.hear(1, window=20.0)
    assert site.report() == (1, "")
    assert site.tuning.take().window == 20


def test_where_it_can_not_be_remembered_it_is_refused_and_nothing_changes(site):
    (site.folder / FILE_NAME).with_suffix(".part").mkdir()
    assert site.hear(1, window=30.0)
    assert "can't be written" in site.report()[1]
    assert site.tuning.take() is None


def test_settings_that_are_no_longer_valid_at_the_start_are_said_to_be_out_of_force(site, monkeypatch):
    site.hear(1, window=30.0)
    monkeypatch.setattr(site.place, "file", site.folder / "gone.toml")
    site.place.write("window = 60\n")
    (site.folder / FILE_NAME).write_text('{"version": 1, "settings": {"window": -3.0}}')
    site.start()
    assert site.tuning.current.window == 60
    assert "no longer valid" in site.report()[1]


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{}", b'{"trap": "t-1", "version": 0, "settings": {}}'])
def test_what_is_no_document_is_ignored_and_logged(site, payload):
    with capture_logs() as logs:
        assert not site.afar.hear(Heard(SETTINGS, payload, is_retained=True))
    assert logs[0]["event"] == "settings from afar ignored"
    assert site.report() == (None, "")


def test_a_document_for_another_trap_is_ignored(site):
    assert not site.hear(1, trap="t-2", window=30.0)
    assert site.report() == (None, "")


def test_a_setting_that_can_no_longer_be_set_from_afar_is_forgotten(site):
    (site.folder / FILE_NAME).write_text('{"version": 2, "settings": {"window": 9.0, "lamp": true}}')
    assert read_afar(site.folder).settings == {"window": 9.0}
