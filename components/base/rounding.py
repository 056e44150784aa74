"""Shares and scores as text; only exact 0 and 1 are shown as 0 and 1. Imports nothing heavy."""


def limit(value: float, decimals: int) -> tuple[str, float]:
    """Return "" and `value`; if it would be rounded to 0, 1 or -1, return "<" or ">" and the nearest limit instead.

    With 4 decimals, 0.99996 gives ">" and 0.9999, and -0.00001 gives ">" and -0.0001.
    """
    step, size = 10**-decimals, abs(value)
    half = 0.50001 * step  # a little more than half, because formats differ in how they round halves
    if 0 < size <= half:
        nearest = step
    elif 1 - half <= size < 1:
        nearest = 1 - step
    else:
        return "", value
    if value < 0:
        nearest = -nearest
    return "<" if value < nearest else ">", nearest


def text(value: float, spec: str) -> str:
    """Return `value` in a format such as ".4f" or ".1%", with its `limit`: "> 0.9999"."""
    sign, shown = limit(value, int(spec[1:-1]) + (2 if spec.endswith("%") else 0))
    return f"{sign} {shown:{spec}}".lstrip()
