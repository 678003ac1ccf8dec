"""What an order will take, before it is paid for: reckoned from a run that exists, a small one or a past one. Reads only.

`seen` is what the run shows, `spread` the statistics, `reckon` puts them together, `table` and `sample` are for the eye.
"""

from __future__ import annotations

from selfinstruct.forecast.model import Basis, Forecast, Range, Sample, Share, Spend, StageForecast
from selfinstruct.forecast.reckon import forecast
from selfinstruct.forecast.sample import sample, sheet
from selfinstruct.forecast.table import table

__all__ = [
    "Basis",
    "Forecast",
    "Range",
    "Sample",
    "Share",
    "Spend",
    "StageForecast",
    "forecast",
    "sample",
    "sheet",
    "table",
]
