"""`selfinstruct`, `python -m selfinstruct`. Imports nothing before it is ready for a Ctrl-C: imports may take a second."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run a command; a Ctrl-C that comes before the command, or after it was told of, ends without a traceback."""
    try:
        from selfinstruct.cli import main as work  # noqa: PLC0415 - here a Ctrl-C is caught

        work()
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on\n")
        sys.exit(130)  # errors.Exit.INTERRUPTED, which may not be imported yet


if __name__ == "__main__":
    main()
