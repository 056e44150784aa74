import concurrent.futures
import dataclasses
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tiny_backbone
from tiny_backbone import TINY

from components.base import artifacts
from components.base.errors import NotFiniteError
from components.data import augmentation, class_folders, listing, records
from components.models import backbones, extraction, features, inference

SIZE_PX = 32
SEED = 7
AUGMENTATION = augmentation.Augmentation(SEED)
VIEWS, CHANNELS = 2, 16
WEIGHTS = backbones.Weights(None, 1)
NETWORK = extraction.Network(TINY, WEIGHTS, SIZE_PX, "tensorflow", "float32")


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """Register a backbone of three convolutions, because a real one takes seconds to build."""
    with tiny_backbone.known():
        yield


def ignore(done, total):
    pass


def extract(folder, source, views=VIEWS, progress=ignore, **changed):
    records_dir, photo_ids = source
    ids = changed.pop("photo_ids", photo_ids)
    source = extraction.Source(records_dir, ids, changed.pop("augmentation", AUGMENTATION))
    network = dataclasses.replace(NETWORK, **{name: changed.pop(name) for name in vars(NETWORK) if name in changed})
    extraction.extract(folder, source, network, views=views, progress=progress, **{"test_views": 1, **changed})


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("view-*.npy"))}


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("view-*.npy"))}


@pytest.fixture(scope="module")
def source(tmp_path_factory, save_classes):
    """Return the folder of the records of five photos, and their ids in order."""
    folder = tmp_path_factory.mktemp("source")
    root = save_classes(folder / "photos", {"glass": 3, "metal": 2})
    photo_list = listing.list_photos(class_folders.scan([root]), 2, SEED, ignore)[0]
    records.build(
        folder / "dataset",
        photo_list,
        image_size_px=SIZE_PX,
        max_pixels=10_000,
        max_rejects=0.0,
        folds=2,
        beam_args=(),
        progress=ignore,
    )
    return folder / "dataset", [photo.id for photo in photo_list]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, source):
    folder = tmp_path_factory.mktemp("uninterrupted") / TINY
    extract(folder, source)
    return folder


@pytest.fixture
def finished(tmp_path, uninterrupted):
    """Return a copy of the uninterrupted run's folder that a test may change."""
    return pathlib.Path(shutil.copytree(uninterrupted, tmp_path / TINY))


def test_each_view_file_has_one_row_of_channels_per_photo(uninterrupted):
    assert list(contents(uninterrupted)) == ["view-00.npy", "view-01.npy", "view-02.npy"]
    views = np.stack(features.Views(uninterrupted, VIEWS))
    assert views.shape == (3, 5, CHANNELS) and views.dtype == np.float32
    assert features.missing_views(uninterrupted, VIEWS, 1) == []


def test_view_equals_the_model_output_for_the_records_in_order(source, uninterrupted):
    records_dir, photo_ids = source
    clean = np.stack([record["image"] for record in records.read(records_dir).as_numpy_iterator()])
    views = [
        clean,
        *(
            augmentation.apply(clean, augmentation.transforms(photo_ids, view, AUGMENTATION, SIZE_PX))
            for view in (1, 2)
        ),
    ]
    model = backbones.build(TINY, WEIGHTS, SIZE_PX, "float32")
    expected = [model(pixels, training=False) for pixels in views]
    np.testing.assert_allclose(np.stack(features.Views(uninterrupted, VIEWS)), expected, rtol=1e-3, atol=1e-6)


def test_test_time_views_equal_those_of_the_served_model(finished, source):
    extract(finished, source, test_views=2)
    clean = np.stack([record["image"] for record in records.read(source[0]).as_numpy_iterator()])
    model = backbones.build(TINY, WEIGHTS, SIZE_PX, "float32")
    expected = [model(pixels, training=False) for pixels in (clean, clean[:, :, ::-1])]
    np.testing.assert_allclose(features.test_views(finished, 2), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 5])
def test_short_last_batch_is_included(source, monkeypatch, batch_size):
    records_dir, photo_ids = source
    monkeypatch.setattr(features, "BATCH_SIZE", batch_size)
    maps = augmentation.transforms(photo_ids, 1, AUGMENTATION, SIZE_PX)
    sizes, ids = [], []
    for batch_ids, pixels in features.batches(records_dir, maps, view=1):
        assert pixels.shape == (len(batch_ids), SIZE_PX, SIZE_PX, 3) and pixels.dtype == tf.uint8
        sizes.append(len(batch_ids))
        ids += [photo_id.decode() for photo_id in batch_ids.numpy()]
    assert sizes == {2: [2, 2, 1], 5: [5]}[batch_size]
    assert ids == photo_ids


