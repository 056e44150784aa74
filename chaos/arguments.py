"""The options that all trials have: `python -m chaos.NAME.trial --seed N --short`."""

import argparse


def parser(description: str | None, short: str = "A few repetitions of each trial.") -> argparse.ArgumentParser:
    """Return a parser of --seed and --short, whose help is `short`."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--seed", type=int, default=1, help="Seed of the random moments and mutations.")
    options.add_argument("--short", action="store_true", help=short)
    return options
