"""Ultralytics' validator, remembering what it would forget: the statistics and the name of every picture."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from ultralytics.models.yolo.detect import DetectionValidator

from trap_training.studies.scoring import CONFUSION_CONFIDENCE, CONFUSION_IOU


class RecordingValidator(DetectionValidator):  # type: ignore[misc]
    """A detection validator that keeps its statistics and always fills its confusion matrix."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.pictures: list[str] = []
        self.kept: dict[str, list[NDArray[Any]]] = {}

    def update_metrics(self, preds: list[dict[str, Any]], batch: dict[str, Any]) -> None:
        """As Ultralytics does, then the pictures' names and the confusion of classes."""
        super().update_metrics(preds, batch)
        for place, found in enumerate(preds):
            truth = self._prepare_batch(place, batch)
            self.pictures.append(Path(truth["im_file"]).name)
            self.confusion_matrix.process_batch(found, truth, conf=CONFUSION_CONFIDENCE, iou_thres=CONFUSION_IOU)

    def get_stats(self) -> dict[str, Any]:
        """As Ultralytics does, which clears what is kept here first."""
        self.kept = {name: list(values) for name, values in self.metrics.stats.items()}
        return dict(super().get_stats())
