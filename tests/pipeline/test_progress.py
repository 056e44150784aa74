import io
import logging
import re

import pytest
import rich.console

from pipeline import progress


@pytest.fixture
def logged(monkeypatch, caplog):
    """Return a function that returns the messages logged for calls of progress(done, total, what) in features."""
    monkeypatch.setattr(progress, "MESSAGE_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "pilah")

    def run(*calls):
        text = io.StringIO()
        console = rich.console.Console(file=text)
        with progress.reporting(console, "features") as report:
            for call in calls:
                report(*call)
        assert text.getvalue() == ""
        return caplog.messages

    return run


def test_message_names_stage_part_and_counts(logged):
    (message,) = logged((32, 100, "VGG19"), (64, 100, "VGG19"))
    assert re.fullmatch(r"features VGG19: 64 of 100, \S+ per second, about .* left", message)


def test_message_has_the_note_even_if_nothing_is_finished(logged):
    first, second = logged((0, 100, "", "3 workers, 3 tasks"), (8, 100, "", "2 workers, 2 tasks"))
    assert first == "features: 0 of 100, 3 workers, 3 tasks"
    assert second.startswith("features: 8 of 100, 2 workers, 2 tasks, ")


def test_no_time_is_estimated_at_the_first_count_or_the_end(logged):
    assert logged((32, 100), (100, 100)) == []


def test_frequent_calls_log_few_messages(caplog):
    caplog.set_level(logging.INFO, "pilah")
    with progress.reporting(rich.console.Console(file=io.StringIO()), "search") as report:
        for done in range(10_000):
            report(done, 10_000)
    assert len(caplog.messages) < 3


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
def test_duration_is_in_words(seconds, words):
    assert progress.duration(seconds) == words
