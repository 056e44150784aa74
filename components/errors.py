"""The one error that a user can act on."""


class PilahError(Exception):
    """A stage cannot go on: the message gives the rule, the value received and the next action, on one line."""
