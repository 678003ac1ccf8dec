"""One stage per file; the file name is the `kind` in a recipe."""
