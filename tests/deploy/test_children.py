import signal
import sys
import time
from pathlib import Path

import pytest
from trap_deploy.children import LEAST_LIFE_S, Child, ended_how, wait_until

LATER = LEAST_LIFE_S + 1


def sleeper(tmp_path: Path, code: str = "import time; time.sleep(600)") -> Child:
    return Child("sleeper", [sys.executable, "-c", code], tmp_path / "sleeper.log")


def test_a_killed_program_is_started_again_and_the_event_says_how_it_ended(tmp_path: Path):
    child = sleeper(tmp_path)
    child.start(now_s=0)
    child.process.kill()
    child.process.wait()
    event = child.revive(now_s=LATER)
    assert event == "sleeper was killed by SIGKILL: started again"
    assert child.restarts == 1
    assert not child.has_ended()
    child.stop(5)


def test_a_program_that_dies_at_once_is_not_started_in_a_loop(tmp_path: Path):
    child = sleeper(tmp_path, "raise SystemExit(3)")
    child.start(now_s=0)
    assert wait_until(child.has_ended, 10)
    assert child.revive(now_s=LEAST_LIFE_S / 2) is None
    assert child.revive(now_s=LATER) == "sleeper ended with status 3: started again"
    child.stop(5)


def test_stop_kills_what_does_not_listen(tmp_path: Path):
    ready = tmp_path / "ready"
    deaf = f"import signal, time, pathlib; signal.signal(15, 1); pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    child = sleeper(tmp_path, deaf.replace("signal(15, 1)", "signal(15, signal.SIG_IGN)"))
    child.start(now_s=0)
    assert wait_until(ready.exists, 10)
    child.stop(0.2)
    assert child.process.returncode == -signal.SIGKILL


def test_the_last_line_of_the_log_is_the_reason_to_show(tmp_path: Path):
    child = sleeper(tmp_path, "print('first'); print('the reason')")
    child.start(now_s=0)
    assert wait_until(child.has_ended, 10)
    assert child.last_line() == "the reason"


@pytest.mark.parametrize(("status", "words"), [(3, "ended with status 3"), (-9, "was killed by SIGKILL")])
def test_an_exit_status_is_told_in_words(status: int, words: str):
    assert ended_how(status) == words


def test_waiting_gives_up_at_its_limit():
    began = time.monotonic()
    assert not wait_until(lambda: False, 0.05, 0.01)
    assert time.monotonic() - began >= 0.05
