"""Measures of what was never seen: the truth is perfect, a smear is not, and the network reads true pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scene_memory.dev.bench.world_model import surface_reader, unseen
from scene_memory.dev.bench.world_model.films import HEIGHT, WIDTH, Frames, TrueFilm
from scene_memory.dev.bench.world_model.surface_reader import CROP, FEATURES, SurfaceReader
from scene_memory.dev.bench.world_model.surfaces import PATTERNS, SURFACES, UNKNOWN, shown_in
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.memory.cameras.trajectory import Trajectory
from scene_memory.world.render import render_with_depth
from scene_memory.world.scenes import EYE_HEIGHT, VALIDATION_SEEDS, make_scene

SEEDS = tuple(VALIDATION_SEEDS.start + 70_000 + number for number in range(3))


class Truth:
    """Paints the true film of whichever scene it is told."""

    def __init__(self) -> None:
        self.true: TrueFilm | None = None

    def paint(self, targets: Trajectory, past: object, caption: str, seed: int) -> Frames:
        assert self.true is not None
        start = int(np.flatnonzero((self.true.path.poses == targets.poses[0]).all(axis=(1, 2)))[0])
        return self.true.frames(range(start, start + len(targets)))


class Smear(Truth):
    """Paints every frame in the mean colour of each of its rows."""

    def paint(self, targets: Trajectory, past: object, caption: str, seed: int) -> Frames:
        true = super().paint(targets, past, caption, seed)
        return np.broadcast_to(true.mean(axis=2, keepdims=True), true.shape).astype(np.uint8)


@pytest.fixture(scope="module")
def reader() -> SurfaceReader:
    return surface_reader.taught(scenes=30, steps=60, batch=6)


@pytest.fixture(scope="module")
def turned() -> dict[int, unseen.Turned]:
    return {seed: unseen.turned_away(seed) for seed in SEEDS}


def records(reader: SurfaceReader, turned: dict[int, unseen.Turned], painter: Truth) -> list[unseen.Record]:
    found = []
    for seed, one in turned.items():
        painter.true = one.true
        found.append(unseen.painted_record(reader, one, painter, 5, seed))
    return found


def test_pixels_tell_which_surface_they_show() -> None:
    scene = make_scene(7, "room")
    opening = next(opening for opening in scene.rooms[0].openings if opening.kind == "door")
    x0, x1, z0, z1 = scene.bounds
    along = (opening.left + opening.right) / 2
    place = [(x0 + along, z0), (x0 + along, z1), (x0, z0 + along), (x1, z0 + along)][opening.wall]
    heading = float(np.rad2deg(np.arctan2(place[0], place[1])))
    lens = intrinsics_from_fov(70.0, WIDTH / HEIGHT)[None]
    poses = pose([0.0, 0.0, 0.0], rotation(yaw=heading))[None]
    shown = shown_in(scene, poses, lens, render_with_depth(scene, poses, lens, WIDTH, HEIGHT)[1].numpy())
    down = int(HEIGHT * (0.5 + lens[0, 1] * 0.2 / np.hypot(*place)))
    assert SURFACES[shown.surface[0, down, WIDTH // 2]] in ("door", "prop")
    assert (shown.surface == SURFACES.index("sky")).sum() == 0
    walls = shown.surface == SURFACES.index("wall")
    assert set(shown.pattern[walls]) == {PATTERNS.index(scene.rooms[0].walls[0].pattern)}
    assert (shown.pattern[~walls & (shown.surface != SURFACES.index("floor"))] == UNKNOWN).all()
    tilted = pose([0.0, 0.0, 0.0], rotation(pitch=-80.0))[None]
    depth = render_with_depth(scene, tilted, lens, WIDTH, HEIGHT)[1].numpy()
    below = shown_in(scene, tilted, lens, depth).surface[0]
    assert (below == SURFACES.index("floor")).mean() > 0.9 and depth.min() < EYE_HEIGHT + 0.2


def test_the_border_has_the_seen_on_its_left() -> None:
    mask = np.zeros((CROP, WIDTH), bool)
    mask[:, 50:] = True
    assert unseen.border(mask) == 50
    assert unseen.border(~mask) is None and unseen.border(np.zeros_like(mask)) is None


def test_the_distance_of_a_moved_set_is_the_square_of_its_way() -> None:
    features = np.random.default_rng(0).normal(size=(400, 6))
    assert unseen.frechet(features, features) == pytest.approx(0, abs=1e-8)
    assert unseen.frechet(features, features + 2) == pytest.approx(24)
    assert unseen.frechet(features, 3 * features) > unseen.frechet(features, 2 * features) > 1


def test_the_truth_is_perfect_and_a_smear_is_not(
    reader: SurfaceReader, turned: dict[int, unseen.Turned]
) -> None:
    truth, again = (
        [unseen.true_record(reader, one, seed, draw) for seed, one in turned.items()] for draw in (0, 1)
    )
    perfect, smear = records(reader, turned, Truth()), records(reader, turned, Smear())
    found = unseen.figures(perfect, smear, truth, again)
    assert found["unseen_sharpness"] == pytest.approx(1) and found["unseen_sharpness_old"] < 0.8
    assert found["unseen_frechet_ratio"] == pytest.approx(0, abs=1e-9)
    assert found["unseen_frechet_old"] > 1.3 * found["unseen_frechet_floor"]
    assert found["unseen_belongs"] == found["unseen_belongs_truth"] > 0.2
    assert found["unseen_things_ratio"] == 1 > found["unseen_things_ratio_old"]
    assert unseen.figures(smear, smear, truth, again)["unseen_frechet_ratio"] == pytest.approx(1)


def test_crops_show_nothing_that_was_seen(reader: SurfaceReader, turned: dict[int, unseen.Turned]) -> None:
    one = turned[SEEDS[0]]
    film = one.true.frames(one.looked_at)
    spoiled = np.where(one.unseen[..., None], film, 255 - film)
    clear = unseen.CLEAR
    features = unseen.features_of(reader, film, one.unseen, 1)
    assert features.shape == (unseen.CROPS, FEATURES) and clear > 0.9
    assert np.abs(features - unseen.features_of(reader, spoiled, one.unseen, 1)).mean() < 0.05
    assert unseen.features_of(reader, film, np.zeros_like(one.unseen), 1).size == 0


def test_a_repetition_is_a_copy_and_the_truth_is_none(turned: dict[int, unseen.Turned]) -> None:
    one = turned[SEEDS[0]]
    start = one.true.frames([0])[0]
    mirrored = np.broadcast_to(start[:, ::-1], (len(one.looked_at), *start.shape))
    everywhere = np.ones_like(one.unseen)
    total, number = unseen.copied_from(start, unseen.crops_of(mirrored, everywhere, 1))
    assert number > 0 and total / number == pytest.approx(1, abs=1e-3)
    true, count = unseen.copied_from(start, unseen.crops_of(one.true.frames(one.looked_at), one.unseen, 1))
    assert true / count < 0.95
    assert unseen.copied_from(start, np.full((2, CROP, CROP, 3), 90, np.uint8))[1] == 0


def test_a_record_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    records = unseen.Records(tmp_path / "kept")
    first = records.get("one", lambda: {"energy": np.array([1.0, 2.0])})
    again = unseen.Records(tmp_path / "kept").get("one", lambda: pytest.fail("measured again"))
    assert np.array_equal(first["energy"], again["energy"])


def test_the_reader_learns_and_is_kept(reader: SurfaceReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = surface_reader.accuracy(reader, scenes=8)
    assert found["reads_surface"] > 0.5 and min(found.values()) > 0.2
    monkeypatch.setattr(surface_reader, "taught", lambda: reader)
    path = tmp_path / "reader.safetensors"
    surface_reader.kept_reader(path)
    monkeypatch.setattr(surface_reader, "taught", lambda: pytest.fail("taught again"))
    crops = np.random.default_rng(0).integers(0, 256, (2, CROP, CROP, 3), np.uint8)
    assert np.array_equal(surface_reader.kept_reader(path).features(crops), reader.features(crops))
