"""Commands on a run folder other than the run itself, one per module."""
