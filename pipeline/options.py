"""How a Wan is given its memory, and how its attention is routed: the same names as the nodes use."""

from __future__ import annotations

from dataclasses import dataclass

from ..kernels import IMPLEMENTATIONS, MocSettings

AUTO = "auto"
CLEAN, SAME, NOISED = "clean", "same as the segment", "noised like the segment"
BEFORE, AFTER, TRUE = "before the segment", "after the segment", "true time"
TIMES = (AUTO, CLEAN, SAME, NOISED)
POSITIONS = (AUTO, BEFORE, AFTER, TRUE)


@dataclass(frozen=True)
class MemoryOptions:
    """What the model was trained to take; AUTO follows the family.

    times: time at which context frames enter. CLEAN is time 0 for clean latents, SAME the segment's own time for clean
    latents, NOISED the segment's own time for latents with the noise of that time.
    positions: places in time (RoPE) of the context frames. BEFORE is -K..-1, AFTER behind the segment with the newest
    first, TRUE as many latent frames before the segment as they are ago.
    blank_negative: the negative prompt sees zeros in place of the context, as Phantom's does.
    """

    times: str = AUTO
    positions: str = AUTO
    blank_negative: bool = False

    def __post_init__(self) -> None:
        for name, given, known in (("times", self.times, TIMES), ("positions", self.positions, POSITIONS)):
            if given not in known:
                raise ValueError(f"{name} is {given!r}: expected one of {', '.join(known)}. Use {AUTO}.")


@dataclass(frozen=True)
class Routing:
    """How self-attention is routed while there is a context (Mixture of Contexts, section 3).

    settings: chunks a query may look into. implementation: of ``kernels.moc_attention``. chunk_tokens: size of a chunk,
    0 for one context frame. anchor_frames: first context frames that everything attends to. dense_layers, dense_steps:
    layers and sampling steps at the start that stay dense.
    """

    settings: MocSettings = MocSettings()
    implementation: str = "auto"
    chunk_tokens: int = 0
    anchor_frames: int = 0
    dense_layers: int = 0
    dense_steps: int = 0

    def __post_init__(self) -> None:
        if self.implementation != "auto" and self.implementation not in IMPLEMENTATIONS:
            known = ", ".join(("auto", *IMPLEMENTATIONS))
            raise ValueError(f"implementation is {self.implementation!r}: expected one of {known}. Use auto.")
        for name in ("chunk_tokens", "anchor_frames", "dense_layers", "dense_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 0 or above. Use 0.")
