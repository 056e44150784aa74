"""Errors that a user can act on."""


class PilahError(Exception):
    """A stage cannot continue; the message says on one line what is wrong, where, and what to do."""


class NotFiniteError(PilahError):
    """Numbers that must be finite are not; comparisons with nan are always false."""
