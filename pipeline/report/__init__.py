"""The study's report: figures with their doubt, pictures, one page, and the card of a pushed model."""
