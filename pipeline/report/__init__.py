"""The report: figures with their uncertainty, plots, one page in two languages, and the card of the pushed model."""
