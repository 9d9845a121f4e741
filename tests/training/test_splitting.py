"""Splits: a group is on one side only, shares are kept, and nothing is lost on the way."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from trap_contract.dataset import UNLABELLED, DataSet, label_file
from trap_contract.errors import ConfigError, DataError
from trap_training.pictures.splitting import assign_splits, draw_subset, write_splits

TRAP = r"^(trap\d+)_"
pictures = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), min_size=1, max_size=60, unique=True).map(
    lambda pairs: [Path(f"trap{trap}_{number}.png") for trap, number in pairs]
)
ratios = st.tuples(*[st.integers(0, 100)] * 3).filter(any)
seeds = st.integers(0, 1000)


@given(pictures, ratios, seeds)
def test_a_trap_is_never_on_two_sides_and_no_picture_is_lost(found: list[Path], shares: tuple, seed: int) -> None:
    splits = assign_splits(found, shares, TRAP, seed)
    assert sorted(picture for side in splits.values() for picture in side) == sorted(found)
    traps = [{picture.name.split("_")[0] for picture in side} for side in splits.values()]
    assert sum(map(len, traps)) == len(set.union(*traps))


@given(pictures, ratios, seeds)
def test_a_split_without_a_share_gets_nothing(found: list[Path], shares: tuple, seed: int) -> None:
    splits = assign_splits(found, shares, TRAP, seed)
    assert all(share > 0 for split, share in zip(("train", "val", "test"), shares, strict=True) if split in splits)


@given(pictures, ratios, seeds)
def test_single_pictures_keep_the_shares_to_one_picture(found: list[Path], shares: tuple, seed: int) -> None:
    assume(len(found) > 3)
    splits = assign_splits(found, shares, None, seed)
    for split, share in zip(("train", "val", "test"), shares, strict=True):
        assert abs(len(splits.get(split, [])) - len(found) * share / sum(shares)) < 1.5


@given(pictures, seeds, st.randoms(use_true_random=False))
def test_the_order_of_the_pictures_does_not_matter(found: list[Path], seed: int, random: object) -> None:
    shuffled = sorted(found, key=lambda _: random.random())
    assert assign_splits(shuffled, (60, 20, 20), TRAP, seed) == assign_splits(found, (60, 20, 20), TRAP, seed)


def test_another_seed_makes_other_splits() -> None:
    found = [Path(f"{number}.png") for number in range(50)]
    assert assign_splits(found, (60, 20, 20), None, 0) != assign_splits(found, (60, 20, 20), None, 1)


@given(pictures, ratios, seeds)
def test_no_split_is_over_its_share_by_a_whole_group(found: list[Path], shares: tuple, seed: int) -> None:
    largest = max(Counter(picture.name.split("_")[0] for picture in found).values())
    splits = assign_splits(found, shares, TRAP, seed)
    for split, share in zip(("train", "val", "test"), shares, strict=True):
        assert len(splits.get(split, [])) - len(found) * share / sum(shares) < largest


def test_a_group_may_be_a_whole_match_and_what_does_not_match_stands_alone() -> None:
    nights = [Path(f"night{night}_{number}.png") for night in "ABCD" for number in range(3)]
    loose = [Path(f"loose{number}.png") for number in range(12)]
    splits = assign_splits(nights + loose, (50, 50, 0), r"night[A-Z]", 0)
    for side in splits.values():
        assert set(Counter(picture.name[:6] for picture in side if picture in nights).values()) <= {3}
    assert all(set(side) & set(loose) for side in splits.values())


@pytest.mark.parametrize("shares", [(0, 0, 0), (-1, 50, 51)])
def test_ratios_that_are_no_shares_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="must be three shares"):
        assign_splits([Path("a.png")], shares, None, 0)


def test_a_group_that_is_no_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--group '\(' is not a regular expression"):
        assign_splits([Path("a.png")], (60, 20, 20), "(", 0)


def test_pictures_and_labels_are_copied_and_described(discs: Path, tmp_path: Path) -> None:
    data = DataSet.load(discs)
    splits = assign_splits(data.pictures("train"), (50, 25, 25), None, 0)
    written = list(write_splits(splits, data.names, tmp_path))
    again = DataSet.load(tmp_path / "data.yaml")
    assert again.names == data.names
    assert sorted(written) == sorted(
        tmp_path / p.relative_to(tmp_path.resolve()) for s in again.splits for p in again.pictures(s)
    )
    for split, found in splits.items():
        copied = {picture.name: picture.read_bytes() for picture in again.pictures(split)}
        assert copied == {picture.name: picture.read_bytes() for picture in found}
        labels = {file.name for file in (tmp_path / "labels" / split).iterdir()}
        assert labels == {picture.with_suffix(".txt").name for picture in found}


def test_two_pictures_of_one_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    splits = {"train": [Path("day1/a.png"), Path("day2/a.jpg")]}
    with pytest.raises(DataError, match=r"day2/a\.jpg: has the same name as day1/a\.png"):
        list(write_splits(splits, ("a",), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """Six traps with five train pictures each, and two val pictures of a seventh."""
    folder = tmp_path_factory.mktemp("traps")
    names = {"train": [f"trap{trap}_{number}.png" for trap in range(6) for number in range(5)]}
    for split, found in {**names, "val": ["trap9_0.png", "trap9_1.png"]}.items():
        for name in found:
            picture = folder / "images" / split / name
            for file, content in ((picture, name), (label_file(picture), "0 0.5 0.5 0.1 0.1\n")):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    return DataSet.load(folder / "data.yaml")


def traps_of(pictures: list[Path]) -> set[str]:
    return {picture.name.split("_")[0] for picture in pictures}


@given(st.integers(1, 15), st.integers(1, 10), seeds)
def test_a_subset_has_at_least_what_was_asked_by_whole_traps_and_val_becomes_test(
    traps: DataSet, train: int, val: int, seed: int
) -> None:
    splits = draw_subset(traps, train, val, TRAP, seed)
    assert train <= len(splits["train"]) < train + 5
    assert val <= len(splits["val"]) < val + 5
    assert splits.pop("test") == traps.pictures("val")
    assert sorted(picture for side in splits.values() for picture in side) == traps.pictures("train")
    assert sum(len(traps_of(side)) for side in splits.values()) == 6


def test_another_seed_draws_another_subset(traps: DataSet) -> None:
    drawn = [draw_subset(traps, 5, 5, TRAP, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(("train", "val"), [(26, 5), (5, 26), (31, 1)])
def test_a_subset_of_more_than_there_is_is_refused(traps: DataSet, train: int, val: int) -> None:
    with pytest.raises(DataError, match=f"30 train pictures are too few for {train} to train and {val} to choose by"):
        draw_subset(traps, train, val, TRAP, 0)


def test_the_labels_of_unlabelled_pictures_stay_behind(traps: DataSet, tmp_path: Path) -> None:
    for _ in write_splits(draw_subset(traps, 5, 5, TRAP, 0), traps.names, tmp_path):
        pass
    again = DataSet.load(tmp_path / "data.yaml")
    assert {split: len(again.pictures(split)) for split in again.splits} == {
        "train": 5,
        "val": 5,
        "test": 2,
        UNLABELLED: 20,
    }
    assert sorted(place.name for place in (tmp_path / "labels").iterdir()) == ["test", "train", "val"]
