"""What is shown of a run or a published version, counted so that it can be added up."""
