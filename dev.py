"""SceneMemory on a fresh machine: `python dev.py demo | test | serve | bench NAME | pictures | train`, and `--help`."""

# Up to the check every Python there is can read this file: an old one gets a sentence, not a traceback.
import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "SceneMemory needs Python 3.10 to 3.13, and this is Python {}.{}: ".format(*sys.version_info)
        + "install Python 3.12, for example, and run dev.py with it."
    )

from dev.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
