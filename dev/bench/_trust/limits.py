"""Films under a limit that are killed and queued again: how many are lost.

Run alone: COMFYUI_PATH=... python dev/bench/_trust/limits.py [TRIALS]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SHARES = (0.3, 0.45, 0.6, 0.75, 0.9, 1.0, 1.2)
MINE, THEIRS = 7, 70
ROOM = 0.95
"""Share of the limit down to which pictures may go."""

Answer = dict[str, Any]


class Films:
    """Films on request in a process that has the model loaded, and what is known of them unkilled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("limited_film.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._answer()
        self._known: dict[tuple[str, int, float], Answer] = {}
        begun = time.monotonic()
        self.free = self.film(folder / "free", MINE)
        self.film_seconds = time.monotonic() - begun
        self.size = _bytes(folder / "free" / "film")
        shutil.copytree(folder / "free", folder / "recalled")
        begun = time.monotonic()
        self.film(folder / "recalled", MINE)
        self.recall_seconds = time.monotonic() - begun

    def film(self, folder: Path, seed: int, share: float = 0.0, kill_after: float | None = None) -> Answer:
        """Films into ``folder`` under a limit of ``share`` of the film's size."""
        folder.mkdir(parents=True, exist_ok=True)
        most = int(share * self.size) if share else 0
        request = {"folder": str(folder), "seed": seed, "most": most, "kill_after": kill_after}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def unkilled(self, kind: str, seed: int, share: float) -> Answer:
        """The same film, never killed: filmed under the limit, or "set later" on a finished film."""
        if (kind, seed, share) not in self._known:
            folder = self.folder / f"{kind} {seed} {share}"
            if kind == "set later":
                shutil.copytree(self.folder / "free", folder)
            self._known[kind, seed, share] = {**self.film(folder, seed, share), "bytes": _bytes(folder / "film")}
        return self._known[kind, seed, share]

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The process that films has ended; its last words are above.")
        return dict(json.loads(line))


def filmed(films: Films, folder: Path, random_numbers: random.Random) -> str:
    """A new film under a limit, killed once or twice; gives what is wrong with it, "" if nothing."""
    share = random_numbers.choice(SHARES)
    return _killed(films, folder, MINE, share, "filmed", films.film_seconds, random_numbers)


def set_later(films: Films, folder: Path, random_numbers: random.Random) -> str:
    """A finished film on which a limit is set, killed while it is queued again."""
    share = random_numbers.choice(SHARES)
    shutil.copytree(films.folder / "free", folder)
    wrong = _killed(films, folder, MINE, share, "set later", films.recall_seconds, random_numbers)
    there = {path.stem for path in (folder / "film" / "segments").glob("*.safetensors")}
    return wrong or ("a segment is gone" if set(films.free["segments"]) - there else "")


def beside(films: Films, folder: Path, random_numbers: random.Random) -> str:
    """A film under a limit in a bank with the finished film of another graph, which is to stay as it is."""
    shutil.copytree(films.folder / "free", folder)
    before = _files(folder, films.free["segments"])
    share = random_numbers.choice(SHARES)
    wrong = _killed(films, folder, THEIRS, share, "filmed", films.film_seconds, random_numbers)
    if _files(folder, films.free["segments"]) != before:
        return wrong or "another graph's film was changed"
    again = films.film(folder, MINE)
    return wrong or ("another graph's film is lost" if (again["id"], again["made"]) != (films.free["id"], 0) else "")


KINDS: tuple[Callable[[Films, Path, random.Random], str], ...] = (filmed, set_later, beside, filmed)


def lost_films(trials: int, seed: int = 1) -> list[str]:
    """Kills and queues again ``trials`` times; gives what was lost, a line each, which is printed as well."""
    random_numbers, lost = random.Random(seed), []
    with tempfile.TemporaryDirectory() as place:
        films = Films(Path(place))
        try:
            for number in range(trials):
                kind, folder = KINDS[number % len(KINDS)], Path(place) / str(number)
                if wrong := kind(films, folder, random_numbers):
                    lost.append(f"{number} ({kind.__name__}): {wrong}")
                    print(lost[-1], file=sys.stderr, flush=True)
                shutil.rmtree(folder)
        finally:
            films.close()
    return lost


def figures(trials: int = 200) -> dict[str, float]:
    """limited_films_lost: of 200 films with a limit of 30 to 120 % of their size that are killed at random instants
    and queued again, those of which a finished segment was made anew or is gone, that do not load, that are another
    film than the unkilled one, that lost more pictures than the limit asks, or that damaged another graph's film."""
    return {"limited_films_lost": float(len(lost_films(trials)))}


def _killed(
    films: Films, folder: Path, seed: int, share: float, kind: str, seconds: float, random_numbers: random.Random
) -> str:
    """Kills a film at random instants and lets it end; says what is wrong with it then."""
    right = films.unkilled(kind, seed, share)
    for _ in range(random_numbers.choice((1, 1, 2))):
        films.film(folder, seed, share, kill_after=random_numbers.uniform(0.0, 1.1 * seconds))
    finished = _finished(folder, right["segments"])
    last = films.film(folder, seed, share)
    if "error" in last or "error" in right:
        return str(last.get("error") or right["error"])
    if last["made"] > len(right["segments"]) - finished:
        return f"{last['made']} segments made though {finished} of {len(right['segments'])} were finished ({share})"
    if last["id"] != right["id"] or last["segments"] != right["segments"]:
        return f"another film than the unkilled one ({share})"
    if last["kept"] != right["kept"]:
        return f"{sum(last['kept'])} pictures, the unkilled film has {sum(right['kept'])} ({share})"
    picture = 3 * 48 * 36
    if not all(last["kept"]) and right["bytes"] < ROOM * share * films.size - 2 * picture:
        return f"more pictures are gone than the limit asks ({share})"
    again = films.film(folder, seed, share)
    if (again.get("id"), again.get("made"), again.get("kept")) != (last["id"], 0, last["kept"]):
        return f"queued once more it is another film ({share}): {again.get('error', '')}"
    return ""


def _finished(folder: Path, segments: list[str]) -> int:
    """How many of the ``segments`` were finished: their files are there and a key names them."""
    named = "".join(path.read_text() for path in (folder / "film" / "keys").glob("*.json"))
    return sum(one in named and (folder / "film" / "segments" / f"{one}.safetensors").is_file() for one in segments)


def _files(folder: Path, segments: list[str]) -> list[bytes]:
    paths = [folder / "film" / "segments" / f"{one}.safetensors" for one in segments]
    return [path.read_bytes() if path.is_file() else b"" for path in paths]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.parent.name != "writers")


if __name__ == "__main__":
    counted = partial(figures, int(sys.argv[1])) if len(sys.argv) > 1 else figures
    print(json.dumps(counted()))
