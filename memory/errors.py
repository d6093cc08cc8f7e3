"""The errors of the memory library. Both are ``ValueError`` and say what was given, what was expected, what to do."""

from __future__ import annotations


class BankError(ValueError):
    """A memory bank cannot be made, opened, read or written."""


class DamageError(BankError):
    """A file of a bank is missing, incomplete or not what its name says."""


def damaged(problem: str) -> DamageError:
    """The error for a damaged file; ``problem`` names the file and has no full stop."""
    return DamageError(f"{problem}. The file is damaged: restore it from a copy.")
