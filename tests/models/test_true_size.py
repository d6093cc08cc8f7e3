"""Every Wan family with a memory at the true size of its public file: shapes and devices, without weights or a card.

Fake tensors carry shape, type and device through the host's own networks and ours around them, on a fake CUDA device: a
tensor of the wrong device or shape that meets another is refused as on a card. Two blocks of each network, all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

CARD, KIND = "cuda", torch.bfloat16
SMALL = {"dim": 1536, "ffn_dim": 8960, "num_heads": 12}
LARGE = {"dim": 5120, "ffn_dim": 13824, "num_heads": 40}
MIDDLE = {"dim": 3072, "ffn_dim": 14336, "num_heads": 24}
LAYERS, TEXT, FRAMES, CONTEXT = 2, 4096, 21, 20

Wrapper = Callable[..., Tensor]
Conds = dict[str, Any]


@contextmanager
def fake() -> Iterator[None]:
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        yield


def network(kind: str, channels: int, taken: int, sizes: dict[str, int], **more: Any) -> Any:
    import comfy.ldm.wan.model as host
    import comfy.ops

    made = {"model_type": "t2v", "num_layers": LAYERS, "text_dim": TEXT, "in_dim": taken, "out_dim": channels}
    operations = comfy.ops.disable_weight_init
    return getattr(host, kind)(**{**made, **sizes, **more}, device=CARD, dtype=KIND, operations=operations)


def attention(_: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *rest: Any, **more: Any) -> Tensor:
    """PyTorch's, whatever the machine that the test runs on would take."""
    q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def answered(
    net: Any,
    wrapper: Wrapper,
    size: tuple[int, int, int, int],
    more: Conds | None = None,
    clip: Tensor | None = None,
    **conds: Any,
) -> Tensor:
    """What the network answers to a segment (channels in, frames, h, w) with a wrapper of ours around it."""
    import comfy.patcher_extension

    channels, frames, height, width = size
    x = torch.empty(1, channels, frames, height, width, device=CARD, dtype=KIND)
    time, text = torch.empty(1, device=CARD), torch.empty(1, 512, TEXT, device=CARD, dtype=KIND)
    options = {"optimized_attention_override": attention, "sigmas": torch.empty(1, device=CARD)}

    def forward(x: Tensor, time: Tensor, text: Tensor, clip: Any, concat: Any, options: Any, **more: Any) -> Tensor:
        made: Tensor = net._forward(x, time, text, clip, concat, options, **more)
        return made

    executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(forward, net, [wrapper], 0)
    return executor.execute(x, time, text, clip, None, options, **(more or {}), **conds)


def context(
    channels: int, height: int, width: int, times: str, positions: str, rays: bool = False, count: int = CONTEXT
) -> Conds:
    """What the adapters bring of 20 remembered frames: a segment of 21 latent frames looks back at them."""
    from scene_memory.models.wan.context import CONTEXT as SEEN
    from scene_memory.models.wan.context import PLAN, ContextPlan
    from scene_memory.models.wan.options import ContextPositions

    # As they come from the bank: on the processor, in float32.
    parts = [torch.empty(1, channels, count, height, width, device="cpu") for _ in range(2)]
    if rays:
        parts.append(torch.empty(1, 24, count, 8 * height, 8 * width, device="cpu"))
    ago = tuple(float(4 * frame) for frame in range(count, 0, -1))
    return {SEEN: parts, PLAN: ContextPlan(ContextPositions(positions, ago), times)}


@pytest.mark.parametrize(
    ("sizes", "channels", "taken", "grid"),
    [
        (SMALL, 16, 16, (60, 104)),
        (LARGE, 16, 16, (90, 160)),
        (LARGE, 16, 36, (60, 104)),
        (MIDDLE, 48, 48, (44, 80)),
    ],
    ids=["1.3B text to video", "14B text to video", "A14B image to video", "TI2V-5B"],
)
@pytest.mark.parametrize("times", ["clean", "same as the segment", "noised like the segment"])
def test_context_frames(
    comfy: Path, sizes: dict[str, int], channels: int, taken: int, grid: tuple[int, int], times: str
) -> None:
    from scene_memory.models.wan.context import append_context

    with fake():
        net = network("WanModel", channels, taken, sizes)
        seen = context(channels, *grid, times, "before the segment")
        made = answered(net, append_context, (taken, FRAMES, *grid), seen)
        assert made.shape[:2] == (1, channels) and made.shape[-2:] == grid
        assert made.shape[2] >= FRAMES and made.device.type == CARD and made.dtype == KIND


