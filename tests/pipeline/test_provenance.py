import pathlib

from pipeline import provenance


def test_fingerprint_of_the_code_changes_with_a_line_in_any_folder(tmp_path):
    for folder in ("pipeline/report", "components/models", "tuner"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "code.py").write_text("rate = 1")
    before = provenance.code_fingerprint(tmp_path)
    for file in sorted(tmp_path.rglob("*.py")):
        file.write_text("rate = 2")
        assert provenance.code_fingerprint(tmp_path) != before, file
        file.write_text("rate = 1")
    assert provenance.code_fingerprint(tmp_path) == before


def test_code_that_makes_a_model_is_found():
    root = pathlib.Path(provenance.__file__).parents[1]
    assert (
        provenance.code_fingerprint() == provenance.code_fingerprint(root) != provenance.code_fingerprint(root / "docs")
    )
