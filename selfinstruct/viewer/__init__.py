"""The viewer: pages over a catalogue or a run, on this machine only, and the files of a catalogue for `download`.

library.py  what there is to look at      index.py    rows and drops, to be searched and sorted
lineage.py  where a row came from         pages.py    facts -> HTML; knows no request, so that files can be written of it
texts.py    hostile text, made visible    server.py   URL -> page; the only module that knows HTTP
"""
