"""Every call of a function of ComfyUI in the shipped code is in the table of call_table, as it is called, so that each
is bound against the signature of the ComfyUI that is there. The calls are found in the source."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ANY = "_"

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("film", "models", "nodes")
"""The others have nothing of the host, as test_layers says."""

HOST = {
    "comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "node_helpers", "nodes",
    "server",
}  # fmt: skip
CLASSES = (
    "comfy.model_patcher:ModelPatcher", "comfy.samplers:CFGGuider", "comfy.sd:VAE", "comfy.sd:CLIP",
    "comfy.utils:ProgressBar", "comfy.model_base:BaseModel", "comfy.ldm.wan.model:WanModel",
    "comfy.latent_formats:LatentFormat", "comfy.patcher_extension:WrapperExecutor",
    "comfy.supported_models_base:BASE", "comfy.clip_vision:ClipVisionModel", "comfy_execution.graph_utils:GraphBuilder",
    "comfy_execution.graph_utils:Node", "comfy_execution.graph:DynamicPrompt", "latent_preview:LatentPreviewer",
    "server:PromptServer",
)  # fmt: skip
"""Classes of which the code holds objects: a call of a method with a name of theirs is a call of the host."""

RECEIVERS: dict[str, set[str]] = {
    "clone": {"model", "low"}, "encode": {"vae", "self._vae"}, "decode": {"vae"}, "sample": {"guider"},
    "update": {"bar"}, "out": {"retriever", "text", "camera", "made", "keys", "graph.node"}, "node": {"graph"},
    "execute": {"executor"}, "detach": set(), "load": set(), "start": set(), "add": set(), "size": set(),
    "get_model": set(), "encode_from_tokens": set(),
}  # fmt: skip
"""Names that other objects have, too: only of these receivers are they the host's. All others are, of any."""

EXECUTORS = {"reckon": "comfy.sampler_helpers:_prepare_sampling", "": "comfy.ldm.wan.model:WanModel._forward"}
"""What a wrapper's ``executor`` is in the end, by the first word of its name."""

LEFT_OUT = (
    # Schemas of nodes, made when ComfyUI loads the pack, which says at once what does not fit; and what nodes return,
    # which takes any number of values.
    "comfy_api.latest:io", "comfy_api.latest:ComfyExtension",
    # Linear and RMSNorm with the inputs of PyTorch's.
    "comfy.ops:disable_weight_init",
)  # fmt: skip
OPEN = {"comfy_execution.graph_utils:GraphBuilder.node": {"class_type", "id"}, "comfy_api.latest:io.NodeOutput": None}
"""What takes anything more; of these names only the host's own count."""


def methods() -> dict[str, str]:
    """Names of methods of the host's classes, and the first class that has each."""
    found: dict[str, str] = {}
    for place in CLASSES:
        module, name = place.split(":")
        for one in getattr(importlib.import_module(module), name).__mro__:
            if one.__module__.split(".")[0] in HOST:
                for method, held in vars(one).items():
                    if callable(held) or isinstance(held, classmethod | staticmethod):
                        found.setdefault(method, place)
    return found


def dotted(call: ast.expr) -> list[str]:
    if isinstance(call, ast.Attribute):
        before = dotted(call.value)
        return [*before, call.attr] if before else []
    return [call.id] if isinstance(call, ast.Name) else []


