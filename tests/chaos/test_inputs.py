"""A short form of the failure trial of damaged photos, and of its own parts."""

import random

import pytest

from chaos.inputs import decoders, mutations, photo_samples
from chaos.inputs import trial as inputs
from components.data import images
from web import pictures

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damaged metadata
FILES = 12  # of each format


@pytest.mark.parametrize("file_format", photo_samples.FORMATS)
def test_damaged_photos_are_treated_the_same_by_a_run_and_the_page(file_format):
    samples = photo_samples.of(file_format)
    files = [inputs.file_of(7, file_format, number, samples) for number in range(FILES)]
    assert [failure for _, failure in decoders.treat(files) if failure] == []


def test_undamaged_photos_are_accepted_unless_they_are_animated():
    files = [file for name in photo_samples.FORMATS for file in photo_samples.of(name)]
    results = decoders.treat(files)
    assert [failure for _, failure in results if failure] == []
    assert {reason for reason, _ in results} == {"accepted", "animated"}


def test_photo_that_only_the_run_or_the_page_accepts_is_a_failure(monkeypatch):
    photo, text = photo_samples.of("JPEG")[0], b"text"
    good, refusal = decoders._decoder.plain(photo), pictures.BadPictureError(400, "broken")
    monkeypatch.setattr(decoders._decoder, "plain", lambda upload: good)
    assert decoders.treat([text]) == [
        ("not an image", f"the page accepts it, the run does not (not an image: none of {images.FORMAT_NAMES})")
    ]
    monkeypatch.setattr(decoders._decoder, "plain", lambda upload: (_ for _ in ()).throw(refusal))
    assert decoders.treat([photo]) == [("accepted", "the run accepts it, the page does not (broken)")]


def test_photo_that_is_not_upright_on_the_page_is_a_failure(monkeypatch):
    turned = photo_samples.of("JPEG")[2]
    shown = images.encode_jpeg(images.upright(turned).transpose(images.TURNS[3]))
    monkeypatch.setattr(decoders._decoder, "plain", lambda upload: shown)
    ((_, failure),) = decoders.treat([turned])
    assert failure and "levels" in failure


def test_same_seed_gives_the_same_files_and_another_seed_others():
    samples = photo_samples.of("PNG")
    first, again, other = ([inputs.file_of(seed, "PNG", n, samples) for n in range(50)] for seed in (1, 1, 2))
    assert first == again != other


def test_pieces_of_a_photo_join_to_its_bytes():
    for name in photo_samples.FORMATS:
        for photo in photo_samples.of(name):
            assert b"".join(mutations.pieces(photo)) == photo
            assert mutations.repaired(photo) == photo


def test_every_mutation_changes_some_photos():
    for mutation in mutations.MUTATIONS:
        rng, samples = random.Random(1), photo_samples.of("JPEG")
        assert any(mutation(rng, photo, samples) != photo for photo in samples)


def test_crashed_worker_is_reported_with_the_file_and_the_others_are_treated(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(inputs.Worker, "_start", lambda worker: started.append(list(worker.todo)))
    worker = inputs.Worker(1, [("PNG", range(2)), ("PNG", range(2, 4))], tmp_path)
    worker.at = 0
    monkeypatch.setattr(worker, "pipe", type("Pipe", (), {"close": lambda self: None})(), raising=False)
    assert worker._failed("it crashed")
    assert started[1] == [("PNG", range(1)), ("PNG", range(1, 2)), ("PNG", range(2, 4))]
    assert worker._failed("it crashed")
    assert worker.tally.failures == [("PNG", 0, "it crashed")]
