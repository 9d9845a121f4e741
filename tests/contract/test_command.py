import errno

import pytest
from trap_contract.command import run_command
from trap_contract.errors import BundleError


def fail_with(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BundleError("x.tflite: no such model"), "error: x.tflite: no such model\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/x.onnx"),
            "error: out/x.onnx: No space left on device\n",
        ),
        (OSError("the pipe broke"), "error: the pipe broke\n"),
    ],
)
def test_a_foreseen_error_is_one_line_and_status_one(error: Exception, line: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: fail_with(error))
    assert ended.value.code == 1
    assert capsys.readouterr().err == line


def test_a_mistake_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: fail_with(ZeroDivisionError()))
