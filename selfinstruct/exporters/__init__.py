"""Formats, one per file; the file name is the `kind`. They make rows; `selfinstruct.export` writes them."""
