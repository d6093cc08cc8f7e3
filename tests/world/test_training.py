"""Training: walks are kept and drawn, a broken run goes on where it was, older weights are taken over, edges count."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from scene_memory.kernels import MocSettings
from scene_memory.world.network import FARTHEST as NETWORKS_FARTHEST
from scene_memory.world.scenes import FIRST_TRAINING_SEED
from scene_memory.world.training import learning, train
from scene_memory.world.training.dataset import FARTHEST, Store, Walk, draw_batch, rendered_walk
from scene_memory.world.training.learning import Trained, adopt, edges_of, gradient_energy, spoiled, texture_gap
from scene_memory.world.vocabulary import MAX_TOKENS


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [rendered_walk(FIRST_TRAINING_SEED + number) for number in range(3)]


@pytest.fixture
def store(tmp_path: Path, walks: list[Walk]) -> Store:
    store = Store(tmp_path / "store", 48)
    for number in range(48):
        store.add(walks[number % 3])
    return store


def test_a_seed_gives_the_same_walk(walks: list[Walk]) -> None:
    again = rendered_walk(FIRST_TRAINING_SEED + 1)
    for name in ("frames", "nearness", "poses", "intrinsics", "tokens"):
        assert np.array_equal(getattr(again, name), getattr(walks[1], name)), name
    assert not np.array_equal(walks[0].frames, walks[1].frames)


def test_the_store_keeps_the_newest_walks_and_another_process_sees_them(tmp_path: Path, walks: list[Walk]) -> None:
    store = Store(tmp_path, 2)
    for walk in walks:
        store.add(walk)
    reader = Store(tmp_path)
    assert reader.added == 3 and reader.capacity == 2
    assert np.array_equal(reader[0].frames, walks[2].frames) and np.array_equal(reader[1].frames, walks[1].frames)


def test_an_empty_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fill it first"):
        Store(tmp_path / "none")


def test_a_batch_has_pictures_and_nearness_of_targets_and_context(store: Store) -> None:
    batch = draw_batch(store, 3, np.random.default_rng(0), 5, (4, 3))
    assert batch.target.shape == (5, 3, 4, 60, 96) and batch.context.shape == (5, 3, 3, 60, 96)
    assert batch.nearness.shape == (5, 4, 60, 96) and batch.context_nearness.shape == (5, 3, 60, 96)
    assert batch.target.min() >= -1 and batch.target.max() <= 1
    assert batch.nearness.min() >= 1 / FARTHEST - 1e-6 and FARTHEST == NETWORKS_FARTHEST


def test_edges_count_only_where_they_differ() -> None:
    flat = torch.zeros(2, 3, 2, 24, 24)
    step = flat.clone()
    step[1, ..., 12:] = 1.0
    assert edges_of(flat + 0.3).abs().max() == 0, "another brightness is no edge"
    assert edges_of(step)[1] > 0.05 and edges_of(step)[0] == 0
    assert gradient_energy(step)[1] > 0 == gradient_energy(step)[0]


def test_texture_counts_blur_but_not_a_shift() -> None:
    stripes = (torch.arange(48) // 3 % 2).float().expand(1, 3, 2, 48, 48) * 1.6 - 0.8
    shifted, even = stripes.roll(1, -1), torch.zeros_like(stripes)
    care = torch.ones(1, 1, 2, 48, 48)
    gaps = [float(texture_gap(other, stripes, care)) for other in (stripes, shifted, even)]
    assert gaps[0] == 0 and gaps[1] < 0.35 * gaps[2] and gaps[2] > 0.2
    assert float(texture_gap(even, stripes, 0 * care)) == 0


def test_context_is_spoiled_a_little_and_not_always(store: Store) -> None:
    context = draw_batch(store, 3, np.random.default_rng(0), 24, (4, 2)).context
    change = (spoiled(context, torch.Generator().manual_seed(0)) - context).abs().mean(dim=(1, 2, 3, 4))
    assert (change == 0).any() and (change > 0.01).any() and change.max() < 0.25


def test_a_weaving_network_begins_with_the_weights_of_one_that_did_not_weave() -> None:
    torch.manual_seed(0)
    old, new = Trained(weave=""), Trained(weave="depth")
    with torch.no_grad():
        strange = adopt(new, old.state_dict())
    assert all("weaver" in name or "depth_reader" in name for name in strange)
    with torch.no_grad():
        assert all(".gist." in name for name in adopt(Trained(), Trained(steered=False).state_dict()))
    assert torch.equal(new.network.blocks[2].qkv.weight, old.network.blocks[2].qkv.weight)
    grown = new.network.stem.patch.weight
    assert torch.equal(grown[:, :9], old.network.stem.patch.weight) and (grown[:, 9:] == 0).all()


def test_routed_steps_look_into_fewer_frames_and_are_spoiled_at_random(store: Store) -> None:
    torch.manual_seed(0)
    batch = draw_batch(store, 3, np.random.default_rng(0), 2, (4, 4))
    generator = torch.Generator().manual_seed(0)
    drawn = [learning.drawn_routing(batch, generator, 0.5) for _ in range(200)]
    routed = [routing for routing in drawn if routing is not None]
    assert 70 < len(routed) < 130 and {routing.settings.top_k for routing in routed} == {1, 2, 3}
    one = draw_batch(store, 3, np.random.default_rng(0), 2, (4, 1))
    assert all(learning.drawn_routing(one, generator, 1.0) is None for _ in range(8))
    q, k, v = (torch.randn(2, 4, count, 64) for count in (160, MAX_TOKENS + 4 * 40 + 160, MAX_TOKENS + 4 * 40 + 160))
    outs = [learning.matmul_attention(q, k, v, 4, {learning.ROUTING: routing}) for routing in (None, *routed[:2])]
    settings = MocSettings(top_k=4)
    all_of_it = learning.Routing([40] * 4, settings, generator)
    assert torch.allclose(outs[0], learning.matmul_attention(q, k, v, 4, {learning.ROUTING: all_of_it}), atol=1e-5)
    assert not torch.allclose(outs[0], outs[1], atol=1e-3) and torch.isfinite(outs[1]).all()


def test_a_routed_loss_has_gradients(store: Store) -> None:
    torch.manual_seed(0)
    model, batch = Trained(), draw_batch(store, 3, np.random.default_rng(0), 2, (4, 3))
    loss = learning.loss_of(model, batch, torch.Generator().manual_seed(1), learning.Lessons(routed=1.0))
    loss.backward()
    grown = model.network.blocks[0].qkv.weight.grad
    assert torch.isfinite(loss) and grown is not None and torch.isfinite(grown).all() and grown.abs().sum() > 0


def test_steps_with_and_without_context_cost_about_the_same() -> None:
    rng = np.random.default_rng(0)
    shapes = [train._shape(rng, 4) for _ in range(2000)]
    told = [targets * count for targets, contexts, count in shapes if not contexts]
    remembered = [(targets + contexts) * count for targets, contexts, count in shapes if contexts]
    assert set(told) == {32} and len(told) / len(shapes) == pytest.approx(train.TOLD_SHARE, abs=0.04)
    assert 24 < np.mean(remembered) < 48


def test_a_broken_run_goes_on_where_it_was_and_its_weights_tell_how_to_read_them(store: Store, tmp_path: Path) -> None:
    def run(minutes: float) -> train.Run:
        ticks = count()  # a clock on which every look takes a second
        settings = train.Settings(
            minutes, tmp_path / "run", store.folder, batch=1, unseen=1, clock=lambda: float(next(ticks))
        )
        return train.Run(settings)

    first = run(2 / 60)
    first.train()
    steps = first.step
    again = run(4 / 60)
    assert again.step == steps > 0 and again.elapsed == first.elapsed
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    again.train()
    assert again.step > steps
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [steps, again.step]
    with safe_open(tmp_path / "run" / "world.safetensors", "pt") as file:
        notes, names = file.metadata(), set(file.keys())
    assert json.loads(notes["config"]) == {"weave": "depth", "steered": True} and notes["format"] == train.FORMAT
    assert names == set(again.average.state_dict())
    assert (tmp_path / "run" / "samples.png").stat().st_size > 1000
