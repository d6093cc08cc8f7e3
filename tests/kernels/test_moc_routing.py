"""The router's options: one choice a block of queries, an outer loop over shots, drop-off and drop-in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from scene_memory.kernels import (
    MocLayout,
    MocSettings,
    moc_attention,
    moc_mask,
    pairs_kept,
    pairs_measured,
    routing_mask,
)
from scene_memory.kernels.portable.attention import attend
from scene_memory.kernels.routing import NOTHING, route

MakeTensors = Callable[..., tuple[Tensor, Tensor, Tensor]]

FILM = MocLayout.sequence([6] * 20, [shot for shot in range(5) for _ in range(4)], text=3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


OPTIONS = [
    MocSettings(2, query_block=7),
    MocSettings(2, query_block=1000),
    MocSettings(3, outer_shots=1),
    MocSettings(3, outer_shots=2, query_block=5),
    MocSettings(4, drop_off=0.9),
    MocSettings(2, drop_in=3.0),
    MocSettings(3, outer_shots=2, drop_off=1.0, drop_in=2.0),
    MocSettings(3, query_block=4, outer_shots=3, drop_off=1.0, drop_in=2.0),
]


@pytest.mark.parametrize("settings", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_router_chooses_what_the_reference_chooses(
    settings: MocSettings, dtype: torch.dtype, tensors: MakeTensors
) -> None:
    idle = []
    for seed in range(4):
        q, k, _ = tensors(FILM, batch=2, heads=3, dtype=dtype, seed=seed)
        made = routing_mask(q, k, FILM, settings, generator(seed))
        assert torch.equal(made, moc_mask(q, k, FILM, settings, generator(seed)))
        idle.append(torch.equal(made, moc_mask(q, k, FILM, MocSettings(settings.top_k))))
    assert not all(idle)


@pytest.mark.parametrize("settings", OPTIONS, ids=str)
@pytest.mark.parametrize("implementation", ["portable", "triton"])
def test_every_option_gives_what_the_reference_gives_forward_and_backward(
    settings: MocSettings, implementation: str, tensors: MakeTensors
) -> None:
    q, k, v = (x.requires_grad_() for x in tensors(FILM, batch=2, heads=3))
    results = []
    for name in (implementation, "reference"):
        out = moc_attention(q, k, v, FILM, settings, name, generator=generator(4))
        results.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v))))
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted, atol=2e-5, rtol=2e-5)


def test_a_block_of_queries_shares_the_choice_of_its_mean(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM)
    chosen = route(q, k, FILM, MocSettings(2, query_block=8))
    assert chosen is not None
    shot = slice(3 + 24, 3 + 48)
    for block in torch.split(chosen[:, :, shot], 8, dim=2):
        assert (block == block[:, :, :1]).all()
    means = torch.stack([k[0, 0, 3 + 6 * c : 9 + 6 * c].mean(0) for c in range(4)])
    best = (means @ q[0, 0, 27:35].mean(0)).topk(2).indices + 1
    assert set(chosen[0, 0, 27].tolist()) == set(best.tolist())


def test_the_outer_loop_chooses_among_the_best_shots_only(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM, heads=4)
    last = slice(3 + 96, None)
    chosen = route(q, k, FILM, MocSettings(4, outer_shots=1))
    assert chosen is not None
    shots = (chosen[0, :, last].long() - 1).div(4, rounding_mode="floor")
    shot_means = torch.stack([k[0, :, 3 + 24 * shot : 27 + 24 * shot].mean(1) for shot in range(4)], dim=1)
    best = (shot_means @ q[0, :, last].mean(1).unsqueeze(-1)).squeeze(-1).argmax(-1)
    assert (shots == best[:, None, None]).all()
    everything = route(q, k, FILM, MocSettings(4, outer_shots=4))
    assert everything is not None
    assert torch.equal(everything.sort(-1).values, route(q, k, FILM, MocSettings(4)).sort(-1).values)  # type: ignore[union-attr]


def test_a_shot_with_fewer_chunks_than_top_k_is_chosen_whole(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM)
    chosen = route(q, k, FILM, MocSettings(6, outer_shots=1))
    assert chosen is not None
    assert ((chosen[:, :, 3 + 96 :] != NOTHING).sum(-1) == 4).all()


def test_random_numbers_come_from_the_generator_and_from_nowhere_else(tensors: MakeTensors) -> None:
    q, k, v = tensors(FILM)
    settings = MocSettings(4, drop_off=1.0, drop_in=1.0)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (moc_attention(q, k, v, FILM, settings, generator=generator(s)) for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match="no generator was given"):
        moc_attention(q, k, v, FILM, settings)


def test_drop_off_leaves_out_up_to_its_share_of_the_choice_and_each_chunk_as_often(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM, heads=4)
    whole = route(q, k, FILM, MocSettings(4))
    assert whole is not None
    removed = set()
    for seed in range(40):
        chosen = route(q, k, FILM, MocSettings(4, drop_off=0.75), generator(seed))
        assert chosen is not None
        kept = chosen[:, :, 3 + 48 :]
        left = (kept != NOTHING).sum(-1)
        assert (left == left.flatten()[0]).all()
        removed.add(4 - int(left.flatten()[0]))
        assert ((kept == NOTHING) | (kept == whole[:, :, 3 + 48 :])).all()
    assert removed == {0, 1, 2}


def test_drop_in_adds_only_earlier_chunks_that_were_not_chosen(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM)
    for seed in range(10):
        chosen = route(q, k, FILM, MocSettings(2, drop_in=3.0), generator(seed))
        assert chosen is not None
        for shot in range(1, 5):
            of_shot = chosen[0, 0, 3 + 24 * shot : 27 + 24 * shot]
            assert of_shot.max() <= 4 * shot
            for row in of_shot.tolist():
                made = [chunk for chunk in row if chunk != NOTHING]
                assert len(made) == len(set(made)) >= 2 and 0 not in made


def test_pairs_measured_counts_what_drop_off_leaves(tensors: MakeTensors) -> None:
    q, k, _ = tensors(FILM)
    settings = MocSettings(4, drop_off=1.0, drop_in=1.0)
    mask = moc_mask(q, k, FILM, settings, generator(3))
    assert pairs_measured(q, k, FILM, settings, generator(3)).kept == mask.sum().item() / 2
    assert pairs_kept(FILM, MocSettings(4)).kept != mask.sum().item() / 2


def test_a_query_that_attends_to_nothing_gets_zeros_and_no_nan(tensors: MakeTensors) -> None:
    layout = MocLayout((0, 4, 8, 11), (0, 0, 0), (False,) * 3, (0, 6), (1,))
    q, k, v = tensors(layout)
    chosen = torch.full((1, 2, 6, 2), NOTHING, dtype=torch.int16)
    chosen[:, :, 3:] = torch.tensor([0, 2], dtype=torch.int16)
    out, lse = attend(q, k, v, chosen, layout, MocSettings(2), 0.3)
    assert not out[:, :, :3].any() and (lse[:, :, :3] == -torch.inf).all()
    assert torch.isfinite(out).all() and out[:, :, 3:].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"query_block": -1}, "query_block is -1"),
        ({"query_block": 1.5}, "query_block is 1.5.*whole number"),
        ({"outer_shots": -2}, "outer_shots is -2"),
        ({"drop_off": 1.5}, "drop_off is 1.5.*between 0 and 1"),
        ({"drop_off": -0.1}, "drop_off is -0.1"),
        ({"drop_in": float("nan")}, "drop_in is nan"),
        ({"drop_in": True}, "drop_in is True"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MocSettings(**given)  # type: ignore[arg-type]
