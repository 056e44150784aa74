import pytest

from components.base import artifacts, claims


def test_claimed_file_is_written_and_the_claim_is_removed(tmp_path):
    with claims.claimed(tmp_path / "file"):
        artifacts.write_json(tmp_path / "file", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_process_that_was_replaced_writes_nothing(tmp_path):
    with claims.claimed(tmp_path / "file"):
        with claims.claimed(tmp_path / "file"):  # of another process
            artifacts.write_json(tmp_path / "file", "second")
        with pytest.raises(claims.LostClaimError, match=r"Another process has the task of .*file now"):
            artifacts.write_json(tmp_path / "file", "first")
        with pytest.raises(claims.LostClaimError):
            claims.check()
    assert artifacts.read_json(tmp_path / "file") == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_process_that_was_replaced_keeps_the_claim_of_the_other_one(tmp_path):
    with claims.claimed(tmp_path / "file"):
        (tmp_path / ".part-claim-file").write_text("of the other process")
    assert (tmp_path / ".part-claim-file").read_text() == "of the other process"


def test_claim_ends_with_its_block(tmp_path):
    with claims.claimed(tmp_path / "file"):
        (tmp_path / ".part-claim-file").unlink()  # as when the run starts again
    claims.check()
    artifacts.write_json(tmp_path / "other", 1)
