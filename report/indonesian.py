"""The report's sentences in Indonesian, by the English ones."""

SENTENCES: dict[str, str] = {}
