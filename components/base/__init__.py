"""Files, errors, metrics and settings, used by everything else. Imports nothing heavy."""
