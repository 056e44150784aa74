import concurrent.futures
import pathlib

import pytest
import sqlalchemy as sa
import web_app
from web_app import Browser, photo

from web import exports, uploads
from web.database import Upload, db


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "corrections"


@pytest.fixture
def browser(app):
    return Browser(app)


def corrected(browser, class_name="metal"):
    row_id = browser.uploaded(photo("glass"))
    assert browser.post(f"/result/{row_id}/correction", {"class_name": class_name}).status_code == 303
    return row_id


def export(app, folder):
    return app.test_cli_runner().invoke(args=["export-corrections", str(folder)])


def exported(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_copy_is_deleted_with_its_row(app, browser, folder):
    deleted, kept = corrected(browser), corrected(browser)
    assert export(app, folder).exit_code == 0
    browser.post(f"/result/{deleted}/deletion")
    assert exported(folder) == [f"metal/{kept}.jpg"]


@pytest.mark.parametrize("answer", [{"feedback": "confirmed"}, {"class_name": "metal"}])
def test_sample_photo_takes_no_answer_and_is_not_exported(app, browser, folder, answer):
    row_id = browser.post("/classify/sample", {"sample": "glass"}).location.rpartition("/")[2]
    page = browser.get(f"/result/{row_id}").text
    assert "This is one of our sample photos." in page and "/correction" not in page
    assert browser.post(f"/result/{row_id}/correction", answer).status_code == 400
    assert (export(app, folder).exit_code == 0 and not folder.exists()) or exported(folder) == []


def test_confirmed_photos_are_exported_in_the_folder_of_the_predicted_class(app, browser, folder):
    confirmed = browser.uploaded(photo("glass"))
    browser.post(f"/result/{confirmed}/correction", {"feedback": "confirmed"})
    unanswered = browser.uploaded(photo("glass"))
    assert export(app, folder).exit_code == 0
    assert exported(folder) == [f"glass/{confirmed}.jpg"] and unanswered not in "".join(exported(folder))


def test_photos_of_no_class_or_several_things_are_exported_only_apart(app, browser, folder, tmp_path):
    none, several = browser.uploaded(photo("glass")), browser.uploaded(photo("metal"))
    browser.post(f"/result/{none}/correction", {"feedback": "none"})
    browser.post(f"/result/{several}/correction", {"feedback": "several"})
    done = export(app, folder)
    assert done.exit_code == 0 and "left out 2 photos" in done.output and exported(folder) == []
    arguments = ["export-corrections", str(folder), "--others", str(tmp_path / "others")]
    assert app.test_cli_runner().invoke(args=arguments).exit_code == 0
    assert exported(folder) == []
    assert exported(tmp_path / "others") == [f"none-of-these/{none}.jpg", f"several-things/{several}.jpg"]
    browser.post(f"/result/{none}/deletion")
    assert exported(tmp_path / "others") == [f"several-things/{several}.jpg"]


@pytest.mark.parametrize("name", ["corrections", "corrections/others", "."])
def test_others_in_the_folder_of_training_photos_are_refused(app, browser, folder, name):
    corrected(browser)
    done = app.test_cli_runner().invoke(args=["export-corrections", str(folder), "--others", str(folder.parent / name)])
    assert done.exit_code == 1 and "--others must be outside FOLDER" in done.output and not folder.exists()


def test_copies_are_readable_only_by_their_owner(app, browser, folder):
    row_id = corrected(browser)
    export(app, folder)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (folder, *folder.rglob("*"))}
    assert modes == {"corrections": "0o700", "metal": "0o700", f"{row_id}.jpg": "0o600"}
    (folder / "metal" / f"{row_id}.jpg").chmod(0o644)  # the mode in earlier versions
    export(app, folder)
    assert (folder / "metal" / f"{row_id}.jpg").stat().st_mode & 0o777 == 0o600


def test_repeated_export_adds_moves_and_removes_copies(app, browser, folder):
    moved, cleared, deleted = (corrected(browser) for _ in range(3))
    export(app, folder)
    browser.post(f"/result/{moved}/correction", {"class_name": "paper"})
    browser.post(f"/result/{cleared}/correction", {"feedback": "withdrawn"})
    with app.app_context():  # as if the folder was missing when the photo was deleted
        db.session.execute(sa.delete(Upload).where(Upload.id == deleted))
        db.session.commit()
    added = corrected(browser, "paper")
    (folder / "metal" / "notes.txt").write_text("mine")
    done = export(app, folder)
    assert done.exit_code == 0 and "wrote 2 " in done.output and "removed 3 " in done.output
    assert exported(folder) == sorted(["metal/notes.txt", f"paper/{moved}.jpg", f"paper/{added}.jpg"])


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/x", "a/b", "..", ".", "", ".hidden", "a\0b", "m" * 256, "\u00e9" * 128, "/", "../uploads"],
)
def test_class_name_that_cannot_be_a_folder_is_refused(name):
    assert not exports.is_folder_name(name)


@pytest.mark.parametrize("name", ["glass", "Restm\u00fcll", "a b", "CON", "x.", "-rf", "m" * 255, "$(id)", "\\"])
def test_other_class_names_are_folder_names(app, browser, folder, name):
    row_id = corrected(browser)
    with app.app_context():
        exports.update(uploads.service().store, folder, {row_id: name})
    assert exported(folder) == [f"{name}/{row_id}.jpg"]