def test_phantom(comfy: Path) -> None:
    """Behind the segment, at its time; and the same of the blank negative."""
    from scene_memory.models.wan.context import append_context

    grid = (60, 104)
    with fake():
        net = network("WanModel", 16, 16, SMALL)
        seen = context(16, *grid, "same as the segment", "after the segment", count=4)
        made = answered(net, append_context, (16, FRAMES, *grid), seen)
        assert made.shape[-2:] == grid and made.device.type == CARD


def test_image_to_video_of_wan_2_1_which_sees_the_start_through_clip_vision(comfy: Path) -> None:
    from scene_memory.models.wan.context import append_context

    grid = (60, 104)
    with fake():
        net = network("WanModel", 16, 36, LARGE, model_type="i2v")
        seen = context(16, *grid, "noised like the segment", "before the segment")
        clip = torch.empty(1, 257, 1280, device=CARD, dtype=KIND)
        made = answered(net, append_context, (36, FRAMES, *grid), seen, clip)
        assert made.shape[-2:] == grid and made.device.type == CARD and made.dtype == KIND


@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["1.3B", "14B"])
def test_vace_with_three_references_and_a_known_picture(comfy: Path, sizes: dict[str, int]) -> None:
    """What the adapter tells it, in the shape that the host hands on: 32 channels of pictures, 64 of mask."""
    # Before tensors are without numbers: what the host makes as it is imported has some.
    import comfy_extras.nodes_wan  # noqa: F401

    from scene_memory.models.wan.known import KnownVideo
    from scene_memory.models.wan.vace import vace_values

    grid, kept, pictures = (60, 104), 3, 4 * FRAMES - 3

    class Vae:
        """Latents of the right size, on the processor as the host's VAE hands them on."""

        @staticmethod
        def encode(video: Tensor) -> Tensor:
            assert video.shape == (pictures, 8 * grid[0], 8 * grid[1], 3)
            return torch.empty(1, 16, FRAMES, *grid, device="cpu")

    shape = (pictures, 8 * grid[0], 8 * grid[1])
    known = KnownVideo(torch.zeros(*shape, 3), torch.arange(pictures)[:, None, None].expand(shape) < 1)
    with fake():
        net = network("VaceWanModel", 16, 16, sizes, vace_layers=LAYERS, vace_in_dim=96)
        references = torch.empty(1, 16, kept, *grid, device="cpu")
        told, _ = vace_values(Vae(), pictures, 8 * grid[1], 8 * grid[0], known, references)
        (shown,), (mask,) = told["vace_frames"], told["vace_mask"]
        assert shown.shape == (1, 32, kept + FRAMES, *grid) and mask.shape == (1, 64, kept + FRAMES, *grid)
        control = torch.cat([shown, mask], dim=1).to(CARD, KIND)[:, None]
        size = (16, kept + FRAMES, *grid)
        made = answered(net, as_it_is, size, vace_context=control, vace_strength=told["vace_strength"])
        assert made.shape == (1, *size) and made.device.type == CARD and made.dtype == KIND


def as_it_is(executor: Any, *given: Any, **conds: Any) -> Tensor:
    """VACE has no wrapper of ours."""
    made: Tensor = executor(*given, **conds)
    return made


@pytest.mark.parametrize("taken", [32, 36], ids=["2.1", "2.2"])
def test_fun_camera(comfy: Path, taken: int) -> None:
    from scene_memory.models.wan.context import append_context

    grid = (60, 104)
    with fake():
        net = network("CameraWanModel", 16, taken, LARGE, in_dim_control_adapter=24, model_type="i2v")
        rays = torch.empty(1, 24, FRAMES, 8 * grid[0], 8 * grid[1], device=CARD, dtype=KIND)
        seen = context(16, *grid, "noised like the segment", "before the segment", rays=True)
        made = answered(net, append_context, (taken, FRAMES, *grid), seen, camera_conditions=rays)
        assert made.shape[-2:] == grid and made.device.type == CARD


