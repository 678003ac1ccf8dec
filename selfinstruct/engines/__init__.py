"""Engines turn a prompt into completions. They know no stage, no store, no retry of a record."""
