"""Text: tokens, novelty, reading and showing. Pure functions; nothing here knows a record."""