def test_echo_memory_s_camera_layers_beside_their_context(comfy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.models.wan import camera_layers
    from scene_memory.models.wan.camera_layers import CAMERAS, CameraLayer, CameraLayers, cameras_in_front
    from scene_memory.models.wan.context import append_context

    # The host's choice for a processor would ask a card that is not there how much room it has.
    monkeypatch.setattr(camera_layers, "optimized_attention", lambda *given, **more: attention(None, *given, **more))
    dim, grid = SMALL["dim"], (44, 80)
    with fake(), torch.device(CARD):
        weights = {"action_mlp.proj.weight": torch.empty(dim, 12), "action_mlp.proj.bias": torch.empty(dim)}
        for part in "qkvo":
            weights |= {f"self_attn_with_action.{part}.weight": torch.empty(dim, dim),
                        f"self_attn_with_action.{part}.bias": torch.empty(dim)}  # fmt: skip
        weights |= {f"self_attn_with_action.{part}.weight": torch.empty(dim) for part in ("norm_q", "norm_k")}
        layers = CameraLayers([CameraLayer(weights, SMALL["num_heads"], KIND) for _ in range(LAYERS)])
        tell = cameras_in_front(layers)

        def both(executor: Any, *given: Any, **conds: Any) -> Tensor:
            return tell(lambda *inner, **more: append_context(executor, *inner, **more), *given, **conds)

        net = network("WanModel", 16, 16, SMALL)
        rows = [torch.empty(1, count, 12, device="cpu") for count in (FRAMES, 1)]
        seen = context(16, *grid, "same as the segment", "after the segment", count=1)
        made = answered(net, both, (16, FRAMES, *grid), seen, **{CAMERAS: rows})
        assert made.shape[-2:] == grid and made.device.type == CARD


@pytest.mark.parametrize("subject", [False, True])
def test_memento(comfy: Path, subject: bool) -> None:
    from scene_memory.models.story.memento import MementoPlan, conditions, join_memory, positions_of

    grid, kept = (60, 104), 8
    with fake():
        net = network("WanModel", 16, 36, LARGE)
        plan = MementoPlan(positions_of(tuple(range(0, 8 * kept, 8)), 81, subject), subject)
        latents = [torch.empty(1, 16, kept, *grid) for _ in range(2)]
        text = torch.empty(1, 60, TEXT) if subject else None
        told = {name: held.cond for name, held in conditions(plan, *latents, text).items()}
        made = answered(net, join_memory, (36, FRAMES + kept + subject, *grid), told)
        assert made.shape == (1, 16, FRAMES + kept + subject, *grid) and made.device.type == CARD


def test_storymem(comfy: Path) -> None:
    from scene_memory.models.story.storymem import conditions, position_front, spaced

    grid, kept = (60, 104), 8
    with fake():
        net = network("WanModel", 16, 36, LARGE)
        told = {name: held.cond for name, held in conditions(spaced(kept, 5)).items()}
        made = answered(net, position_front, (36, FRAMES + kept, *grid), told)
        assert made.shape == (1, 16, FRAMES + kept, *grid) and made.device.type == CARD


def test_a_tensor_that_stays_on_the_processor_would_be_found(comfy: Path) -> None:
    """The counterpart: a wrapper that forgets to move what comes from the bank is refused."""
    from scene_memory.models.wan.context import CONTEXT as SEEN
    from scene_memory.models.wan.context import PLAN

    def forgets(executor: Any, x: Tensor, time: Tensor, text: Tensor, clip: Any, concat: Any, options: Any,
                **conds: Any) -> Tensor:  # fmt: skip
        parts, _ = conds.pop(SEEN), conds.pop(PLAN)
        return executor(torch.cat([x, parts[0].to(x.dtype)], dim=2), time, text, clip, concat, options, **conds)

    with fake(), pytest.raises((RuntimeError, ValueError), match="device"):
        net = network("WanModel", 16, 16, SMALL)
        answered(net, forgets, (16, FRAMES, 60, 104), context(16, 60, 104, "clean", "before the segment"))
