"""What is done with scores once they are there: bias, agreement with people, other thresholds. Asks no model."""
