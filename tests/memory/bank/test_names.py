"""Names of banks: what is allowed is safe everywhere, what is not is refused with the cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scene_memory.memory.bank.bank import Bank
from scene_memory.memory.bank.names import bank_name
from scene_memory.memory.errors import BankError


@pytest.mark.parametrize("name", ["film", "My film (2)", "fil-m_3.1", "Möbelhaus", "映画 一", "घर", "COM", "7"])
def test_plain_names_in_any_script_are_kept(name: str):
    assert bank_name(name) == name


def test_spaces_around_a_name_are_removed_and_accents_composed():
    assert bank_name("  cafe\u0301 ") == "caf\u00e9"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a/b", "has a path in it"),
        ("a\\b", "has a path in it"),
        ("/etc", "has a path in it"),
        ("C:film", "has a path in it"),
        ("../film", "has a path in it"),
        ("..", r'has "\.\." in it'),
        ("a..b", r'has "\.\." in it'),
        (".hidden", "starts with a dot"),
        ("film.", "ends in a dot"),
        ("con", "Windows device"),
        ("NUL.txt", "Windows device"),
        ("Com1", "Windows device"),
        ("lpt9.a.b", "Windows device"),
        ("a\x00b", "has the character"),
        ("a\nb", "has the character"),
        ("what?", "has the character"),
        ("~film", "has the character"),
        ("a\u202eb", "has the character"),
        ("com\u00b9", "has the character"),
        ("x" * 65, "65 characters: at most 64"),
        ("映" * 70, "70 characters: at most 64"),
    ],
)
def test_names_that_are_places_devices_or_unsafe_are_refused(name: str, message: str):
    with pytest.raises(BankError, match=message) as refused:
        bank_name(name)
    assert "bank name" in str(refused.value)
    assert re.search(r"Use letters|Shorten|Remove|Add a word", str(refused.value))


@given(st.text(max_size=80))
def test_a_name_that_is_allowed_is_one_folder_inside_the_root(text: str):
    try:
        name = bank_name(text)
    except BankError:
        return
    assert Path(name).name == name and name not in (".", "..")
    assert (Path("/root-of-banks") / name).parent == Path("/root-of-banks")
    assert bank_name(name) == name


def test_every_way_to_a_bank_checks_the_name(tmp_path: Path):
    (tmp_path / "outside").mkdir()
    root = tmp_path / "banks"
    for way in (Bank.create, Bank.open, Bank.exists):
        with pytest.raises(BankError, match="has a path in it"):
            way(root, "../outside")
    assert not root.exists() and not list((tmp_path / "outside").iterdir())