def test_several_batches_give_the_same_features_as_one(tmp_path, source, uninterrupted, monkeypatch):
    monkeypatch.setattr(features, "BATCH_SIZE", 2)
    extract(tmp_path / TINY, source, views=0)
    expected = np.stack(features.Views(uninterrupted, 0))
    np.testing.assert_allclose(np.stack(features.Views(tmp_path / TINY, 0)), expected, rtol=1e-3, atol=1e-6)


def test_finished_views_are_skipped(finished, source):
    before, calls = times(finished), []
    extract(finished, source, progress=lambda done, total: calls.append((done, total)))
    assert times(finished) == before
    assert calls == []


def test_missing_view_is_recomputed_with_the_same_bytes(finished, source, uninterrupted):
    (finished / "view-01.npy").unlink()
    before, calls = times(finished), []
    extract(finished, source, progress=lambda done, total: calls.append((done, total)))
    assert contents(finished) == contents(uninterrupted)
    assert {name: time for name, time in times(finished).items() if name != "view-01.npy"} == before
    assert calls[-1] == (5, 5)


def test_added_views_keep_existing_ones_and_progress_counts_new_ones(finished, source):
    before, calls = times(finished), []
    extract(finished, source, views=VIEWS + 2, progress=lambda done, total: calls.append((done, total)))
    assert {name: times(finished)[name] for name in before} == before
    assert features.missing_views(finished, VIEWS + 2, 1) == []
    assert len(set(contents(finished).values())) == VIEWS + 3, "no two views are equal"
    assert calls == [(5, 10), (10, 10)]


def test_strong_augmentation_changes_augmented_views_and_keeps_the_clean_one(finished, source, uninterrupted):
    extract(finished, source, augmentation=augmentation.Augmentation(SEED, kind="strong"))
    strong, affine = contents(finished), contents(uninterrupted)
    assert {name: strong[name] == affine[name] for name in affine} == {
        "view-00.npy": True,
        "view-01.npy": False,
        "view-02.npy": False,
    }


@pytest.mark.parametrize("engine", ["openvino", "mnn"])
def test_another_engine_recomputes_all_views_with_close_results(engine, finished, source, uninterrupted):
    before = times(finished)
    extract(finished, source, engine=engine)
    assert all(times(finished)[name] != written for name, written in before.items())
    features_of_engine, expected = (np.stack(features.Views(folder, VIEWS)) for folder in (finished, uninterrupted))
    assert features_of_engine.dtype == np.float32
    np.testing.assert_allclose(features_of_engine, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "changed",
    [
        {"augmentation": augmentation.Augmentation(8)},
        {"augmentation": augmentation.Augmentation(SEED, "both")},
        {"augmentation": augmentation.Augmentation(SEED, kind="strong")},
        {"precision": "bfloat16"},
        {"weights": backbones.Weights(None, 2)},
    ],
    ids=["seed", "flips", "strong", "precision", "weights"],
)
def test_changed_setting_clears_the_folder(finished, source, changed):
    before = times(finished)
    extract(finished, source, views=0, **changed)
    assert features.missing_views(finished, VIEWS, 2) == [1, 2, -1], "they were computed with other settings"
    assert times(finished)["view-00.npy"] != before["view-00.npy"]


def test_view_with_changed_content_is_computed_again(finished, source, uninterrupted):
    np.save(finished / "view-01.npy", np.full((5, CHANNELS), 7, np.float32))
    assert features.missing_views(finished, VIEWS, 1) == [1]
    extract(finished, source)
    assert contents(finished) == contents(uninterrupted)


def test_view_that_was_killed_before_its_digest_was_written_is_computed_again(finished, source, uninterrupted):
    (finished / "view-01.json").unlink()
    assert features.missing_views(finished, VIEWS, 1) == [1]
    extract(finished, source)
    assert contents(finished) == contents(uninterrupted) and (finished / "view-01.json").exists()


def test_interrupted_run_resumes_with_the_same_bytes(tmp_path, source, uninterrupted):
    folder = tmp_path / TINY

    def stop(done, total):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(folder, source, progress=stop)
    assert features.missing_views(folder, VIEWS, 1) == [1, 2]
    before = times(folder)
    extract(folder, source)
    assert contents(folder) == contents(uninterrupted)
    assert times(folder)["view-00.npy"] == before["view-00.npy"]


@pytest.fixture
def executor(monkeypatch):
    """Return an executor whose tasks have two photos each."""
    monkeypatch.setattr(features, "BATCH_SIZE", 2)
    monkeypatch.setattr(extraction, "PHOTOS_PER_TASK", 2)
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        yield executor


