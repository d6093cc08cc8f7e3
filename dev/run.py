"""`python -m dev.run dev.bench.moc ARGS...` runs `main(ARGS)` of a module of the pack.

The pack is made importable when this module is imported, so that worker processes that start afresh find it too.
"""

from __future__ import annotations

import logging
import sys

from .support.pack import import_from_pack, load_pack

load_pack()


def main(argv: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    module, *arguments = argv
    result = import_from_pack(module).main(arguments)
    return int(result or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
