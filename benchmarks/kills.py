"""Kills a running command at seeded points and counts what that cost: 20 points by calls, 20 by time (or as many as asked).

python benchmarks/kills.py [KILLS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.killing import series


def main(kills: int) -> None:
    """Every series compares each killed run's export and ledger with an undisturbed run's; a difference ends it."""
    for by_calls in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            verdict = series(Path(folder), kills=kills, by_calls=by_calls, seed=f"benchmark-{by_calls}")
        print(
            f"{verdict.kills} kills by {'calls' if by_calls else 'time'}: 0 lost, 0 duplicated, exports equal; "
            f"{verdict.repeated} committed too late and asked again, the oldest {verdict.oldest_repeat * 1000:.0f} ms old; "
            f"{verdict.in_flight} in flight"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
