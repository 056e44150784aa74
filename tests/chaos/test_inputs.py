"""A short form of the failure trial of damaged photos, and of its own parts."""

import random
import signal

import pytest

from chaos.inputs import decoders, mutations, photo_samples, tallies
from chaos.inputs import trial as inputs
from components.data import images
from web import decoding, pictures

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


def test_decoder_that_crashes_is_a_failure_also_where_the_run_refuses_the_photo(monkeypatch):
    photo = photo_samples.of("JPEG")[0][:-60]
    assert decoders.treat([photo]) == [("truncated", None)]
    monkeypatch.setattr(decoding, "_run", lambda upload, max_pixels: (b"", -signal.SIGSEGV))
    ((reason, failure),) = decoders.treat([photo])
    assert reason == "truncated"
    assert failure.startswith("the page logged an error: The decoder of an upload ended with exit code -11")


def test_growing_memory_is_a_failure_after_a_warm_up():
    warm_up, steady = [100.0] * 20, [800.0] * 80
    assert tallies.growth(warm_up + steady) is None
    assert tallies.growth([*warm_up, *steady, 850.0]) is None
    assert tallies.growth([*warm_up, *steady, 920.0]) == "memory grew from 800 to 920 MiB"


def test_more_than_few_files_that_are_too_costly_are_a_failure():
    assert tallies.too_many_costly(costly=1, files=32) is None
    assert tallies.too_many_costly(costly=100, files=10_000) is None
    assert tallies.too_many_costly(costly=2, files=32) == "2 of 32 files are too costly"
    assert tallies.too_many_costly(costly=101, files=10_000) == "101 of 10,000 files are too costly"


def test_outcomes_contain_costly_files_and_growing_memory(tmp_path):
    tally = tallies.Tally(memory_mib=[500.0] * 99 + [900.0])
    tally.counts["PNG", "too costly"] = 16
    png, _, memory = inputs._outcomes([tally], 1, {"PNG": 16}, tmp_path)
    assert png.failures == ("16 of 16 files are too costly",)
    assert (memory.runs, memory.failures) == (1, ("memory grew from 500 to 900 MiB",))


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
