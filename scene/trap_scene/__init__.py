"""Pictures of mosquito-trap boards, drawn from anatomy, with exact truth."""

from trap_scene.picture import CLASSES, Labelled, Picture, render_board, render_picture
from trap_scene.video import Video

__all__ = ["CLASSES", "Labelled", "Picture", "Video", "render_board", "render_picture"]
