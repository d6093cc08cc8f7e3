"""ComfyUI's own nodes that adapters call: looked at before anything runs, and called by keyword."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def reordered(comfy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """MiniMax H3's references as ComfyUI 0.36 has them: prompt before the VAEs, which may be left out."""
    import comfy_extras.nodes_minimax_h3 as host

    from scene_memory.models.host import calls as host_nodes

    called: list[dict[str, Any]] = []

    def execute(
        clip: Any, prompt: str, width: int, height: int, length: int, ref_image_size: str = "match", vae: Any = None,
        audio_vae: Any = None, ref_images: Any = None, ref_videos: Any = None,
    ) -> Any:  # fmt: skip
        called.append({"clip": clip, "prompt": prompt, "size": (width, height, length), "vae": vae})
        return [["conditioning", {}]], "latent"

    monkeypatch.setattr(host.MiniMaxH3ReferenceToVideo, "execute", execute)
    host_nodes._problem.cache_clear()
    yield called
    host_nodes._problem.cache_clear()


def test_every_call_of_every_adapter_fits_this_comfyui(comfy: Path) -> None:
    from scene_memory.models.registry import ADAPTERS

    called = {node for adapter in ADAPTERS for node in adapter.host_nodes}
    assert len(called) >= 6
    for node in called:
        node.check()


def test_a_node_whose_inputs_changed_places_is_still_called_right(reordered: list[dict[str, Any]]) -> None:
    from scene_memory.models.minimax.adapter import _REFERENCES

    _REFERENCES.check()
    size = {"width": 64, "height": 32, "length": 22}
    conditioning, _ = _REFERENCES(
        clip="clip", vae="vae", audio_vae=None, prompt="a room", **size, ref_image_size="match", ref_images={}
    )
    assert conditioning[0][0] == "conditioning"
    assert reordered == [{"clip": "clip", "prompt": "a room", "size": (64, 32, 22), "vae": "vae"}]


@pytest.mark.parametrize(
    ("node", "names", "words"),
    [
        ("LTXVAddGuide", ("positive", "other"), "LTXVAddGuide is another.*takes positive.*Update SceneMemory"),
        ("LTXVNoSuchNode", (), "LTXVNoSuchNode is another.*not there"),
        ("EmptyLTXVLatentVideo", ("width",), "missing a required argument"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(comfy: Path, node: str, names: tuple[str, ...], words: str) -> None:
    from scene_memory.models.host.calls import HostNode

    with pytest.raises(ValueError, match=words):
        HostNode("comfy_extras.nodes_lt", node, names).check()


def test_a_film_is_refused_before_its_first_segment(comfy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scene_memory.models import registry as adapters
    from scene_memory.models.host.calls import HostNode

    monkeypatch.setattr(adapters.LtxAdapter, "host_nodes", (HostNode("comfy_extras.nodes_lt", "Gone", ()),))
    monkeypatch.setattr(adapters.LtxAdapter, "serves", staticmethod(lambda model: True))
    monkeypatch.setattr(adapters, "ADAPTERS", (adapters.LtxAdapter,))
    with pytest.raises(ValueError, match="Gone is another"):
        adapters.adapter_for(object())
