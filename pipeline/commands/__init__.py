"""Commands on a run folder beside the run itself."""
