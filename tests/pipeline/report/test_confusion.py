import pytest

from pipeline.report import confusion


def write(path, classes):
    matrix = [[3, 1], [0, 4]]
    return confusion.write(path, matrix, classes, title="t", x_label="x", y_label="y", side_inches=3)


def test_classes_without_a_font_are_numbered_with_one_warning(tmp_path, monkeypatch, caplog):
    fonts = [entry for entry in confusion.font_manager.fontManager.ttflist if entry.name.startswith("DejaVu")]
    monkeypatch.setattr(confusion.font_manager.fontManager, "ttflist", fonts)
    picture = write(tmp_path / "confusion.png", ["玻璃", "金属"])
    assert picture == write(tmp_path / "numbers.png", ["1", "2"])
    assert [record.message for record in caplog.records] == [
        f"no installed font has all letters of the class names: {tmp_path / 'confusion.png'} numbers the classes in "
        "alphabetical order"
    ]


@pytest.mark.parametrize("name", ["$_$", "5 $ to 10 $", "=1+1", "Métal", "Бумага"])
def test_class_names_are_written_unchanged(tmp_path, name, caplog):
    assert write(tmp_path / "confusion.png", [name, "metal"]) != write(tmp_path / "other.png", ["1", "metal"])
    assert not caplog.records
