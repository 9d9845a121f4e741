"""Keeps what people should see: crops of each window if there is a budget for them, and a snapshot when asked."""

import base64
import secrets

import numpy as np
from trap_contract.detections import Detections
from trap_contract.errors import SourceError, StoreError
from trap_contract.logs import log
from trap_contract.messages import Evidence, Window, WindowKey

from trap_agent.evidence.box import EvidenceBox
from trap_agent.evidence.budget import Budget
from trap_agent.evidence.jpegs import CROP_PX, SNAPSHOT_PX, encoded
from trap_agent.evidence.picking import Pick, Picker, Reason
from trap_agent.settings import AgentSettings
from trap_agent.sinks import Sink
from trap_agent.sources import Frame
from trap_agent.windows import Draft, WindowPlan


class Witness:
    """Looks at what the agent looks at. A picture that can't be kept is lost, and that is all."""

    def __init__(self, settings: AgentSettings, plan: WindowPlan, box: EvidenceBox, rng: np.random.Generator) -> None:
        self.box = box
        self._budget = Budget(settings.state_dir)
        self._picker = Picker(rng)
        self._last: Frame | None = None
        self._told_trouble = False
        self.follow(settings, plan)

    def follow(self, settings: AgentSettings, plan: WindowPlan) -> None:
        """Go by these from now on."""
        self._trap, self._a_day = settings.trap, settings.evidence * 1e6
        self._classes, self._model = plan.classes, plan.model

    def look(self, frame: Frame, found: Detections) -> None:
        """Consider an analysed frame."""
        self._last = frame
        if self._a_day:
            self._picker.offer(frame, found)

    def stored(self, window: Window) -> None:
        """A window was stored: keep what it was made of."""
        if not self._a_day:
            return
        try:
            for reason, pick in self._picker.close(window):
                self._keep(self._crop(reason, pick, window))
        except StoreError as error:
            if not self._told_trouble:
                log.warning("pictures are not kept", error=str(error))
            self._told_trouble = True
        else:
            self._told_trouble = False

    def snapshot(self, name: str) -> str:
        """Keep the frame that was analysed last, under this id; what it shows, in words.

        Raises SourceError when there is none, StoreError when it can't be kept.
        """
        frame = self._last
        if frame is None or frame.pixels is None:
            raise SourceError("no frame has been analysed since the agent started: try again in a minute")
        height, width = frame.pixels.shape[:2]
        jpeg = encoded(frame.pixels, SNAPSHOT_PX)
        self.box.put(
            Evidence(
                trap=self._trap,
                id=name,
                kind="snapshot",
                reason="command",
                wall_ms=frame.at.wall_ms,
                clock=frame.at.clock(),
                model=self._model,
                frame_px=(width, height),
                area=(0, 0, width, height),
                jpeg=base64.b64encode(jpeg).decode(),
            )
        )
        return f"the picture of {width}x{height} px comes as evidence {name}, {len(jpeg)} bytes"

    def _crop(self, reason: Reason, pick: Pick, window: Window) -> Evidence:
        jpeg = encoded(pick.pixels, CROP_PX)
        left, top, right, bottom = (round(float(side), 1) for side in pick.box)
        return Evidence(
            trap=self._trap,
            id=secrets.token_hex(16),
            kind="crop",
            reason=reason,
            wall_ms=window.wall_ms + round(pick.at_s * 1000) - window.mono_ms,
            clock=window.clock,
            model=window.model,
            frame_px=pick.frame_px,
            area=pick.area,
            window=WindowKey(boot=window.boot, seq=window.seq),
            box=(left, top, right, bottom),
            scores={self._classes[pick.label]: round(pick.score, 4)},
            jpeg=base64.b64encode(jpeg).decode(),
        )

    def _keep(self, crop: Evidence) -> None:
        if self._budget.allows(len(crop.jpeg), self._a_day, crop.wall_ms):
            self._budget.spend(self.box.put(crop), crop.wall_ms)


class CountsFirst:
    """Hands windows on; before, pictures give up their place on a disk that is short of it."""

    def __init__(self, sink: Sink, box: EvidenceBox) -> None:
        self._sink = sink
        self._box = box

    def accept(self, draft: Draft) -> None:
        self._box.make_room()
        self._sink.accept(draft)