def test_tasks_write_the_same_bytes(tmp_path, source, executor, monkeypatch):
    calls = []
    extract(tmp_path / "here", source)
    extract(tmp_path / "tasks", source, executor=executor, progress=lambda done, total: calls.append((done, total)))
    assert contents(tmp_path / "tasks") == contents(tmp_path / "here")
    assert sorted(path.name for path in (tmp_path / "tasks").iterdir()) == sorted(
        path.name for path in (tmp_path / "here").iterdir()
    )
    assert calls == sorted(calls) and calls[-1] == (15, 15)


def test_finished_tasks_are_not_computed_again(tmp_path, source, executor, monkeypatch):
    write, written = features.write_view, []

    def fail_at_the_third(path, *arguments, **more):
        written.append(path.name)
        if len(written) == 3:
            raise OSError("disk full")
        return write(path, *arguments, **more)

    monkeypatch.setattr(features, "write_view", fail_at_the_third)
    with concurrent.futures.ThreadPoolExecutor(1) as one, pytest.raises(OSError, match="disk full"):
        extract(tmp_path, source, views=0, executor=one)
    extract(tmp_path, source, views=0, executor=executor)
    assert written == [f"view-00-from-{start:09d}.npy" for start in (0, 2, 4, 4)]
    (view,) = contents(tmp_path).values()
    extract(tmp_path / "here", source, views=0)
    assert list(contents(tmp_path / "here").values()) == [view]


def test_parts_that_were_all_written_before_an_interruption_are_joined(tmp_path, source, executor, monkeypatch):
    def full(*arguments):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "_join", full)
        with pytest.raises(OSError, match="disk full"):
            extract(tmp_path, source, views=0, executor=executor)
    monkeypatch.setattr(features, "write_view", pytest.fail)
    extract(tmp_path, source, views=0, executor=executor)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["settings.json", "view-00.json", "view-00.npy"]


def test_view_interrupted_by_a_full_disk_leaves_no_file(tmp_path, source, monkeypatch):
    def full(batches):
        yield np.zeros((2, CHANNELS), np.float32)
        raise OSError("disk full")

    monkeypatch.setattr(inference, "load", lambda engine, model, precision: full)
    with pytest.raises(OSError, match="disk full"):
        extract(tmp_path / TINY, source)
    assert [path.name for path in (tmp_path / TINY).iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "pick",
    [lambda ids: ids[::-1], lambda ids: ids[:-1], lambda ids: [*ids, "0" * 16]],
    ids=["other order", "missing photo", "additional photo"],
)
def test_records_of_other_photos_raise_and_leave_no_file(tmp_path, source, pick):
    records_dir, photo_ids = source
    with pytest.raises(RuntimeError, match=r"[Rr]ecord"):
        extract(tmp_path / TINY, (records_dir, pick(photo_ids)), views=0)
    assert contents(tmp_path / TINY) == {}


def test_seconds_of_each_view_are_recorded(uninterrupted):
    assert all(artifacts.read_json(uninterrupted / f"view-{view:02d}.json")["seconds"] > 0 for view in range(VIEWS + 1))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_explicit_precision_is_used(precision):
    assert features.pick_precision(precision) == precision


@pytest.mark.skipif(not pathlib.Path("/proc/cpuinfo").exists(), reason="only Linux lists CPU features")
@pytest.mark.parametrize(
    ("flags", "gpus", "expected"),
    [
        ("flags : fpu avx512_bf16 avx2", 0, "bfloat16"),
        ("flags : amx_bf16", 0, "bfloat16"),
        ("flags : fpu avx512f avx2", 0, "float32"),
        ("flags : fpu avx512f avx2", 1, "bfloat16"),
    ],
)
def test_auto_precision_follows_the_hardware(monkeypatch, flags, gpus, expected):
    monkeypatch.setattr(pathlib.Path, "read_text", lambda path: flags)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    assert features.pick_precision("auto") == expected


def test_non_finite_activations_raise_and_leave_no_file(tmp_path, source):
    records_dir, photo_ids = source

    def forward(batches):
        for pixels in batches:
            yield np.full((len(pixels), 4), 70_000.0, np.float32)  # float16 holds 65,504 at most

    list(
        features.write_view(
            tmp_path / "32.npy",
            records_dir,
            photo_ids,
            forward=forward,
            view=0,
            augmentation=AUGMENTATION,
            dtype=np.float32,
        )
    )
    assert np.load(tmp_path / "32.npy").max() == 70_000
    with pytest.raises(NotFiniteError, match=r"Activations of photos for .*16\.npy must be finite"):
        list(
            features.write_view(
                tmp_path / "16.npy",
                records_dir,
                photo_ids,
                forward=forward,
                view=0,
                augmentation=AUGMENTATION,
                dtype=np.float16,
            )
        )
    assert not (tmp_path / "16.npy").exists()
