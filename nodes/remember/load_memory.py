"""Load Memory: a file made by Save Memory, as a bank of its own."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ...memory.bank.archive import ENDING
from ...memory.bank.bank import Bank
from ...memory.bank.names import bank_name
from .. import folders
from ..messages import warn
from ..types import CATEGORY, SceneMemory
from .banks import SEEN, file_stamp, imported


class LoadMemory(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SceneMemoryLoad",
            display_name="Load Memory",
            category=f"{CATEGORY}/memory",
            description="Takes up a memory from a file that Save Memory made. Its frames are copied into a bank in "
            "output/scene_memory; the file itself stays as it is.",
            search_aliases=["import memory", "open memory", "restore"],
            inputs=[
                io.Combo.Input(
                    "file",
                    options=[folders.NO_FILE, *folders.MEMORIES.names()],
                    default=folders.NO_FILE,
                    tooltip="A file made by Save Memory, in ComfyUI's input or output folder. Press R to see a file "
                    "that you have just put there. Recommended: put shared files into the input folder.",
                ),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the bank to copy it into. Empty takes the file's name. Recommended: empty.",
                ),
            ],
            outputs=[SceneMemory.Output(display_name="memory", tooltip="What the file remembers.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, file: str | None, name: str | None) -> bool | str:
        try:
            if file is not None:
                folders.MEMORIES.file(file)
            if name is not None and file is not None:
                bank_name(_bank_of(file, name))
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file: str | None, name: str | None, **_: object) -> object:
        """Runs again when the file has changed, or when the bank was deleted."""
        if file is None or name is None:
            return float("nan")
        bank = Bank(folders.banks(), bank_name(_bank_of(file, name)))
        return f"{file_stamp(folders.MEMORIES.file(file))} {SEEN.times_gone(bank.path)}"

    @classmethod
    def execute(cls, file: str, name: str) -> io.NodeOutput:
        root = folders.banks()
        root.mkdir(parents=True, exist_ok=True)
        state = imported(root, _bank_of(file, name), folders.MEMORIES.file(file), None, cls._tell)
        assert state.bank is not None
        SEEN.add(state.bank.path)
        return io.NodeOutput(state)

    @classmethod
    def _tell(cls, damage: str) -> None:
        warn(cls, damage)


def _bank_of(file: str, name: str) -> str:
    return name.strip() or Path(file.removesuffix(folders.IN_OUTPUT)).name.removesuffix(ENDING).rstrip("_")
