"""The manifest: what a model bundle says about itself."""

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trap_contract.errors import BundleError

SCHEMA_VERSION = 1

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Quantisation(_Model):
    """real value = (stored value - zero_point) * scale."""

    scale: Annotated[float, Field(gt=0)]
    zero_point: int


class InputSpec(_Model):
    """The one input tensor: an RGB picture, letterboxed, values 0..1 before quantisation."""

    name: str
    width: Annotated[int, Field(ge=32)]
    height: Annotated[int, Field(ge=32)]
    layout: Literal["NHWC", "NCHW"]
    dtype: Literal["float32", "float16", "int8", "uint8"]
    quantisation: Quantisation | None = None
    letterbox_fill: Annotated[int, Field(ge=0, le=255)] = 114

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the tensor, batch of one."""
        sides = (self.height, self.width)
        return (1, *sides, 3) if self.layout == "NHWC" else (1, 3, *sides)


class OutputSpec(_Model):
    """One output tensor: `box` bins or `cls` class logits of one stride, or a whole `decoded` head."""

    name: str
    role: Literal["box", "cls", "decoded"]
    stride: int | None = None
    quantisation: Quantisation | None = None


class HeadSpec(_Model):
    """How the outputs become boxes.

    `split`: per stride a box and a class tensor, raw; `reg_max` DFL logits a side, or, where it is 1, the distance
    itself (YOLO26). `decoded`: one tensor (1, 4 + classes, anchors) of centre boxes
    and scores, in input px or relative to the input.
    """

    kind: Literal["split", "decoded"]
    outputs: Annotated[tuple[OutputSpec, ...], Field(min_length=1)]
    layout: Literal["NHWC", "NCHW"] = "NCHW"
    reg_max: Annotated[int, Field(ge=1)] = 16
    box_unit: Literal["pixel", "relative"] = "pixel"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "decoded":
            if [output.role for output in self.outputs] != ["decoded"]:
                raise ValueError("a decoded head has exactly one output, with role 'decoded'")
        elif any(self.outputs_at(stride) is None for stride in self.strides):
            raise ValueError("a split head needs one box and one cls output for every stride")
        return self

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Strides of a split head, ascending."""
        return tuple(sorted({output.stride or 0 for output in self.outputs}))

    @cached_property
    def places(self) -> tuple[tuple[int, int, int], ...]:
        """Of a split head, every stride with the positions of its box and cls outputs."""
        return tuple((stride, *(self.outputs_at(stride) or (0, 0))) for stride in self.strides)

    def outputs_at(self, stride: int) -> tuple[int, int] | None:
        """Positions of the box and the cls output of one stride, or None unless there is exactly one of each."""
        at = [(output.role, place) for place, output in enumerate(self.outputs) if output.stride == stride]
        places = dict(at)
        return (places["box"], places["cls"]) if len(at) == 2 and set(places) == {"box", "cls"} else None


class ClassMetrics(_Model):
    """Average precision of one class."""

    map50: Fraction
    map50_95: Fraction


class Metrics(_Model):
    """Measured on validation pictures; a class without an instance is absent from `classes`."""

    map50: Fraction
    map50_95: Fraction
    classes: dict[str, ClassMetrics]
    pictures: int
    confusion: tuple[tuple[int, ...], ...] = ()
    """Rows: true class, then background. Columns: predicted class, then background. At the bundle's threshold."""


class Provenance(_Model):
    """Where the weights come from."""

    dataset: str = ""
    dataset_digest: Digest | None = None
    calibration_digest: Digest | None = None
    quantisation: str = ""
    """How ranges were found, how finely weights are scaled, and what stays float."""
    teacher: str = ""
    recipe: dict[str, str | int | float | bool | None] = {}
    seed: int | None = None
    tools: dict[str, str] = {}


class GoldenBox(_Model):
    """What was found in a golden picture: class index, score, and x0, y0, x1, y1 in the picture's px."""

    name: Annotated[int, Field(ge=0)]
    score: Fraction
    box: tuple[float, float, float, float]


class Golden(_Model):
    """A picture as a JPEG in base64, and what this very file found in it when it was built."""

    jpeg: Annotated[str, Field(pattern="^[A-Za-z0-9+/]+=*$")]
    found: tuple[GoldenBox, ...]


class Manifest(_Model):
    """What travels inside every bundle of ours; a stock Ultralytics export is given one when it is opened."""

    kind: Literal["zancudo.bundle"] = "zancudo.bundle"
    schema_version: Literal[1] = 1
    id: Annotated[str, Field(min_length=1, max_length=128)]
    format: Literal["tflite", "onnx", "openvino"]
    precision: Literal["float32", "float16", "int8"]
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    input: InputSpec
    head: HeadSpec
    threshold: Fraction
    iou: Fraction = 0.5
    provenance: Provenance = Provenance()
    metrics_float: Metrics | None = None
    metrics: Metrics | None = None
    golden: tuple[Golden, ...] = ()
    licence: str = "AGPL-3.0-or-later"
    stock: bool = False

    def to_json(self) -> str:
        """The embedded text; the same manifest always gives the same bytes."""
        return self.model_dump_json(indent=1)


def parse_manifest(text: str | bytes, place: str) -> Manifest:
    """Read the embedded text.

    Raises BundleError for another schema version or anything that is not a manifest; `place` names the file.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        faults = {str(fault["loc"][0]) if fault["loc"] else "": fault for fault in error.errors(include_url=False)}
        if "schema_version" in faults:
            found = faults["schema_version"]["input"]
            raise BundleError(
                f"{place}: bundle schema version {found!r}, but this program reads {SCHEMA_VERSION}: "
                "export the model again, or install the zancudo version that made it"
            ) from error
        name, fault = next(iter(faults.items()))
        raise BundleError(f"{place}: manifest is wrong at {name or 'its start'}: {fault['msg']}") from error
