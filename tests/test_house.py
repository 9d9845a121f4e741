"""The house rules that a machine can check."""

import ast
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "contract": {"trap_contract"},
    "scene": {"trap_scene"},
    "training": {"trap_training", "trap_contract", "trap_scene"},
    "export": {"trap_export", "trap_contract"},
    "device": {"trap_agent", "trap_contract", "trap_scene"},
    "server": {"trap_server", "trap_contract"},
    "deploy": {"trap_deploy", "trap_contract"},
}
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str):
    found = set()
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0] for name in names if name.startswith("trap_")}
    assert found <= ROOMS[room]


def test_no_function_is_longer_than_45_lines_and_nine_in_ten_are_within_35():
    sizes = {f"{path.name}:{node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in functions()}
    assert {name: size for name, size in sizes.items() if size > 45} == {}
    assert statistics.quantiles(sizes.values(), n=10)[-1] <= 35
    assert statistics.median(sizes.values()) <= 10


def test_no_module_is_longer_than_450_lines():
    assert {path.name: n for path in SOURCES if (n := len(path.read_text().splitlines())) > 450} == {}


def test_every_function_says_what_it_returns():
    assert [f"{path.name}:{node.name}" for path, node in functions() if node.returns is None] == []


def test_no_file_names_a_machine_path_or_a_package_registry():
    forbidden = re.compile(r"/(work|root)/|files\.pythonhosted|registry\.npmjs|pypi\.org/simple|deb\.debian\.org")
    texts = [path for path in tracked_files() if path.suffix not in {".png", ".tflite", ".onnx", ".bin", ".jpg"}]
    assert [
        str(path) for path in texts if path.name != Path(__file__).name and forbidden.search(path.read_text())
    ] == []


def test_make_alone_lists_every_target():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    assert all(f"make {target} " in listed for target in targets)


def test_every_relative_link_in_a_document_leads_somewhere():
    documents = [path for path in tracked_files() if path.suffix == ".md"]
    broken = [
        f"{path.relative_to(ROOT)} -> {link}"
        for path in documents
        for link in re.findall(r"\]\(([^)#\s]+)", path.read_text())
        if "://" not in link and not (path.parent / link).exists()
    ]
    assert broken == []
