"""The one error that a user can act on."""


class PilahError(Exception):
    """A stage cannot go on: the message gives the rule, the value received and the next action, on one line."""


class NotFiniteError(PilahError):
    """Numbers that must be finite are not; every comparison with them would be false."""
