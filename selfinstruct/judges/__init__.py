"""Stages that make judgements, one per file; the file name is the `kind` in a recipe."""
