"""After a refactoring of the pack and of ComfyUI, in another folder, a film is still found in its bank."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scene_memory.dev.bench._trust import keys
from scene_memory.dev.bench._trust.refactored import refactored

SOURCE = '''
from ..kernels.settings import MocSettings
from . import settings

class Thing:
    size = 3

    def told(self, number):
        """A docstring."""
        total = number + 1
        def inner(more):
            return total + more
        if total > 3:
            raise ValueError(f"The number {number} is too large: use a smaller one.")
        return inner(settings.LIMIT), [total for total in range(3)]
'''


def test_a_refactored_module_does_the_same_with_other_words_and_names() -> None:
    text = refactored(SOURCE, ["memory"], {"kernels.settings": "choices", "memory.settings": "asked"})
    assert "from ..kernels.choices import MocSettings" in text and "from . import asked as settings" in text
    assert "total_renamed = number + 1" in text and "return total_renamed + more" in text
    assert "reworded" in text and "size = 3" in text and "A docstring." in text


@pytest.fixture(scope="module")
def filmed(comfy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bank with a film of this pack on this ComfyUI."""
    banks = tmp_path_factory.mktemp("banks")
    assert keys.filmed_anew(keys.ROOT, comfy, banks, keys.PACKS) == keys.SEGMENTS
    return banks


def test_nothing_is_made_anew_by_a_refactored_pack_in_another_folder(filmed: Path, comfy: Path, tmp_path: Path) -> None:
    """Other messages, other names of locals and modules, a ComfyUI that was treated likewise, other packs moved."""
    before = {path: path.read_bytes() for path in filmed.rglob("*.json")}
    assert keys.refactored_film(comfy, tmp_path, filmed) == 0
    assert {path: path.read_bytes() for path in filmed.rglob("*.json")} == before
    pack = tmp_path / "elsewhere" / "another name"
    moved = pack / "models" / "moc"
    assert (moved / "routing.py").is_file() and not (moved / "patch.py").exists()
    assert "(reworded)" in (pack / "memory" / "retrieval" / "asked.py").read_text()


def test_another_seed_is_made_anew_there(filmed: Path, comfy: Path, tmp_path: Path) -> None:
    """The film that is found is not found because anything would be."""
    packs = tmp_path / "packs"
    shutil.copytree(keys.PACKS, packs, ignore=shutil.ignore_patterns("__pycache__"))
    patches = packs / "patches.py"
    patches.write_text(
        patches.read_text().replace("def with_attention(model, scale=1.0)", "def with_attention(model, scale=1.5)")
    )
    assert keys.filmed_anew(keys.ROOT, comfy, filmed, packs) == keys.SEGMENTS
    assert json.loads((filmed / "film" / "head.json").read_text())["segments"] == keys.SEGMENTS
