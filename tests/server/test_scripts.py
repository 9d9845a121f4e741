"""The scripts and texts of the pages: typed, translated, and nothing of it forgotten."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from npm import package
from trap_server.dashboard.languages import NAMES, choose, texts_of

SERVER = Path(__file__).resolve().parents[2] / "server" / "trap_server"
SCRIPTS = sorted((SERVER / "static" / "js").glob("*.js"))
TEMPLATES = sorted((SERVER / "templates").glob("*.html"))
OPTIONS = {
    "noEmit": True,
    "allowJs": True,
    "checkJs": True,
    "strict": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "target": "es2022",
    "module": "es2022",
    "moduleResolution": "bundler",
    "lib": ["es2023", "dom", "dom.iterable"],
    "types": [],
}


def test_the_scripts_pass_the_type_checker(tmp_path: Path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    compiler = package("typescript@5.9.3") / "lib" / "tsc.js"
    done = subprocess.run([node, compiler, "-p", _project(tmp_path)], capture_output=True, text=True)
    assert done.stdout == ""


def _project(folder: Path) -> Path:
    """Third-party code is installed, not checked."""
    (folder / "vendor.d.ts").write_text("declare const found: any; export default found;\n")
    paths = {"/static/vendor/*": [str(folder / "vendor.d.ts")]}
    project = {"compilerOptions": OPTIONS | {"paths": paths}, "files": [str(script) for script in SCRIPTS]}
    (folder / "tsconfig.json").write_text(json.dumps(project))
    return folder / "tsconfig.json"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_script_asks_to_be_type_checked_and_stays_small(script: Path):
    lines = script.read_text("utf-8").splitlines()
    assert lines[0] == "// @ts-check"
    assert len(lines) <= 450


def test_no_script_turns_text_into_html():
    dangerous = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    assert [script.name for script in SCRIPTS if dangerous.search(script.read_text("utf-8"))] == []


@pytest.mark.parametrize("language", NAMES)
def test_every_language_has_every_text_with_the_same_values_in_it(language: str):
    english, other = texts_of("en"), texts_of(language)
    assert other.keys() == english.keys()
    values = {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in english.items()}
    assert {key: sorted(re.findall(r"\{\w+\}", text)) for key, text in other.items()} == values
    assert [key for key, text in other.items() if not text.strip()] == []


def test_every_text_that_a_page_asks_for_is_there():
    asked = set()
    for file in (*SCRIPTS, *TEMPLATES):
        text = file.read_text("utf-8")
        asked |= set(re.findall(r"""\bt\(["']([\w. ]+)["']\s*[,)]""", text))
        asked |= set(re.findall(r"""(?:title|label|hint): "([\w]+\.[\w.]+)\"""", text))
        asked |= {f"{key}.{form}" for key in re.findall(r"""plural\("([\w.]+)\"""", text) for form in ("one", "other")}
    assert len(asked) > 200
    assert sorted(asked - texts_of("en").keys()) == []


def test_every_text_is_used_somewhere():
    everything = "".join(file.read_text("utf-8") for file in (*SCRIPTS, *TEMPLATES))
    groups = {key.rsplit(".", 1)[0] for key in texts_of("en")}
    used = {group for group in groups if re.search(rf"""["'`]{re.escape(group)}["'.`]""", everything)}
    unused = [key for key in texts_of("en") if f'"{key}"' not in everything and f"'{key}'" not in everything]
    assert [key for key in unused if key.rsplit(".", 1)[0] not in used] == []


@pytest.mark.parametrize(
    ("wish", "accepted", "language"),
    [
        (None, None, "en"),
        (None, "es-MX,es;q=0.9,en;q=0.8", "es"),
        (None, "fr, pt-BR;q=0.7, en;q=0.3", "pt"),
        (None, "en;q=0.2, es;q=0.4", "es"),
        ("pt", "es", "pt"),
        ("xx", "es", "es"),
        (None, ";;q=,q=0;=,*", "en"),
    ],
)
def test_a_reader_gets_the_language_that_they_chose_or_else_their_browser_asks_for(wish, accepted, language):
    assert choose(wish, accepted) == language
