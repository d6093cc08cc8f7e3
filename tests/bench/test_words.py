"""The fixed measure of captions: right on true pictures, not on others, and blind to nothing it should see."""

from __future__ import annotations

import numpy as np
import pytest

from scene_memory.dev.bench.world_model import words
from scene_memory.dev.bench.world_model.films import HEIGHT, WIDTH
from scene_memory.memory.cameras.angles import rotation
from scene_memory.memory.cameras.camera import intrinsics_from_fov, pose
from scene_memory.world.render import render
from scene_memory.world.scenes import make_scene

VIEWS = np.stack([pose([0.0, 0.0, 0.0], rotation(pitch=angle)) for angle in (0.0, -14.0)])
LENS = intrinsics_from_fov(70.0, 1.6)


@pytest.fixture(scope="module")
def reader() -> words.WordReader:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "EXAMPLES", 240)
        return words.WordReader(VIEWS, LENS)


def test_words_are_those_of_the_caption() -> None:
    scene = make_scene(7, "room")
    place, walls, floor = words.words_of(scene)
    assert place == "room" and f"with {walls} " in scene.caption and f", {floor} " in scene.caption
    assert words.words_of(make_scene(7, "landscape"))[1] is None


def test_true_pictures_are_read_and_others_are_not(reader: words.WordReader) -> None:
    right, wrong = [], []
    for seed in range(40_000, 40_060):
        place = ("room", "courtyard", "landscape")[seed % 3]
        scene, other = make_scene(seed, place), make_scene(seed + 60, place)
        level, lowered = render(scene, VIEWS, np.tile(LENS, (2, 1)), WIDTH, HEIGHT).numpy()
        right += reader.right(level, lowered, words.words_of(scene))
        wrong += reader.right(level, lowered, words.words_of(other))[1:]
    assert np.mean(right) > 0.8 and np.mean(wrong) < 0.35


def test_a_grey_picture_says_nothing(reader: words.WordReader) -> None:
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    found = [reader.right(grey, grey, ("room", colour, colour))[1:] for colour in ("red", "green", "blue", "purple")]
    assert not np.any(found)


def test_a_histogram_counts_every_pixel_once() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    counted = words.histogram(picture, words.ALL)
    assert np.allclose((counted[:-1].reshape(4, -1) ** 2).sum(axis=1), 1.0) and counted[-1] == 1.0
