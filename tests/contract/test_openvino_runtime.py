"""An OpenVINO model in a process that takes signals."""

import os
import subprocess
import sys
from pathlib import Path

from contract.graphs import write_openvino

TWO_MODELS = """
import os, signal, sys
from pathlib import Path
from trap_contract.runtimes import open_runtime
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append("signal"))
first, second = (open_runtime(Path(sys.argv[1]), 1) for _ in range(2))
del first
del second
os.kill(os.getpid(), signal.SIGUSR1)
print(*seen)
"""


def test_a_process_lives_through_a_signal_after_two_models_died_in_the_order_they_came(tmp_path: Path) -> None:
    model = write_openvino(tmp_path / "m_openvino")
    done = subprocess.run(
        [sys.executable, "-c", TWO_MODELS, str(model)], env=os.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "signal\n"), done.stderr
