"""What everything else rests on: files, errors and metrics. Imports nothing heavy."""
