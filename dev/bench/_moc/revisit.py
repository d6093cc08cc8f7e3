"""What routing costs the bundled model in memory of places: films away and back, dense and routed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .._host import load_host
from .keep import Kept

CONTEXT = 20
"""Context frames: the most that the bundled model was trained with."""

TOP_K = 3
"""Of them that each token may look into. The frames being made are dense, so this keeps a bit less than half."""

STEPS, STRATEGY = 2, "coverage"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """PSNR in dB between two passes of the same place, dense and routed, and the share of pairs that routing kept."""

    scene: int
    dense: float
    routed: float
    pairs_kept: float

    @property
    def drop(self) -> float:
        return self.dense - self.routed


def measure_revisits(scenes: int, weights: Path | None, kept: Kept) -> list[Scene]:
    """Held-out scenes of `bench world`: from a true frame 150 degrees away and back, 81 frames, dense and routed."""
    films = lru_cache(_Films)
    found = []
    for number in range(scenes):
        asked = f"revisit of scene {number}, {weights or 'bundled'}, {CONTEXT} frames, {STEPS} steps, top-k {TOP_K}"
        scene = Scene(**kept.get(asked, lambda number=number: asdict(films(weights).compared(number))))
        found.append(scene)
        log.info(f"scene {number:3}: dense {scene.dense:.2f} dB, routed {scene.routed:.2f} dB, "
                 f"{scene.pairs_kept:.0%} of pairs")  # fmt: skip
    return found


class _Films:
    """The bundled model twice, dense and routed."""

    def __init__(self, weights: Path | None) -> None:
        load_host(cpu=True)
        from ....kernels import MocSettings
        from ....models.moc.patch import RoutingOptions, routed_model
        from ....models.moc.record import RECORD_KEY, RoutingRecord
        from ..world import Ledger
        from ..world_model.exams import Exams
        from ..world_model.films import SEGMENT

        self.record = RoutingRecord(SEGMENT)
        self.ways: dict[str, tuple[Any, Any]] = {}
        for name in ("dense", "routed"):
            ledger = Ledger(None)
            # No k of its own, so that no guards beside the films are measured.
            self.ways[name] = ledger, Exams(ledger, weights, STEPS, 0, None)
        routed = self.ways["routed"][1].painter
        routed.model = routed_model(routed.model, RoutingOptions(MocSettings(TOP_K), switch_on=1))
        routed.model.model_options["transformer_options"][RECORD_KEY] = self.record

    def compared(self, scene: int) -> Scene:
        self.record.kept, self.record.total = 0.0, 0
        for _, exams in self.ways.values():
            exams.history(scene, STRATEGY, False, CONTEXT)
        dense, routed = (next(reversed(ledger.rows.values()))["revisit"] for ledger, _ in self.ways.values())
        return Scene(scene, dense, routed, self.record.kept / self.record.total)


def as_content(scenes: list[Scene]) -> dict[str, Any]:
    """For the JSON file."""
    return {
        "context_frames": CONTEXT, "top_k": TOP_K, "steps": STEPS, "strategy": STRATEGY,
        "pairs_kept": sum(scene.pairs_kept for scene in scenes) / len(scenes),
        "psnr_dense": sum(scene.dense for scene in scenes) / len(scenes),
        "psnr_routed": sum(scene.routed for scene in scenes) / len(scenes),
        "scenes": [asdict(scene) | {"drop": scene.drop} for scene in scenes],
    }  # fmt: skip