def test_nothing_is_exported_if_others_cannot_be(app, browser, folder, tmp_path):
    corrected(browser)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "letter.txt").write_text("")
    done = app.test_cli_runner().invoke(args=["export-corrections", str(folder), "--others", str(tmp_path / "others")])
    assert done.exit_code == 1 and f"(got {tmp_path / 'others'})" in done.output and not folder.exists()


def test_class_name_outside_the_folder_is_not_exported_and_others_are(app, browser, folder):
    unsafe, safe = corrected(browser), corrected(browser)
    with app.app_context():
        db.session.execute(sa.update(Upload).where(Upload.id == unsafe).values(corrected_class="../../x"))
        db.session.commit()
    done = export(app, folder)
    assert done.exit_code == 1 and "'../../x'" in done.output
    assert [path.name for path in folder.parent.rglob("*.jpg") if "uploads" not in path.parts] == [f"{safe}.jpg"]


@pytest.mark.parametrize("step", ["before the copy", "after the copy"])
def test_photo_deleted_during_an_export_is_not_in_it(app, browser, folder, monkeypatch, step):
    row_id = corrected(browser)
    write = exports.write_atomically

    def write_and_delete(path, content):
        if path.suffix == ".jpg" and step == "before the copy":
            uploads.service().remove(row_id)
        write(path, content)
        if path.suffix == ".jpg" and step == "after the copy":
            uploads.service().remove(row_id)

    monkeypatch.setattr(exports, "write_atomically", write_and_delete)
    assert export(app, folder).exit_code == 0
    assert exported(folder) == []


def test_killed_export_is_completed_by_the_next_one(app, browser, folder):
    ids = [corrected(browser) for _ in range(2)]
    with app.app_context():
        exports.update(uploads.service().store, folder, {ids[0]: "metal"})
    part = folder / "metal" / f"{ids[1]}.abc.part"
    part.write_bytes(b"half")
    assert export(app, folder).exit_code == 0
    assert exported(folder) == sorted(f"metal/{row_id}.jpg" for row_id in ids)
    part.write_bytes(b"half")
    browser.post(f"/result/{ids[1]}/deletion")
    assert exported(folder) == [f"metal/{ids[0]}.jpg"]


def test_concurrent_exports_leave_one_copy_per_photo(app, browser, folder):
    ids = [corrected(browser) for _ in range(5)]
    with app.app_context():
        store = uploads.service().store
    class_maps = [dict.fromkeys(ids, name) for name in ("metal", "paper")]
    with concurrent.futures.ThreadPoolExecutor(2) as operators:
        list(operators.map(lambda classes: exports.update(store, folder, classes), class_maps))
    assert sorted(path.stem for path in folder.rglob("*.jpg")) == sorted(ids)


def test_links_in_the_folder_are_not_followed(app, browser, folder, tmp_path):
    row_id = corrected(browser)
    export(app, folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{row_id}.jpg").write_bytes(b"another file")
    (folder / "paper").symlink_to(elsewhere)
    (folder / "metal" / f"{row_id}.jpg").unlink()
    (folder / "metal" / f"{row_id}.jpg").symlink_to(elsewhere / f"{row_id}.jpg")
    assert export(app, folder).exit_code == 0
    copy = folder / "metal" / f"{row_id}.jpg"
    assert not copy.is_symlink() and copy.read_bytes() != b"another file"
    browser.post(f"/result/{row_id}/correction", {"class_name": "paper"})
    done = export(app, folder)
    assert done.exit_code == 1 and "paper must be a folder, but is a symbolic link" in done.output
    browser.post(f"/result/{row_id}/deletion")
    assert (elsewhere / f"{row_id}.jpg").read_bytes() == b"another file"


@pytest.mark.parametrize("name", ["uploads", "uploads/ab", "exports", "."])
def test_export_to_the_pages_own_folders_is_refused(app, browser, name):
    row_id = corrected(browser)
    done = export(app, pathlib.Path(app.instance_path) / name)
    assert done.exit_code == 1 and "the page's own files" in done.output
    assert web_app.files(app) == [f"{row_id}.jpg"]


def test_export_to_an_unwritable_folder_fails_with_one_line(app, browser):
    corrected(browser)
    done = export(app, "/proc/corrections")
    assert done.exit_code == 1 and "/proc/corrections" in done.output and done.output.count("\n") == 1


def test_doctor_deletes_copies_without_a_photo(app, browser, folder):
    deleted, kept = corrected(browser), corrected(browser)
    export(app, folder)
    app.extensions["pilah_uploads"].store.picture(deleted).unlink()
    done = app.test_cli_runner().invoke(args=["doctor"])
    assert done.exit_code == 0, done.output
    assert exported(folder) == [f"metal/{kept}.jpg"]


def test_prune_with_corrections_deletes_the_exported_copies(app, browser, folder):
    corrected(browser)
    export(app, folder)
    assert app.test_cli_runner().invoke(args=["prune", "--days", "0", "--with-corrections"]).exit_code == 0
    assert exported(folder) == []


def test_deleted_export_folder_blocks_no_deletion_and_is_created_again(app, browser, folder):
    deleted, kept = corrected(browser), corrected(browser)
    export(app, folder)
    for path in folder.rglob("*.jpg"):
        path.unlink()
    (folder / "metal").rmdir()
    folder.rmdir()
    assert browser.post(f"/result/{deleted}/deletion").status_code == 303
    assert export(app, folder).exit_code == 0 and exported(folder) == [f"metal/{kept}.jpg"]
