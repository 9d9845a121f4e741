"""Study files: what is wrong is named before anything is trained."""

from pathlib import Path

import pytest
from trap_contract.errors import ConfigError
from trap_training.studies.plan import Study

ROOT = Path(__file__).parents[2]
PLAIN = """\
name: tiny
question: does it help?
data: data.yaml
teacher: {model: s.yaml, epochs: 1}
arms:
  normal: {model: n.yaml, epochs: 2}
  long: {start: normal, epochs: 3}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("  odd: {epochs: 1}\n", r"arms\.odd: .*give model, start, or both"),
        ("  odd: {model: n.yaml, start: later, epochs: 1}\n", "odd starts from 'later'"),
        ("  odd: {start: later, epochs: 1}\n  later: {model: n.yaml, epochs: 1}\n", "odd starts from 'later'"),
        ("  odd: {start: normal, epochs: 0}\n", r"arms\.odd\.epochs"),
        ("  odd: {model: n.yaml, epochs: 1, distillation: {terms: [{term: magic}]}}\n", r"distillation\.terms\.0"),
        ("  odd: {model: n.yaml, epochs: 1, distillation: {terms: []}}\n", r"arms\.odd\.distillation\.terms"),
        ("  odd: {model: n.yaml, epochs: 1, distillation: {scheme: mutual}}\n", "compares offline distillation"),
        ("  odd: {model: n.yaml, epochs: 1, pseudo_labels: {confidence: 1.5}}\n", r"pseudo_labels\.confidence"),
        ("comparisons: [{a: normal, b: magic}]\n", "comparisons name magic, which is no arm"),
        ("seeds: []\n", "seeds"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        Study.load(write(tmp_path, PLAIN + change))


@pytest.mark.parametrize(
    ("term", "what"),
    [
        ("{term: localisation, temperature: 0}", "temperature"),
        ("{term: softened, alpha: 1.5}", "alpha"),
        ("{term: response, weight: -1}", "weight"),
        ("{term: pkd, levels: [2]}", "levels"),
        ("{term: pkd, levels: [3, 3]}", "named twice"),
        ("{term: response}, {term: response}", "given twice"),
    ],
)
def test_a_term_that_means_nothing_is_refused(tmp_path: Path, term: str, what: str) -> None:
    arm = f"  odd: {{model: n.yaml, epochs: 1, distillation: {{terms: [{term}]}}}}\n"
    with pytest.raises(ConfigError, match=what):
        Study.load(write(tmp_path, PLAIN + arm))


def test_training_on_counts_the_arms_behind_it(tmp_path: Path) -> None:
    study = Study.load(write(tmp_path, PLAIN + "  longer: {start: long, epochs: 1}\n"))
    assert [study.depth(name) for name in study.arms] == [0, 1, 2]


def test_our_own_networks_are_found_by_name(tmp_path: Path) -> None:
    study = Study.load(write(tmp_path, PLAIN + "  relu: {model: yolov8n_relu.yaml, epochs: 1}\n"))
    assert Path(str(study.arms["relu"].model)).is_file()
    assert study.arms["normal"].model == "n.yaml"


@pytest.mark.parametrize("file", sorted((ROOT / "training" / "studies").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_in_the_house_is_in_order(file: Path) -> None:
    study = Study.load(file)
    assert study.name == file.stem
    assert study.comparisons
