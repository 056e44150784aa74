import pytest

from components.base import rounding


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        (0.99996, ".4f", "> 0.9999"),
        (0.99994, ".4f", "0.9999"),
        (0.9996, ".1%", "> 99.9%"),
        (0.9994, ".1%", "99.9%"),
        (0.0004, ".1%", "< 0.1%"),
        (0.0006, ".1%", "0.1%"),
        (5e-324, ".4f", "< 0.0001"),
        (-0.00004, ".4f", "> -0.0001"),
        (-0.99996, ".4f", "< -0.9999"),
        (0, ".1%", "0.0%"),
        (1.0, ".4f", "1.0000"),
        (-1.0, ".4f", "-1.0000"),
        (1.00001, ".4f", "1.0000"),
        (0.5, ".1%", "50.0%"),
    ],
)
def test_only_exact_0_and_1_are_shown_as_0_and_1(value, spec, expected):
    assert rounding.text(value, spec) == expected


@pytest.mark.parametrize("decimals", [1, 3, 4])
def test_value_at_half_a_step_is_shown_with_a_limit(decimals):
    half = 0.5 * 10**-decimals
    assert rounding.limit(half, decimals) == ("<", 10**-decimals)
    assert rounding.limit(1 - half, decimals) == (">", 1 - 10**-decimals)
