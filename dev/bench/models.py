"""What a memory costs each family of models, and whether it still does what the stock nodes do: on tiny weights.

Models of 0.2 million random weights (the world model: its own) are loaded by ComfyUI's loaders and sampled by its
samplers, here in this process. For each family:

- stock: milliseconds of one segment by ComfyUI's own nodes: conditioning, KSampler, VAE Decode.
- memory: the same segment by Shot Generator, which retrieves 4 of 24 remembered frames, codes them, samples with them,
  decodes, and writes the segment to the disk. Both take turns; the median of the rounds counts.
- overhead_ms: what the segment with memory spends neither in the network (inside of all that is wrapped around it) nor
  in coding or decoding by the VAE, less what the stock segment spends so. overhead_share is that over the whole time of
  the segment with memory; both are medians of the differences within a round.
- memory_predicted_over_real: how much a sampling step grows by the remembered frames as the host reckons it when it
  makes room, over how much its tensors grow as measured. 1 is right; above 1 room is left over. For this the Wans have
  one layer as wide as that of Wan 1.3B, LTX video one of its own width; MiniMax H3 stays narrow.
- stock_identical: whether the latent of Shot Generator without memory has the bits of the stock nodes', run now.
- diffusers_max_error: the largest difference in what the network answers between diffusers and ComfyUI, given the same
  weights and the same context frames; null where diffusers has no such model, and for LTX video and MiniMax H3, which
  are not compared.

Then, for what artists load and wire beside a memory, four figures that ``_models/beside.py`` explains: identities that
change, films that torch.compile makes others, nodes of the host that do not take what they are given, and how many
remembered frames a segment sends through the VAE.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ._host import load_host
from ._models.families import FAMILIES, Family

log = logging.getLogger(__name__)

HEADING = (
    f"{'':22}{'stock ms':>10}{'memory ms':>11}{'outside ms':>12}{'share':>8}"
    f"{'extra, host':>13}{'real':>8}{'ratio':>7}{'stock bits':>12}{'diffusers':>11}"
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench models", description="What a memory costs each family of models.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write rows and figures to this file")
    parser.add_argument("--rounds", type=int, default=3, help="of timing, after one that warms up")
    parser.add_argument("--families", nargs="*", choices=list(FAMILIES), metavar="NAME", help="only these, or none")
    arguments = parser.parse_args(argv)
    if arguments.rounds < 1:
        parser.error("--rounds: there must be at least 1")
    load_host(cpu=True)
    as_on_a_card()
    quiet()
    rows: dict[str, dict[str, Any]] = {}
    found: dict[str, Any] = {}
    log.info(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    log.info(HEADING)
    with tempfile.TemporaryDirectory() as folder:
        for name in FAMILIES if arguments.families is None else arguments.families:
            rows[name] = measured(Path(folder), name, FAMILIES[name], arguments.rounds)
            log.info(line(name, rows[name]))
            if arguments.json:
                arguments.json.write_text(json.dumps(content_of(rows, found), indent=2) + "\n", encoding="utf-8")
        found = beside_a_memory(Path(folder) / "beside")
        if arguments.json:
            arguments.json.write_text(json.dumps(content_of(rows, found), indent=2) + "\n", encoding="utf-8")
    return 0


def beside_a_memory(folder: Path) -> dict[str, Any]:
    """What `_models/beside.py` finds, and said."""
    from ._models.beside import beside

    with torch.inference_mode():
        found = beside(folder)
    for name, value in found["figures"].items():
        log.info(f"{name}: {value}")
    for name, worst in found["rows"]["compiled"].items():
        log.info(f"  compiled, {name}: {worst:.1e} of the largest number")
    return found


def content_of(rows: dict[str, dict[str, Any]], found: dict[str, Any]) -> dict[str, Any]:
    """What goes into the file: it is written anew after every family, and after what is beside a memory."""
    return {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "figures": {**{name: figures(row) for name, row in rows.items()}, **found.get("figures", {})},
        "rows": rows,
        "beside": found.get("rows", {}),
    }


def measured(folder: Path, name: str, family: Family, rounds: int) -> dict[str, Any]:
    """Everything about one family."""
    from ._models.in_diffusers import largest_error
    from ._models.memory import memory_of
    from ._models.shots import Studio, median_ms

    models = folder / "models"
    with torch.inference_mode():
        studio = Studio(folder / name, family, family.load(models))
        identical = studio.identical()
        memory = memory_of(studio, family.wide(models))
        error = largest_error(studio) if family.in_diffusers else None
        stock, shot = studio.timed(rounds)
    beside = [ours - theirs for ours, theirs in zip(shot.outside, stock.outside, strict=True)]
    shares = [part / whole for part, whole in zip(beside, shot.whole, strict=True)]
    return {
        "stock_ms": round(median_ms(stock.whole), 1),
        "memory_ms": round(median_ms(shot.whole), 1),
        "overhead_ms": round(median_ms(beside), 1),
        "overhead_share": round(statistics.median(shares), 4),
        "memory_predicted": [round(part) for part in memory.predicted],
        "memory_real": [round(part) for part in memory.real],
        "memory_predicted_over_real": round(memory.predicted_over_real, 3),
        "stock_identical": identical,
        "diffusers_max_error": error,
    }


def figures(row: dict[str, Any]) -> dict[str, Any]:
    """The part of a row that is compared from one day to another."""
    names = ("overhead_share", "memory_predicted_over_real", "stock_identical", "diffusers_max_error")
    return {name: row[name] for name in names}


def line(name: str, row: dict[str, Any]) -> str:
    """A row in words."""
    (reckoned, more_reckoned), (real, more_real) = row["memory_predicted"], row["memory_real"]
    error = row["diffusers_max_error"]
    return (
        f"{name:22}{row['stock_ms']:10.0f}{row['memory_ms']:11.0f}{row['overhead_ms']:12.1f}"
        f"{row['overhead_share']:8.1%}{more_reckoned / reckoned - 1:13.1%}{more_real / real - 1:8.1%}"
        f"{row['memory_predicted_over_real']:7.2f}{'equal' if row['stock_identical'] else 'NOT EQUAL':>12}"
        f"{'-' if error is None else f'{error:.0e}':>11}"
    )


def as_on_a_card() -> None:
    """PyTorch's attention, which the host takes on every NVIDIA card; its own for processors keeps whole squares of
    scores, so that what it measures of memory holds nowhere else. Call it before the host is imported."""
    from comfy.cli_args import args

    args.use_pytorch_cross_attention = True


def quiet() -> None:
    """Leaves the host's notes on each model out of the table."""
    import comfy.utils

    comfy.utils.PROGRESS_BAR_ENABLED = False
    logging.getLogger().setLevel(logging.ERROR)
    log.setLevel(logging.INFO)
