"""Learning to imagine: the discriminator judges the never seen alone, the network learns from it, a run goes on."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from scene_memory.world.scenes import FIRST_TRAINING_SEED
from scene_memory.world.training import train
from scene_memory.world.training.dataset import Batch, Store, rendered_walk
from scene_memory.world.training.imagining import (
    CONDITION,
    LARGEST_GAP,
    Discriminator,
    Imaginer,
    Imagining,
    condition_of,
    draw_film_batch,
    weighted,
)
from scene_memory.world.training.learning import Lessons, Trained, loss_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"), 48)
    walks = [rendered_walk(FIRST_TRAINING_SEED + number) for number in range(2)]
    for number in range(48):
        store.add(walks[number % 2])
    return store


def test_context_is_of_the_past_and_the_newest_is_near(store: Store) -> None:
    # Frames are told apart by their cameras' numbers: one field of every pose is set to the frame's number.
    numbered = copy.copy(store)
    numbered.arrays = {**store.arrays, "poses": store.arrays["poses"].copy()}
    numbered.arrays["poses"][:, :, 1, 3] = np.arange(32)
    rng = np.random.default_rng(0)
    for targets, contexts in ((1, 3), (4, 2)):
        batch = draw_film_batch(numbered, 4, rng, 40, targets, contexts)
        assert batch.target.shape == (40, 3, targets, 60, 96) and batch.context.shape[:3] == (40, 3, contexts)
        ways = batch.poses[:, :1, 1, 3] - batch.context_poses[:, :, 1, 3]
        assert (ways.sign() == ways[:, -1:].sign()).all() and (ways != 0).all()
        assert ways[:, -1].abs().max() <= LARGEST_GAP and (ways[:, -1:].abs() <= ways.abs()).all()
        assert targets == 1 or (ways[:, -1].abs() == 1).all()
    assert draw_film_batch(store, 2, rng, 2, 1, 0).context.shape[2] == 0


def test_what_was_seen_is_told_and_what_was_not_is_marked(store: Store) -> None:
    torch.manual_seed(0)
    model = Trained(mirrors=True)
    batch = draw_film_batch(store, 2, np.random.default_rng(1), 4, 1, 2)
    with torch.no_grad():
        remembered = model.remember(batch, batch.context)
    condition, unseen = condition_of(batch, remembered)
    assert condition.shape == (4, CONDITION, 60, 96) and set(unseen.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(condition[:, :1], 1 - unseen) and (condition[:, 1:4] * unseen == 0).all()
    nothing, all_of_it = condition_of(batch, None)
    assert (all_of_it == 1).all() and (nothing[:, :4] == 0).all() and nothing[:, 4].std() > 0.1


def test_only_marked_pixels_have_a_say() -> None:
    values, where = torch.zeros(1, 1, 5, 8), torch.zeros(1, 1, 60, 96)
    values[..., 4:], where[..., 48:] = 3.0, 1.0
    assert weighted(values, where) == pytest.approx(3) and weighted(values, 1 - where) == pytest.approx(0)
    assert weighted(values, torch.zeros_like(where)) == 0


def test_the_discriminator_learns_to_tell_and_the_network_is_drawn(store: Store) -> None:
    torch.manual_seed(0)
    model, generator = Trained(), torch.Generator().manual_seed(0)
    imaginer = Imaginer(Imagining(lead=0, second=0.5, again=1), 1e-3, torch.device("cpu"))
    batch = draw_film_batch(store, 2, np.random.default_rng(0), 4, 1, 1)
    judged = []
    for _ in range(8):
        model.zero_grad()
        imaginer.learn(model, batch, generator)
        judged.append(imaginer.seen["judge"])
    assert judged[-1] < judged[0] and 0 < imaginer.ratio < np.inf
    grown = model.network.painter.last.weight.grad
    assert grown is not None and torch.isfinite(grown).all() and grown.abs().sum() > 0
    assert all(value.requires_grad for value in imaginer.discriminator.parameters())
    logits, features = Discriminator()(batch.target[:, :, 0], condition_of(batch, None)[0])
    assert [part.shape[-2:] for part in logits] == [(15, 24), (7, 12)] and len(features) == 3


def test_errors_of_the_never_seen_need_not_count(store: Store) -> None:
    torch.manual_seed(0)
    model, batch = Trained(), draw_film_batch(store, 2, np.random.default_rng(3), 3, 1, 1)
    plain = Lessons(texture=0.0, depth=0.0, routed=0.0, true_depth=0.0)

    def loss(told: Batch, lessons: Lessons) -> float:
        return float(loss_of(model, told, torch.Generator().manual_seed(1), lessons).detach())

    with torch.no_grad():
        unseen = condition_of(batch, model.remember(batch, batch.context))[1][:, None, :]
    assert 0 < unseen.mean() < 1
    assert loss(batch, replace(plain, unseen=0.0)) < loss(batch, plain)


def test_a_run_that_imagines_goes_on_where_it_was(store: Store, tmp_path: Path) -> None:
    def run(minutes: float) -> train.Run:
        ticks = count()  # a clock on which every look takes a second
        learns = Imagining(share=1.0, frames=1, targets=(1,), target_shares=(1.0,))
        settings = train.Settings(
            minutes, tmp_path / "run", store.folder, batch=1, unseen=1, mirrors=True,
            clock=lambda: float(next(ticks)), imagining=learns,
        )  # fmt: skip
        return train.Run(settings)

    first = run(3 / 60)
    first.train()
    again = run(5 / 60)
    assert first.imaginer is not None and again.imaginer is not None and again.imaginer.step == first.imaginer.step > 0
    for name, value in first.imaginer.discriminator.state_dict().items():
        assert torch.equal(value, again.imaginer.discriminator.state_dict()[name]), name
    again.train()
    assert again.imaginer.step > first.imaginer.step
    with safe_open(tmp_path / "run" / "world.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"]) == {"weave": "depth", "steered": True, "mirrors": True}
