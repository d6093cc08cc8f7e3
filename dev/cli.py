"""The commands of dev.py."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .checks import has_gpu, require_port
from .console import SetupError, say
from .environment import Environment, prepare
from .house import main as house_figures
from .link import link_pack
from .paths import PACK_FOLDER, ROOT, SERVE
from .support.chromium import ensure_browser
from .support.newest_frontend import newest_frontend
from .support.server import HostServer

EPILOG = """
The first run makes .venv and .host in this folder (8 GB, some minutes); later runs start in seconds.
Set COMFYUI_PATH to the folder of your own ComfyUI to use that instead; nothing is installed into it.
"""


TWO = ("-n", "2", "--dist", "loadfile")
"""All tests go in two processes, each with servers of its own and one thread: most of them keep one core busy. With any
argument, as in `python dev.py test -n 0`, it is pytest's own way."""
LINT = ("-q", "-m", "lint", "tests/test_lint.py")
"""Style and types, in a step of their own before all others."""


def main(argv: Sequence[str]) -> int:
    arguments, rest = parser().parse_known_args(argv)
    if rest and arguments.command not in ("test", "train", "train-wan", "bench", "house"):
        parser().error(f"{arguments.command} does not know {' '.join(rest)}")
    try:
        return int(COMMANDS[arguments.command](arguments, rest))
    except SetupError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("dev.py", description="SceneMemory on a fresh machine.", epilog=EPILOG)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="make a one-minute video in a real ComfyUI, with memory and without")
    demo.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    commands.add_parser("test", help="run the tests; what follows goes to pytest", add_help=False)
    serve = commands.add_parser("serve", help="start ComfyUI with these nodes and print its address")
    serve.add_argument("--port", type=int, default=8188, help="default: 8188")
    bench = commands.add_parser("bench", help="run one of the benchmarks in dev/bench", add_help=False)
    bench.add_argument("name", nargs="?", default="", metavar="NAME")
    commands.add_parser("house", help="the plan of the house in figures; see dev/house.py", add_help=False)
    commands.add_parser("pictures", help="make the pictures of the README and the workflows anew")
    commands.add_parser(
        "train", help="train the bundled world model; what follows goes to world/training/train.py", add_help=False
    )
    commands.add_parser(
        "train-wan", help="teach a Wan to remember; what follows goes to pipeline/training", add_help=False
    )
    return top


def demo(arguments: argparse.Namespace, rest: list[str]) -> int:
    started = time.monotonic()
    environment = prepare()
    command = ["--setup-seconds", f"{time.monotonic() - started:.1f}"]
    command += ["--json", str(arguments.json.resolve())] if arguments.json else []
    return run_module(environment, "dev.demo", command)


def test(arguments: argparse.Namespace, rest: list[str]) -> int:
    environment = prepare(tests=True)
    if wants_browser(rest):
        for ensure in (ensure_browser, newest_frontend):
            try:
                ensure(environment.python)
            except SetupError as error:
                # The browser tests fail with the same words; the others still have something to say.
                say(str(error))
    if rest:
        return run_module(environment, "pytest", rest)
    lint = run_module(environment, "pytest", LINT)
    return run_module(environment, "pytest", TWO, threads="1") or lint


def wants_browser(arguments: Sequence[str]) -> bool:
    """Whether a pytest command line may reach the browser tests."""
    paths = [
        word.split("::")[0] for word in arguments if not word.startswith("-") and (ROOT / word.split("::")[0]).exists()
    ]
    return not paths or any(ROOT / path in (ROOT, ROOT / "tests") or "browser" in path for path in paths)


def serve(arguments: argparse.Namespace, rest: list[str]) -> int:
    port = require_port(arguments.port)
    environment = prepare()
    base = SERVE if environment.private else None
    if base is None:
        link_pack(environment.comfyui / "custom_nodes")
    server = HostServer(environment.python, environment.comfyui, base=base, port=port, cpu=not has_gpu())
    say("Starting ComfyUI ...")
    with server:
        say(f"ComfyUI with SceneMemory is at {server.url} (its log: {server.log_path}). Stop it with Ctrl-C.")
        say(f"Its workflows are under Templates > {PACK_FOLDER} in the page, and in {ROOT / 'workflows'}.")
        return server.wait()


def bench(arguments: argparse.Namespace, rest: list[str]) -> int:
    names = sorted(path.stem for path in (ROOT / "dev" / "bench").glob("*.py") if not path.stem.startswith("_"))
    if arguments.name not in names:
        given = f"There is no benchmark {arguments.name!r}" if arguments.name else "Say which benchmark to run"
        raise SetupError(f"{given}: choose one of {', '.join(names) or 'none so far'}.")
    # Of the benchmarks only this one looks at the pipeline, too.
    environment = prepare(pipeline=arguments.name == "models")
    return run_module(environment, "dev.run", [f"dev.bench.{arguments.name}", *rest])


def house(arguments: argparse.Namespace, rest: list[str]) -> int:
    return house_figures(rest)


def pictures(arguments: argparse.Namespace, rest: list[str]) -> int:
    environment = prepare(tests=True)
    ensure_browser(environment.python)
    return run_module(environment, "dev.pictures", [])


def train(arguments: argparse.Namespace, rest: list[str]) -> int:
    return run_module(prepare(), "dev.run", ["world.training.train", *rest])


def train_wan(arguments: argparse.Namespace, rest: list[str]) -> int:
    return run_module(prepare(pipeline=True), "dev.run", ["pipeline.training.train", *rest])


def run_module(environment: Environment, module: str, arguments: Sequence[str], threads: str = "") -> int:
    """`python -m module` in the prepared environment; it finds ComfyUI by COMFYUI_PATH.

    `threads` is how many torch takes; empty leaves it to torch, or to who has set OMP_NUM_THREADS.
    """
    command = [str(environment.python), "-m", module, *arguments]
    variables = {**os.environ, "COMFYUI_PATH": str(environment.comfyui), "PYTHONUTF8": "1"}
    if threads:
        variables.setdefault("OMP_NUM_THREADS", threads)
    sys.stdout.flush()
    process = subprocess.Popen(command, cwd=ROOT, env=variables)
    # A SIGTERM reaches only us: handed on, it ends the child, and the servers that the child started.
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # Ctrl-C reaches the child too: it ends in its own way, and we wait for that.


COMMANDS = {
    "demo": demo,
    "test": test,
    "serve": serve,
    "bench": bench,
    "house": house,
    "pictures": pictures,
    "train": train,
    "train-wan": train_wan,
}
