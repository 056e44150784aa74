"""Errors that a user can act on."""


class PilahError(Exception):
    """A stage cannot continue; the one-line message explains what is wrong, where, and what to do."""


class NotFiniteError(PilahError):
    """Numbers that must be finite are not; comparisons with nan are always false."""
