import io

import pytest
import rich.console

from pipeline import progress


@pytest.fixture
def printed(monkeypatch):
    """Return the lines that a pipe receives for calls of progress(done, total, what) by the stage features."""
    monkeypatch.setattr(progress, "PLAIN_LINE_SECONDS", 0.0)

    def run(*calls):
        text = io.StringIO()
        console = rich.console.Console(file=text, width=120)
        with progress.reporting(console, "features") as report:
            for call in calls:
                report(*call)
        return text.getvalue().splitlines()

    return run


def test_plain_line_names_stage_part_and_counts(printed):
    (line,) = printed((32, 100, "VGG19"), (64, 100, "VGG19"))
    assert line.startswith("features VGG19: 64 of 100, about ") and line.endswith(" left")


def test_no_time_is_estimated_at_the_first_count_or_the_end(printed):
    assert printed((32, 100), (100, 100)) == []


def test_frequent_reports_print_few_lines():
    text = io.StringIO()
    console = rich.console.Console(file=text, width=120)
    with progress.reporting(console, "search") as report:
        for done in range(10_000):
            report(done, 10_000)
    assert text.getvalue().count("\n") < 3


def test_terminal_shows_a_transient_bar():
    text = io.StringIO()
    console = rich.console.Console(file=text, width=120, force_terminal=True)
    with progress.reporting(console, "features") as report:
        report(1, 4, "ResNet50")
        report(4, 4, "ResNet50")
        report(1, 4, "VGG19")
    assert "features VGG19" in text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (185, "3 min 5 s"), (3600, "1 h 0 min"), (7850, "2 h 10 min")],
)
def test_duration_in_words(seconds, words):
    assert progress.duration(seconds) == words
