"""Distillation terms, one class each; a recipe composes them.

response     sigmoid class logits, weighted by disagreement (BCKD)
softened     softmax with temperature on positive anchors (Hinton)
localisation distance bins of box sides (LD)
boxes        boxes where a head has no bins, and wherever teacher and student disagree (BCKD)
hint         mean squared error of neck maps (FitNets)
cwd          channel-wise distributions over a map (CWD)
pkd          Pearson correlation of neck maps (PKD)
native       Ultralytics' own score-weighted L2 on projected neck maps
batch_relation    similarities between the pictures of a batch (SPKD)
position_relation similarities between the positions of a map
"""

from typing import Annotated

from pydantic import Field

from trap_training.terms.feature import ChannelWise, DeepToShallow, Hint, Native, Pearson
from trap_training.terms.localisation import Boxes, Localisation
from trap_training.terms.relation import BatchRelation, PositionRelation
from trap_training.terms.response import Response, Softened
from trap_training.terms.term import Schedule, Term

__all__ = ["AnyTerm", "Schedule", "Term"]

AnyTerm = Annotated[
    Response
    | Softened
    | Localisation
    | Boxes
    | Hint
    | ChannelWise
    | Pearson
    | DeepToShallow
    | Native
    | BatchRelation
    | PositionRelation,
    Field(discriminator="term"),
]