def host_names(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """What stands for the host in a file: names, each with the module and what follows in it."""
    names: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in HOST:
                    names[alias.asname or alias.name.split(".")[0]] = tuple(
                        alias.name.split(".") if alias.asname else alias.name.split(".")[:1]
                    )
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and str(node.module).split(".")[0] in HOST:
            names |= {alias.asname or alias.name: (*str(node.module).split("."), alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and (found := dotted(node.value)) and found[0] in names:
            names |= {ast.unparse(target): (*names[found[0]], *found[1:]) for target in node.targets}
    return names


def placed(parts: tuple[str, ...]) -> str:
    """module:function of a dotted name."""
    for end in range(len(parts), 0, -1):
        try:
            importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        return f"{'.'.join(parts[:end])}:{'.'.join(parts[end:])}"
    raise AssertionError(f"{'.'.join(parts)} is not there")


def literal_keys(tree: ast.Module) -> dict[str, list[str]]:
    """The keys of dicts of names that are written out and handed on as **dict."""
    return {
        ast.unparse(target): [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
        for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        for target in node.targets
    }  # fmt: skip


def told(target: str, call: ast.Call, handed_on: dict[str, list[str]]) -> str:
    """A call as the table has it."""
    places = sum(not isinstance(given, ast.Starred) for given in call.args)
    names = [key.arg for key in call.keywords if key.arg]
    names += [name for key in call.keywords if not key.arg for name in handed_on.get(ast.unparse(key.value), ())]
    if target in OPEN:
        places, names = 0, [name for name in names if OPEN[target] is None or name in (OPEN[target] or ())]
    front = ", ".join([*[ANY] * places, "/"]) if places else ""
    return f"{target}({', '.join(filter(None, [front, *names]))})"


Kinds = dict[str, str]


def subclasses() -> Kinds:
    """Our classes over one of the host's that are made as that one is."""
    found: Kinds = {}
    for path in sources():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = host_names(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and (base := host_base(node, names)):
                if not any(isinstance(part, ast.FunctionDef) and part.name == "__init__" for part in node.body):
                    found[node.name] = base
    return {name: base for name, base in found.items() if not base.startswith(LEFT_OUT)}


def host_base(kind: ast.ClassDef, names: dict[str, tuple[str, ...]]) -> str:
    found = [dotted(base) for base in kind.bases]
    return next((placed((*names[one[0]], *one[1:])) for one in found if one and one[0] in names), "")


def calls_in(path: Path, known: dict[str, str], kinds: Kinds, part: ast.AST | None = None) -> Iterator[str]:
    """The calls of the host in a file, or a part of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names, handed_on = host_names(tree), literal_keys(tree)

    def target_of(call: ast.Call, base: str, function: str) -> str:
        found = dotted(call.func)
        if found and found[0] in names:
            return placed((*names[found[0]], *found[1:]))
        if found == ["executor"]:
            return EXECUTORS.get(function.split("_")[0], EXECUTORS[""])
        if len(found) == 1:
            return kinds.get(found[0], "")
        if not isinstance(call.func, ast.Attribute):
            return ""
        name, receiver = call.func.attr, ast.unparse(call.func.value)
        if receiver == "super()":
            return f"{base}.{name}" if base else ""
        if name not in known or (name in RECEIVERS and receiver.split("(")[0] not in RECEIVERS[name]):
            return ""
        return f"{known[name]}.{name}"

    def walk(node: ast.AST, base: str, function: str = "") -> Iterator[str]:
        if isinstance(node, ast.ClassDef):
            base = host_base(node, names)
        if isinstance(node, ast.FunctionDef):
            function = node.name
        if isinstance(node, ast.Call) and (target := target_of(node, base, function)):
            if target in OPEN or not target.startswith(LEFT_OUT):
                yield told(target, node, handed_on)
        for below in ast.iter_child_nodes(node):
            yield from walk(below, base, function)

    yield from walk(part or tree, "")


def sources() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def in_the_code() -> dict[str, list[str]]:
    """The calls of every module, or function where each counts by itself."""
    from scene_memory.models.host.call_table import BY_FUNCTION

    known, kinds, found = methods(), subclasses(), {}
    for path in sources():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = {module: tree}
        if module in BY_FUNCTION:
            parts = {f"{module}.{part.name}": part for part in tree.body if isinstance(part, ast.FunctionDef)}
        for name, part in parts.items():
            calls = sorted(set(calls_in(path, known, kinds, part)) - {"comfy_api.latest:io.NodeOutput()"})
            if calls:
                found[name] = calls
    return found


BY_ORDER = {
    "VAE.encode", "VAE.decode", "CLIP.tokenize", "CLIP.encode_from_tokens_scheduled", "ClipVisionModel.encode_image",
    "BaseModel.process_latent_in", "LatentFormat.process_out", "LatentPreviewer.decode_latent_to_preview_image",
    "WanModel._forward", "WrapperExecutor.execute", "_prepare_sampling", "optimized_attention",
}  # fmt: skip
"""What may be of another pack, or wrapped by one, and is called as ComfyUI calls it: call_table says why."""


def by_place(call: str) -> str:
    """A call of the table without the names of what goes by its order."""
    function, names = call.removesuffix(")").split("(")
    if "/" not in names:
        return call
    front, back = names.split("/")
    return f"{function}({', '.join([ANY] * front.count(','))}, /{back})"


@pytest.fixture
def forgotten(comfy: Path) -> Iterator[None]:
    """What is known of the host's signatures is asked anew."""
    from scene_memory.models.host import calls

    calls._problem.cache_clear()
    yield
    calls._problem.cache_clear()


def test_every_call_in_the_code_is_in_the_table(comfy: Path) -> None:
    from scene_memory.models.host.call_table import CALLS

    table = {module: sorted(map(by_place, calls)) for module, calls in CALLS.items()}
    assert in_the_code() == table


def test_every_call_fits_this_comfyui(comfy: Path) -> None:
    from scene_memory.models.host.call_table import every_call

    calls = every_call()
    assert len(calls) > 60
    assert [call.misfit for call in calls if call.misfit] == []


def test_all_goes_by_keyword_but_what_may_be_of_another_pack(comfy: Path) -> None:
    from scene_memory.models.host.call_table import every_call

    found = {f"{call.node}.{call.function}".lstrip(".") for call in every_call() if call.positional}
    assert found == BY_ORDER


def test_a_call_is_found_in_whatever_way_it_is_written(comfy: Path, tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text(
        "import comfy.utils\nimport comfy.conds as conds\nfrom comfy.sample import prepare_noise as noise\n"
        "class Kept(conds.CONDList):\n    def __init__(self):\n        super().__init__(cond=1)\n"
        "def f(model, vae, words):\n    fit = comfy.utils.common_upscale\n    fit(1, crop=2)\n    noise(3, seed=4)\n"
        "    model.clone()\n    words.encode()\n    vae.encode(1)\n    model.deep.set_attachments(key=1, **words)\n"
    )
    assert sorted(calls_in(file, methods(), {})) == [
        "comfy.conds:CONDList.__init__(cond)",
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.model_patcher:ModelPatcher.set_attachments(key)",
        "comfy.sample:prepare_noise(_, /, seed)",
        "comfy.sd:VAE.encode(_, /)",
        "comfy.utils:common_upscale(_, /, crop)",
    ]


def test_every_module_with_a_call_stops_a_node_or_a_family_of_models(comfy: Path) -> None:
    import scene_memory.nodes as pack
    from scene_memory.models.host.call_table import CALLS, PACK, _reached
    from scene_memory.models.registry import ADAPTERS, FAMILIES

    reached = {name for node in pack.NODES for name in _reached(node.__module__, FAMILIES)}
    reached |= {name for adapter in ADAPTERS for name in _reached(adapter.__module__, frozenset())}
    assert {f"{PACK}.{module}" for module in CALLS} <= reached


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            "comfy.utils:common_upscale(samples, width, height, method, crop)",
            "common_upscale takes samples.*'upscale_method'",
        ),
        ("comfy.utils:common_upscale(samples)", "missing a required argument"),
        ("comfy.utils:gone()", "gone is another.*not there"),
        ("comfy.samplers:CFGGuider.set_conds(positive)", "CFGGuider.set_conds is another.*'negative'"),
        ("comfy.sd:VAE.encode(_, _, /)", "too many positional"),
        ("comfy.ldm.wan.model:WanModel._forward(x, context, timestep, /)", r"takes x, timestep.*expected x, context"),
    ],
)
def test_what_does_not_fit_is_told(comfy: Path, call: str, words: str) -> None:
    from scene_memory.models.host.calls import HostNode

    with pytest.raises(ValueError, match=f"(?s){words}.*Update SceneMemory"):
        HostNode.read(call).check()


def test_a_film_is_refused_before_it_begins(comfy: Path, forgotten: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import comfy.samplers

    from scene_memory.models import registry

    monkeypatch.setattr(comfy.samplers.CFGGuider, "set_conds", lambda self, good, bad: None)
    monkeypatch.setattr(registry.LtxAdapter, "serves", staticmethod(lambda model: True))
    monkeypatch.setattr(registry, "ADAPTERS", (registry.LtxAdapter,))
    with pytest.raises(ValueError, match="CFGGuider.set_conds is another.*takes good, bad"):
        registry.adapter_for(object())


def test_only_the_family_that_makes_a_call_is_refused(
    comfy: Path, forgotten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.ldm.wan.model

    from scene_memory.models import registry

    monkeypatch.setattr(comfy.ldm.wan.model.WanModel, "rope_encode", lambda self, frames, height, width: None)
    refused = {adapter.__name__ for adapter in registry.ADAPTERS if registry.misfit(adapter)}
    assert refused == {"StoryMemAdapter", "MementoAdapter", "WanAdapter", "WanCameraAdapter", "WanInpaintAdapter",
                       "WanVaceAdapter"}  # fmt: skip


def test_a_node_that_would_fail_is_refused_in_the_queue_and_told_in_one_line(
    comfy: Path, forgotten: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import comfy.utils

    from scene_memory.nodes import host_check
    from scene_memory.nodes.remember.memory_bank import MemoryBank
    from scene_memory.nodes.story.story_options import StoryMemoryOptions

    def subclass(node: Any) -> Any:
        return type(node.__name__, (node,), {"__module__": node.__module__})

    bank, story = subclass(MemoryBank), subclass(StoryMemoryOptions)
    with caplog.at_level(logging.WARNING):
        host_check.refuse_unfit([bank, story])
    assert not caplog.records and "validate_inputs" not in vars(bank), "all fits"

    monkeypatch.setattr(comfy.utils, "common_upscale", lambda picture, width, height: picture)
    importlib.import_module("scene_memory.models.host.calls")._problem.cache_clear()
    with caplog.at_level(logging.WARNING):
        host_check.refuse_unfit([bank, story])
    (line,) = caplog.records
    assert "It stops: MemoryBank." in line.message and "\n" not in line.message and line.exc_info is None
    said = bank.validate_inputs(name="film")
    assert "common_upscale is another" in said and "Update SceneMemory" in said
    assert inspect.getfullargspec(bank.validate_inputs).args == ["cls", "name"], "ComfyUI tells it once for each input"
    assert "validate_inputs" not in vars(story)
