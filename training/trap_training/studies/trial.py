"""Carry out a study: the teacher once, then every arm with every seed; what is finished is kept."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from trap_contract.dataset import DataSet
from trap_contract.errors import ConfigError, DataError, StoreError
from trap_contract.quiet import quiet_ultralytics

from trap_training.network_checks import bytes_of_views, check_networks, load_network
from trap_training.part import Part, Setting, use_threads
from trap_training.pictures.resemblance import apart_from
from trap_training.pseudo_labels import Labelling, balance
from trap_training.recipe import Network
from trap_training.running import claimed, write_data_file
from trap_training.studies.plan import TEACHER, PseudoLabels, Study
from trap_training.studies.scoring import Scores, score


@dataclass(frozen=True, slots=True)
class Trained:
    """One arm with one seed, or the teacher: its part, its scores on the test pictures and what it cost."""

    arm: str
    part: Part
    scores: Scores
    images_seen: int
    teacher_pictures: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A study in its folder."""

    study: Study
    folder: Path
    device: str
    threads: int = os.cpu_count() or 1
    online: bool = False

    def carry_out(self, *, only_finished: bool = False) -> list[Trained]:
        """Train and score what is not done yet; the teacher comes first, then arms in order, seed by seed.

        With `only_finished` nothing is trained: what other processes have finished so far is scored. Raises ConfigError
        or DataError before any training when study, data and checkpoints don't fit.
        """
        data = DataSet.load(self.study.data)
        self._check(data)
        if only_finished:
            return list(self._trained(data, only_finished=True))
        with claimed(self.folder, self.study.model_dump_json(indent=1)):
            write_data_file(self._data_file("labelled"), data)
            return list(self._trained(data, only_finished=False))

    def _trained(self, data: DataSet, *, only_finished: bool) -> Iterator[Trained]:
        if only_finished and self.study.teacher.epochs and not (self.folder / TEACHER / "finished").exists():
            raise ConfigError(f"{self.folder}: its teacher is not trained yet: there is nothing to report")
        teacher = self._teacher(data)
        yield teacher
        for seed in self.study.seeds:
            for name in self.study.arms:
                if not only_finished or (self._place(name, seed) / "finished").exists():
                    yield self._train(name, seed, data, teacher.part)

    def _check(self, data: DataSet) -> None:
        """Everything that can be wrong is found before hours are spent."""
        quiet_ultralytics(self.folder / "ultralytics", online=self.online)
        use_threads(self.threads)
        study = self.study
        for split in ("train", "val", study.test):
            data.pictures(split)
        for arm in study.arms.values():
            networks = [study.teacher]
            if arm.model is not None:
                networks.append(Network(model=arm.model, epochs=arm.epochs))
            teaching = arm.distillation if arm.model is not None else None
            check_networks(networks, teaching, data, study.imgsz, self.device, online=self.online)
            if arm.pseudo_labels is not None:
                data.pictures(arm.pseudo_labels.pictures)
        self._check_room(data)

    def _check_room(self, data: DataSet) -> None:
        """Stored views are the largest thing a study writes."""
        pictures = len(data.pictures("train"))
        network = load_network(self.study.teacher.model)
        needed = 0
        for arm in self.study.arms.values():
            if arm.stored_views and not (self.folder / "views").exists():
                count = arm.epochs * pictures * (1 if arm.pseudo_labels is None else 2)
                terms = arm.distillation.terms if arm.distillation else None
                needed += bytes_of_views(count, self.study.imgsz, network, terms, len(data.names))
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise StoreError(
                f"{self.folder}: the study's stored views need {needed / 1e9:.1f} GB and {free / 1e9:.1f} are free: "
                "free some, give another --runs, or set stored_views: false"
            )

    def _teacher(self, data: DataSet) -> Trained:
        network = self.study.teacher
        setting = self._setting("labelled", {})
        part = Part(self.folder / TEACHER, network.model, network.epochs, 0, setting)
        weights = Path(network.model) if network.epochs == 0 else part.train()
        part = Part(weights.parents[1], network.model, network.epochs, 0, setting)
        return self._scored(TEACHER, part, network.epochs * len(data.pictures("train")), 0)

    def _train(self, name: str, seed: int, data: DataSet, teacher: Part) -> Trained:
        from trap_training.lessons import lesson_of, stored_views  # imports Ultralytics, which must be quiet by now

        arm = self.study.arms[name]
        content = "labelled" if arm.pseudo_labels is None else self._pseudo_labelled(arm.pseudo_labels, data, teacher)
        setting = self._setting(content, {"lr0": arm.lr0, "warmup_epochs": arm.warmup_epochs})
        pictures = DataSet.load(setting.data_file)
        seen_before = self.study.depth(name)  # training on gets views of its own
        stored = stored_views(self.folder / "views", pictures, setting, arm.epochs, seed=seen_before)
        views = stored if arm.stored_views else None
        lesson = lesson_of(arm.distillation, views, teacher.best)
        start = None if arm.start is None else self._place(arm.start, seed) / "weights" / "best.pt"
        part = Part(
            self._place(name, seed), arm.model or str(start), arm.epochs, seed, setting, lesson,
            teacher.best if arm.distillation else None, start,
        )  # fmt: skip
        part.train()
        seen = arm.epochs * len(pictures.pictures("train"))
        return self._scored(name, part, seen, seen if arm.distillation else 0)

    def _place(self, arm: str, seed: int) -> Path:
        return self.folder / arm / f"seed{seed}"

    def _data_file(self, content: str) -> Path:
        return (self.folder / f"{content}.yaml").resolve()

    def _setting(self, content: str, own: dict[str, float | None]) -> Setting:
        """What all arms share, but for an arm's own rates."""
        given = {name: value for name, value in own.items() if value is not None}
        optimisation = self.study.optimisation.model_copy(update=given)
        return Setting(self._data_file(content), self.study.imgsz, optimisation, self.study.augmentation, self.device)

    def _pseudo_labelled(self, wanted: PseudoLabels, data: DataSet, teacher: Part) -> str:
        """The labelled pictures and those the teacher has labelled, as a data set of its own; returns its name.

        A picture that shows a scene of val or test is left out: one photograph can be in a collection twice.
        """
        name = f"pseudo_{hashlib.sha256(wanted.model_dump_json().encode()).hexdigest()[:8]}"
        folder = self.folder / name
        if not (folder / "balance.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            judging = data.pictures("val") + data.pictures(self.study.test)
            pictures = apart_from(data.pictures(wanted.pictures), judging)
            labelling = Labelling(teacher.best, pictures, data.names, self.study.imgsz, wanted.confidence)
            kept = list(track(labelling.write(folder), "labelling", len(pictures), console=Console(stderr=True)))
            (folder / "balance.json").write_text(json.dumps(balance(kept, data.names), indent=1))
        labelled = data.pictures("train")
        drawn = sorted((folder / "images" / "train").iterdir(), key=_draw)  # neighbours are of one photograph
        found = drawn[: round(wanted.share * len(labelled))]
        if not found:
            raise DataError(f"{folder}: no pseudo-labelled picture is left: lower the confidence")
        (folder / "train.txt").write_text("".join(f"{picture.resolve()}\n" for picture in found))
        places = [] if wanted.instead else [str(place) for place in data.splits["train"]]
        write_data_file(self._data_file(name), data, train=[*places, str((folder / "train.txt").resolve())])
        return name

    def _scored(self, name: str, part: Part, seen: int, asked: int) -> Trained:
        file = self.folder / "scores" / f"{name}_seed{part.seed}.npz"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            study, labelled = self.study, self._data_file("labelled")
            scratch = self.folder / "scores" / "scratch"
            data = DataSet.load(labelled)
            scores = score(part.best, labelled, study.test, data.names, study.imgsz, folder=scratch, device=self.device)
            scores.save(file)
        return Trained(name, part, Scores.load(file), seen, asked)


def _draw(picture: Path) -> bytes:
    return hashlib.sha256(picture.name.encode()).digest()
