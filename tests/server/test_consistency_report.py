"""Consistency Report in the real server: of a film that comes back, of one that does not, and with a vision model."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dev.support.server import HostServer


def with_report(kit: Any, prompt: dict[str, Any], **changed: Any) -> dict[str, Any]:
    prompt["report"] = kit.node("SceneMemoryConsistencyReport", memory=["shot", 0], **{"looks": 12, **changed})
    for number, name in enumerate(("text", "psnr", "json", "csv"), 1):
        prompt[f"its {name}"] = kit.node("PreviewAny", source=["report", number])
    return prompt


def test_a_film_that_comes_back_is_compared_with_itself(server: HostServer, kit: Any) -> None:
    film = kit.changed(kit.film("report", frames=48), "camera", move="turn away and come back", amount=150.0)
    run = server.client.queue(with_report(kit, film))
    assert run.ok, run.error
    said = {name: run.outputs[f"its {name}"]["text"][0] for name in ("text", "psnr", "json", "csv")}
    figures = json.loads(said["json"])
    assert figures["frames"] == 49 and 1 <= len(figures["revisits"]) <= 12
    assert float(said["psnr"]) == pytest.approx(figures["psnr"]) and figures["psnr"] > figures["first_psnr"]
    assert len(list(csv.DictReader(io.StringIO(said["csv"])))) == len(figures["revisits"])
    assert said["text"] == run.texts("report")[-1] and "Worst:" in said["text"]
    assert run.outputs["report"]["images"], "the picture stands on the node"


def test_a_film_that_sees_nothing_again_says_so(server: HostServer, kit: Any) -> None:
    prompt = kit.changed(kit.film("report pan", frames=8), "camera", move="pan", amount=40.0)
    run = server.client.queue(with_report(kit, prompt))
    assert run.ok, run.error
    assert "No place is seen again" in run.outputs["its text"]["text"][0]
    assert float(run.outputs["its psnr"]["text"][0]) == 0.0


def test_by_what_a_vision_model_sees(comfy: Path, tmp_path: Path) -> None:
    """The host's own CLIP vision class, small and with random weights."""
    import torch
    from comfy.clip_vision import ClipVisionModel

    from scene_memory.memory.bank.bank import Bank
    from scene_memory.memory.cameras.presets import make_preset
    from scene_memory.memory.consistency.likeness import features_agree, shots_agree
    from scene_memory.models.inputs import as_image
    from scene_memory.nodes.remember.consistency_report import ConsistencyReportNode

    torch.manual_seed(2)
    vision = ClipVisionModel({
        "model_type": "clip_vision_model", "hidden_act": "quick_gelu", "hidden_size": 32, "image_size": 28,
        "intermediate_size": 64, "num_attention_heads": 2, "num_channels": 3, "num_hidden_layers": 2, "patch_size": 14,
        "projection_dim": 16,
    })  # fmt: skip
    for weight in vision.model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    bank = Bank.create(tmp_path, "film")
    state = bank.empty()
    for shot in range(2):
        frames = np.random.default_rng(shot).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
        path = make_preset("pan", frames=3, fps=8.0, amount=20.0, fov=70.0, aspect=1.5)
        state = bank.append(state, frames=frames, trajectory=path, shot=shot)
    with torch.inference_mode():
        said = json.loads(ConsistencyReportNode.execute(state, 4, vision).args[3])
        seen = vision.encode_image(as_image(state.read_frames(range(6))))["image_embeds"].double().numpy()
    assert said["features"] == pytest.approx(features_agree(seen), abs=1e-5)
    assert said["between_shots"] == pytest.approx(shots_agree(seen, np.array([0, 0, 0, 1, 1, 1])), abs=1e-5)
    assert json.loads(ConsistencyReportNode.execute(state, 4).args[3])["features"] is None
