"""What tokens and hours cost, in whatever currency the user counts. Knows no run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from selfinstruct.records import Frozen

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Price(Frozen):
    """Prices; all 0 by default, so that nothing costs anything."""

    per_million_in: Amount = 0.0
    """For a million prompt tokens."""
    per_million_out: Amount = 0.0
    """For a million completion tokens."""
    per_gpu_hour: Amount = 0.0
    """For an hour of the machine that serves, all its GPUs together."""

    def cost(self, prompt_tokens: float, completion_tokens: float, seconds: float) -> float:
        """Return what so many tokens, and so long a time, cost."""
        tokens = prompt_tokens * self.per_million_in + completion_tokens * self.per_million_out
        return tokens / 1_000_000 + seconds / 3600 * self.per_gpu_hour
