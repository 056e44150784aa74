"""Fixtures of the tests that train folds."""

import pytest

from components.models import head


@pytest.fixture
def fail_fits(monkeypatch):
    """Return a function of (numbers, error) after which the n-th call of head.fit raises `error` for n in `numbers`.

    The function returns the list of the numbers of all calls.
    """

    def fail(numbers, error):
        calls, fit = [], original

        def fit_or_fail(*args, **kwargs):
            calls.append(len(calls) + 1)
            if calls[-1] in numbers:
                raise error
            return fit(*args, **kwargs)

        monkeypatch.setattr(head, "fit", fit_or_fail)
        return calls

    original = head.fit
    return fail


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    """Keep what TensorFlow leaves in training processes, which end without removing it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
