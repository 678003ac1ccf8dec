"""Fetches a published version, whole, or as rows of a format that a trainer reads; whatever breaks, what came is kept.

`source.py` what a version is read from; `files.py` a folder, any fsspec URL, the Hub; `http.py` a catalogue that is served;
`plan.py` which files are wanted, and whether they can be had; `fetch.py` one file, going on where an earlier try stopped;
`rows.py` rows of shards; `work.py` all of it in order; `watch.py` how far it is; `push.py` the other way, to the Hub.
"""

from selfinstruct.download.plan import Order, Plan, make_plan
from selfinstruct.download.source import Source, open_source
from selfinstruct.download.work import download

__all__ = ["Order", "Plan", "Source", "download", "make_plan", "open_source"]
