import pytest

from pipeline.report import localization


@pytest.mark.parametrize(
    ("value", "style", "english", "indonesian"),
    [
        (0.99996, "%", "> 99.9 %", "> 99,9 %"),
        (0.0002, "%", "< 0.1 %", "< 0,1 %"),
        (0.95, "0%", "95 %", "95 %"),
        (0.996, "0%", "> 99 %", "> 99 %"),
        (0.0457, "points", "4.6", "4,6"),
        (0.99996, "3", "> 0.999", "> 0,999"),
        (0.999, "2", "> 0.99", "> 0,99"),
        (0.0002, "3", "< 0.001", "< 0,001"),
        (-0.0002, "3", "> \N{MINUS SIGN}0.001", "> \N{MINUS SIGN}0,001"),
        (0.9996, "p", "> 0.999", "> 0,999"),
        (0.0, "p", "< 0.001", "< 0,001"),
        (1.0, "%", "100.0 %", "100,0 %"),
        (0.0, "3", "0.000", "0,000"),
        (1234.5678, "1", "1,234.6", "1.234,6"),
        (2521, "", "2,521", "2.521"),
        (0.0001, "", "0.0001", "0,0001"),
        (None, "3", "\N{EN DASH}", "\N{EN DASH}"),
    ],
)
def test_number_is_localized_and_not_rounded_to_0_or_1(value, style, english, indonesian):
    texts = [localization.format_number(value, style, language) for language in ("en", "id")]
    assert texts == [english, indonesian]


def test_sign_of_a_limit_is_escaped_in_html():
    figure = localization.figure_tags({"share": 0.0002}, "en")
    assert ">&lt; 0.1 %</data>" in figure("share", "%")
