"""What the segment loop needs to know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from ..models.host.calls import HostNode
from .segment import Segment

Conditioning = list[list[Any]]


@dataclass(frozen=True)
class Prepared:
    """One sampling pass: conditioning that carries the segment, and the latent to fill.

    mask: 1 where the latent is to be made, 0 where it is known; None where all is to be made. model: the MODEL to
    sample, None for the artist's own. low_noise: a MODEL that goes on from where the noise level is below ``boundary``,
    or from the step ``switch_step`` where that is not 0, with a cfg of its own if ``low_noise_cfg`` says one.
    in_front, behind: latent frames before the segment's first and after its last that are cut off before anything is
    decoded.
    """

    positive: Conditioning
    negative: Conditioning | None
    latent: torch.Tensor
    mask: torch.Tensor | None = None
    model: Any = None
    low_noise: Any = None
    boundary: float = 0.0
    switch_step: int = 0
    low_noise_cfg: float | None = None
    in_front: int = 0
    behind: int = 0


class Adapter(ABC):
    """Joins the memory to one family of models.

    So that MoC Sparse Sampler can route a model, its adapter publishes what the tokens are while the model runs, in a
    copy of ``transformer_options`` (see ``models/moc/layout.py``):

    - LAYOUT_KEY: the MocLayout of the self-attention's queries and keys, context frames in the order of
      ``Segment.context``, one chunk each;
    - ROUTABLE_KEY: the mark of exactly the attention that is meant. True while nothing else asks (the world model sets
      it for its only attention), or a fresh ``FirstCall`` for each pass through a block whose self-attention comes
      first. ``with_described_blocks`` does both for models like Wan;
    - "block_index": the number of the layer, which the host's models set themselves.

    Attention without layout and mark, with a mask, or of another size than the layout's is left to the model's own
    backend.
    """

    name: str
    """What artists read, and part of a segment's key, as is the version."""

    version: int
    """Raised whenever a change makes other pictures of the same inputs: segments of before are then made anew."""

    frame_numbers: bool = True
    """Whether it matters which frames of the film the context frames and the segment are, beside what they show."""

    default_segment: int
    """Frames a segment, if the artist does not say."""

    longest_segment: int
    shortest_segment: int = 1
    frame_grid: tuple[int, int] = (1, 0)
    """(n, r): the model makes a multiple of n and r frames more, such as Wan's 4n + 1."""

    default_size: tuple[int, int]
    """(width, height) for a memory that has no frames yet."""

    size_multiple: int
    context_without_retriever: int
    """Most recent frames that the model looks at when no retriever is connected."""

    most_context: int
    """Context frames beyond which the model was never trained."""

    context_latents: bool = False
    """Whether the model looks at context frames as latents of the VAE. Latents are then kept beside the frames."""

    describes_tokens: bool = False
    """Whether it publishes LAYOUT_KEY and ROUTABLE_KEY, so that attention can be routed."""

    overlap: int = 0
    """Newest frames with which a segment that goes on begins: they are known, and are not put into the film again."""

    host_nodes: tuple[HostNode, ...] = ()
    """Nodes of the host that ``prepare`` calls."""

    @staticmethod
    @abstractmethod
    def serves(model: Any) -> bool:
        """Whether this adapter knows the MODEL, by looking at it."""

    @classmethod
    def for_model(cls, model: Any) -> Adapter:
        """The adapter of a MODEL that it serves."""
        return cls()

    @abstractmethod
    def prepare(
        self, model: Any, positive: Conditioning, negative: Conditioning | None, segment: Segment, vae: Any = None
    ) -> Prepared:
        """Conditioning and latent for a segment. Nothing that is passed in is changed."""

    def overlap_after(self, frames: int) -> int:
        """The overlap with a memory of so many frames."""
        return self.overlap

    def made_for(self, frames: int) -> int:
        """Frames that the model makes where so many are asked for; what is too many at the end is left out."""
        step, rest = self.frame_grid
        return max(self.shortest_segment, -(-(frames - rest) // step) * step + rest)

    def segment_lengths(self, frames: int, wanted: int, continues: bool = False) -> list[int]:
        """New frames of each segment of a shot, with `wanted` frames made at a time (0: the model's own length).

        The last may be shorter. `continues`: the shot goes on from the newest frame, so that its first segment begins
        with the overlap, too.
        """
        length = wanted or self.default_segment
        step, rest = self.frame_grid
        if self.made_for(length) != length:
            better = max(self.shortest_segment, round((length - rest) / step) * step + rest)
            raise ValueError(
                f"segment_frames is {wanted}: {self.name} makes {step}n+{rest} frames at a time. "
                f"Use {better}, or 0 for its own length ({self.default_segment})."
            )
        if length > self.longest_segment:
            raise ValueError(
                f"segment_frames is {length}: {self.name} makes at most {self.longest_segment} frames at a time. "
                f"Use 0 for its own length ({self.default_segment})."
            )
        lengths: list[int] = []
        while frames > 0:
            lengths.append(min(frames, length - self.overlap * (continues or bool(lengths))))
            frames -= lengths[-1]
        return lengths

    def check_size(self, width: int, height: int) -> None:
        """Refuse sizes that the model cannot make."""
        step = self.size_multiple
        if width < step or height < step or width % step or height % step:
            better = tuple(max(step, round(side / step) * step) for side in (width, height))
            raise ValueError(
                f"The size {width}x{height} does not fit {self.name}: width and height must be multiples of {step}. "
                f"Use {better[0]}x{better[1]}."
            )
