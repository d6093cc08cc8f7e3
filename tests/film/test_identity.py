"""The identity of values: equal for equal content in every process, different for every difference, or refused."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scene_memory.film.identity import Identity, NoIdentity

ROOT = Path(__file__).resolve().parents[2]


def told(value: Any, sample: int = 0) -> str:
    return Identity().add("value", value, sample=sample).hexdigest()


@dataclass(frozen=True)
class Point:
    x: float
    y: float


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: int) -> None:
        self.a = a


class Bag:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)

    def weight(self) -> int:
        return len(self.__dict__)


class OtherBag(Bag):
    def weight(self) -> int:
        return 2 * len(self.__dict__)


def adder(amount: int) -> Any:
    return lambda value: value + amount


def scaled(value: float, by: float = 2.0) -> float:
    return value * by


DIFFERENT: list[Any] = [
    None, True, 1, 1.0, 1 + 0j, "1", b"1", -0.0, 0.0, [], (), {}, set(), frozenset(), [1], (1,), {1}, [[1]], [1, 2],
    [2, 1], {"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, "a", "ab", ["a", "b"], ["ab"],
    Colour.RED, Colour.BLUE, Point(1, 2), Point(2, 1), Slotted(1), Slotted(2), Bag(a=1), Bag(a=2), Bag(b=1),
    OtherBag(a=1), Fraction(1, 3), OrderedDict(a=1), Path("a"), adder(1), adder(2), scaled,
    functools.partial(scaled, by=3.0), functools.partial(scaled, by=4.0), Bag, OtherBag, len, np.int64(1),
    np.float64(1),
    np.zeros(3), np.zeros((3, 1)), np.zeros(3, dtype=np.float32), np.array(["a", None], dtype=object), torch.zeros(3),
    torch.zeros(1, 3), torch.zeros(3, dtype=torch.bfloat16), torch.tensor([0.0, 0.0, 1e-30]), torch.float32,
    torch.device("cpu"), Bag(a=1).weight, Bag(a=2).weight, torch.nn.Linear(2, 2, bias=False).requires_grad_(False),
]  # fmt: skip


def test_values_that_differ_are_told_apart() -> None:
    identities = [told(value) for value in DIFFERENT]
    doubles = [(a, b) for a in range(len(DIFFERENT)) for b in range(a) if identities[a] == identities[b]]
    assert [(DIFFERENT[a], DIFFERENT[b]) for a, b in doubles] == []


Texts = st.text(max_size=8)
Values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | Texts | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(Texts, inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(Values)
def test_a_copy_is_the_same_value(value: Any) -> None:
    def copied(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(copied(item) for item in value)
        return {key: copied(item) for key, item in value.items()} if isinstance(value, dict) else value

    assert told(value) == told(copied(value))


@pytest.mark.parametrize(
    "value",
    [threading.Lock(), object(), (number for number in [1]), sys.stdout, torch.empty(2, device="meta")],
    ids=["lock", "object", "iterator", "file", "meta tensor"],
)
def test_what_hides_its_state_is_refused_and_the_place_is_named(value: Any) -> None:
    with pytest.raises(NoIdentity, match=r"value\.0\.inside\.deep"):
        told([{"inside": Bag(deep=value)}])


def test_a_value_that_holds_itself_ends() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    bag = Bag()
    bag.me = bag  # type: ignore[attr-defined]
    assert told(ring) != told([1, [1]]) and told(bag) != told(Bag(me=None))


def test_a_value_with_too_many_parts_is_refused() -> None:
    with pytest.raises(NoIdentity, match="parts"):
        told(list(range(400_000)))


def test_of_a_large_weight_a_sample_counts_and_of_a_small_one_everything() -> None:
    small, large = torch.arange(600.0), torch.arange(100_000.0)
    nearly_small, nearly_large = small.clone(), large.clone()
    nearly_small[301] += 1
    nearly_large[50_001] += 1
    assert told(small, sample=64) != told(nearly_small, sample=64)
    assert told(large, sample=64) == told(nearly_large, sample=64) != told(large * 1.001, sample=64)
    assert told(large) != told(nearly_large)


def test_a_view_is_the_same_as_its_copy() -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    assert told(wide[:, ::2]) == told(wide[:, ::2].contiguous())
    assert told(np.arange(12)[::2]) == told(np.arange(12)[::2].copy())


def test_a_network_counts_with_its_weights_its_parts_and_its_settings() -> None:
    def network(bias: float = 0.0, slope: float = 0.1) -> torch.nn.Module:
        made = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LeakyReLU(slope))
        for weight in made.parameters():
            torch.nn.init.constant_(weight, bias)
        return made

    identities = {told(network()), told(network(bias=1.0)), told(network(slope=0.2)), told(network()[:1])}
    assert len(identities) == 4 and told(network()) in identities


def test_another_process_tells_the_same(tmp_path: Path) -> None:
    """With another seed for the hashes of texts, so that the order of sets differs."""
    script = """
import sys
sys.path.append(sys.argv[1])
from dev.support.pack import load_pack
load_pack()
import torch
from scene_memory.film.identity import Identity
from scene_memory.kernels import MocSettings
def make(amount):
    return lambda value: value + amount if value in {"a", "b", "c"} else None
print(Identity().add("v", [{"x", "y", "z"}, make(2), MocSettings(3), torch.ones(3), torch.nn.GELU()]).hexdigest())
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(ROOT)],
            env={"PYTHONHASHSEED": seed, "PATH": "", "OMP_NUM_THREADS": "1", "SYSTEMROOT": "C:\\Windows"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    found = [child.communicate()[0].strip() for child in children]
    assert len(set(found)) == 1 and len(found[0]) == 64
