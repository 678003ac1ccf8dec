"""Walks every record through the stages. Alone in knowing asyncio tasks; knows no prompt, no format and no SQL.

`run.py` decides what is begun, in which order it counts and when it is enough; `walk.py` follows one lineage and knows no
order. Where several processes work on one run, its owner does the first stage (`run.py`, `crew.py`) and workers the rest
(`hand.py`). How a run stays the same for any concurrency and any number of kills: a request's prompt depends on the pool after an
earlier, fixed request; admission happens in request order; every answer is written down before it is used, and looked up
before a call is sent.
"""

from selfinstruct.runner.ask import recall
from selfinstruct.runner.hand import LEASE_SECONDS, LEAST_LEASE, Hand
from selfinstruct.runner.hire import Hired, hired
from selfinstruct.runner.order import FIRST_GUESS
from selfinstruct.runner.plan import Ended, Limits, Plan, Tally
from selfinstruct.runner.run import Runner
from selfinstruct.runner.walk import UNREADABLE

__all__ = [
    "FIRST_GUESS",
    "LEASE_SECONDS",
    "LEAST_LEASE",
    "UNREADABLE",
    "Ended",
    "Hand",
    "Hired",
    "Limits",
    "Plan",
    "Runner",
    "Tally",
    "hired",
    "recall",
]
