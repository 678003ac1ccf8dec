"""Charts as SVG text: no library, no script, no style sheet, so that they stand in a strict page, a file or an e-mail alike.

Colours are presentation attributes and text takes the page's own colour (`currentColor`): a page may restyle the classes,
and need not. `standalone` puts the chart on a light card with colours of its own, for a file or a data URI in Markdown.
"""

from selfinstruct.pictures.funnel import FunnelBar, FunnelWords, funnel
from selfinstruct.pictures.histogram import Bin, HistogramWords, histogram
from selfinstruct.pictures.lines import Line, lines
from selfinstruct.pictures.shares import Share, shares
from selfinstruct.pictures.sunburst import sunburst
from selfinstruct.pictures.svg import DROPPED, KEPT, data_uri

__all__ = [
    "DROPPED",
    "KEPT",
    "Bin",
    "FunnelBar",
    "FunnelWords",
    "HistogramWords",
    "Line",
    "Share",
    "data_uri",
    "funnel",
    "histogram",
    "lines",
    "shares",
    "sunburst",
]
