import concurrent.futures
import errno
import pathlib
import shutil
import threading
import time

import pytest
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.embedded import status, versions

GIVE_UP_SECONDS = 10.0  # so that a defect fails a test instead of blocking it
State = versions.State


class Servable:
    """A servable that holds the text of the version's graph file."""

    def __init__(self, version, text, on_close):
        self.version, self.text, self.closed = version, text, False
        self._on_close = on_close

    def close(self):
        self.closed = True
        self._on_close()


class Loader:
    """A `load` function that records what is loaded and closed; a version whose graph is "broken" fails to load."""

    def __init__(self):
        self.events = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, name, version, path):
        self.events.append(f"load {name} {version}")
        assert self.gate.wait(GIVE_UP_SECONDS)
        text = (path / "saved_model.pb").read_text()
        if text == "broken":
            raise status.StatusError(status.Code.DATA_LOSS, "the graph is broken")
        return Servable(version, text, lambda: self.events.append(f"close {name} {version}"))


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def models(loader):
    models = versions.Models(loader)
    yield models
    loader.gate.set()
    models.close()


@pytest.fixture
def base(tmp_path):
    """Return the folder of a model's versions."""
    (tmp_path / "m").mkdir()
    return tmp_path / "m"


@pytest.fixture
def background():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield pool


def push(base, version, text="graph"):
    """Add a version by renaming its complete folder, as a run of the pipeline does."""
    part = base / f".part-{version}"
    part.mkdir(parents=True)
    (part / "saved_model.pb").write_text(text)
    return part.rename(base / str(version))


def model(name, base, *, labels=None, platform="tensorflow", **policy):
    """Return a model's configuration; `policy` is latest=2, specific=[1, 3], all=True or empty."""
    config = model_server_config_pb2.ModelConfig(name=name, base_path=str(base), model_platform=platform)
    if "latest" in policy:
        config.model_version_policy.latest.num_versions = policy["latest"]
    if "specific" in policy:
        config.model_version_policy.specific.versions.extend(policy["specific"])
    if "all" in policy:
        config.model_version_policy.all.SetInParent()
    config.version_labels.update(labels or {})
    return config


def configure(models, *configs):
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.extend(configs)
    models.configure(config)


def spec(name="m", version=None, label=None):
    model_spec = model_pb2.ModelSpec(name=name)
    if version is not None:
        model_spec.version.value = version
    if label is not None:
        model_spec.version_label = label
    return model_spec


def answering_version(models, *args, **kwargs):
    """Return the number of the version that answers."""
    with models.handle(spec(*args, **kwargs)) as servable:
        assert not servable.closed
        return servable.version


def served_versions(models, name="m", candidates=range(20)):
    """Return the numbers among `candidates` that answer."""
    numbers = []
    for version in candidates:
        try:
            numbers.append(answering_version(models, name, version))
        except status.StatusError as error:
            assert error.code is status.Code.NOT_FOUND
    return numbers


def states(models, name="m"):
    return {version: state for version, (state, _) in models.statuses(spec(name)).items()}


def code_of(call):
    with pytest.raises(status.StatusError) as caught:
        call()
    return caught.value.code


def wait_until(condition):
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.002)


def test_version_with_the_highest_number_answers(models, base):
    push(base, 2)
    push(base, 10)
    configure(models, model("m", base))
    assert answering_version(models) == 10
    assert served_versions(models) == [10]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, [10]),
        ({"latest": 1}, [10]),
        ({"latest": 2}, [3, 10]),
        ({"latest": 9}, [1, 3, 10]),
        ({"all": True}, [1, 3, 10]),
        ({"specific": [1]}, [1]),
        ({"specific": [1, 3, 7]}, [1, 3]),
    ],
    ids=str,
)
def test_versions_that_the_policy_selects_are_served(models, base, policy, expected):
    for version in (10, 1, 3):
        push(base, version)
    configure(models, model("m", base, **policy))
    assert served_versions(models) == expected
    assert answering_version(models) == max(expected)
    assert states(models) == dict.fromkeys(expected, State.AVAILABLE)


def test_version_0_is_served(models, base):
    push(base, 0)
    configure(models, model("m", base))
    assert answering_version(models) == answering_version(models, version=0) == 0


@pytest.mark.parametrize(
    "name",
    ["notes", ".part-5", "-5", "5.0", "v5", "5 (copy)", "\u0665", str(2**63)],
    ids=["word", "part", "negative", "fraction", "prefix", "suffix", "Arabic digit", "beyond int64"],
)
def test_folder_whose_name_is_not_a_version_number_is_ignored(models, base, loader, name):
    push(base, 1)
    shutil.copytree(base / "1", base / name)
    configure(models, model("m", base, all=True))
    assert loader.events == ["load m 1"]


def test_file_and_folder_without_a_graph_are_ignored(models, base, loader):
    push(base, 1)
    (base / "2").mkdir()
    (base / "3").write_text("a file")
    (base / "4" / "variables").mkdir(parents=True)
    configure(models, model("m", base))
    assert (answering_version(models), loader.events) == (1, ["load m 1"])
    (base / "4" / "saved_model.pb").write_text("copied last")
    configure(models, model("m", base))
    assert answering_version(models) == 4


def test_version_with_a_text_graph_is_served(tmp_path, base):
    def load(name, version, path):
        return Servable(version, path.name, lambda: None)

    models = versions.Models(load)
    (base / "3").mkdir()
    (base / "3" / "saved_model.pbtxt").write_text("")
    configure(models, model("m", base))
    assert answering_version(models) == 3


def test_new_version_is_loaded_before_the_old_one_is_closed(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2)
    configure(models, model("m", base))
    assert loader.events == ["load m 1", "load m 2", "close m 1"]
    assert (answering_version(models), served_versions(models)) == (2, [2])
    assert states(models) == {2: State.AVAILABLE, 1: State.END}


def test_loaded_version_is_not_loaded_again(models, base, loader):
    push(base, 1)
    for _ in range(3):
        configure(models, model("m", base))
    assert loader.events == ["load m 1"]


def test_old_version_answers_while_the_new_one_loads(models, base, loader, background):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2)
    loader.gate.clear()
    loading = background.submit(configure, models, model("m", base))
    wait_until(lambda: "load m 2" in loader.events)
    assert answering_version(models) == 1
    assert states(models) == {2: State.LOADING, 1: State.AVAILABLE}
    loader.gate.set()
    loading.result()
    assert answering_version(models) == 2


def test_version_is_closed_after_its_last_request_ends(models, base, loader, background):
    push(base, 1)
    configure(models, model("m", base))
    with models.handle(spec()) as first, models.handle(spec()) as second:
        push(base, 2)
        update = background.submit(configure, models, model("m", base))
        wait_until(lambda: states(models).get(1) == State.UNLOADING)
        assert answering_version(models) == 2
        assert served_versions(models) == [2]
        assert (first.version, first.closed, second is first) == (1, False, True)
        assert not update.done()
    update.result()
    assert first.closed
    assert loader.events[-1] == "close m 1"
    assert states(models)[1] == State.END


def test_failed_request_releases_its_version(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    with pytest.raises(ZeroDivisionError), models.handle(spec()):
        raise ZeroDivisionError
    push(base, 2)
    configure(models, model("m", base))
    assert loader.events[-1] == "close m 1"


def test_requests_under_load_never_get_a_closed_version(models, base, background):
    push(base, 1)
    configure(models, model("m", base))
    ended = threading.Event()

    def call():
        seen = set()
        while not ended.is_set():
            with models.handle(spec()) as servable:
                assert not servable.closed
                seen.add(servable.version)
                time.sleep(0.001)
                assert not servable.closed
        return seen

    calls = [background.submit(call) for _ in range(6)]
    for version in range(2, 22):
        push(base, version)
        configure(models, model("m", base))
    ended.set()
    assert max(set().union(*(call.result() for call in calls))) >= 20
    assert served_versions(models, candidates=range(30)) == [21]


def test_version_that_fails_to_load_is_reported_and_the_old_one_still_answers(models, base):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2, "broken")
    configure(models, model("m", base))
    assert (answering_version(models), served_versions(models)) == (1, [1])
    reported = models.statuses(spec())
    assert list(reported) == [2, 1]
    assert reported[1] == (State.AVAILABLE, None)
    state, error = reported[2]
    assert (state, error.code, error.message) == (State.END, status.Code.DATA_LOSS, "the graph is broken")


def test_unexpected_error_of_a_load_is_reported_as_internal(base):
    def load(name, version, path):
        raise MemoryError("no room")

    models = versions.Models(load)
    push(base, 1)
    with pytest.raises(status.StatusError, match="no room"):
        configure(models, model("m", base))
    _, error = models.statuses(spec())[1]
    assert error.code is status.Code.INTERNAL


def test_failed_version_is_loaded_again_only_when_its_files_change(models, base, loader):
    push(base, 1)
    broken = push(base, 2, "broken")
    configure(models, model("m", base, latest=2))
    for _ in range(3):
        configure(models, model("m", base, latest=2))
    assert loader.events == ["load m 2", "load m 1"]
    (broken / "variables").mkdir()
    (broken / "variables" / "variables.index").write_text("the rest of it")
    configure(models, model("m", base, latest=2))
    assert loader.events.count("load m 2") == 2
    (broken / "saved_model.pb").write_text("mended")  # the same number of bytes
    configure(models, model("m", base, latest=2))
    assert loader.events.count("load m 2") == 3
    assert answering_version(models) == 2
    assert models.statuses(spec(version=2)) == {2: (State.AVAILABLE, None)}


def test_version_whose_folder_is_removed_is_replaced_by_the_previous_one(models, base, loader):
    push(base, 1)
    push(base, 2)
    configure(models, model("m", base))
    shutil.rmtree(base / "2")
    configure(models, model("m", base))
    assert loader.events == ["load m 2", "load m 1", "close m 2"]
    assert answering_version(models) == 1
    push(base, 2, "back again")
    configure(models, model("m", base))
    with models.handle(spec()) as servable:
        assert (servable.version, servable.text) == (2, "back again")


def test_rollback_to_an_older_version_by_configuration(models, base, loader):
    push(base, 1)
    push(base, 2)
    configure(models, model("m", base))
    configure(models, model("m", base, specific=[1]))
    assert loader.events == ["load m 2", "load m 1", "close m 2"]
    assert answering_version(models) == 1
    configure(models, model("m", base))
    assert answering_version(models) == 2


def test_policy_that_selects_a_broken_version_keeps_the_last_good_one(models, base):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2, "broken")
    configure(models, model("m", base, specific=[2]))
    assert answering_version(models) == 1


def test_model_whose_versions_are_all_removed_is_unloaded(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    shutil.rmtree(base / "1")
    with pytest.raises(status.StatusError):
        configure(models, model("m", base))
    assert loader.events == ["load m 1", "close m 1"]
    assert code_of(lambda: answering_version(models)) is status.Code.NOT_FOUND
    assert states(models) == {1: State.END}


def test_missing_base_path_keeps_the_served_versions(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    base.rename(base.with_name("away"))  # like a network disk that is briefly unavailable
    configure(models, model("m", base))
    assert answering_version(models) == 1
    base.with_name("away").rename(base)
    configure(models, model("m", base))
    assert (answering_version(models), loader.events) == (1, ["load m 1"])


def test_each_model_is_served_by_its_own_versions(models, tmp_path):
    push(tmp_path / "a", 1)
    push(tmp_path / "b", 1)
    push(tmp_path / "b", 2)
    configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b", latest=2))
    assert (served_versions(models, "a"), served_versions(models, "b")) == ([1], [1, 2])
    assert code_of(lambda: answering_version(models, "c")) is status.Code.NOT_FOUND


def test_model_that_cannot_be_loaded_does_not_affect_the_others(models, tmp_path):
    push(tmp_path / "a", 1, "broken")
    push(tmp_path / "b", 1)
    with pytest.raises(status.StatusError, match="a: version 1: the graph is broken"):
        configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    assert answering_version(models, "b") == 1


def test_label_selects_its_version(models, base):
    push(base, 1)
    push(base, 2)
    configure(models, model("m", base, latest=2))
    configure(models, model("m", base, latest=2, labels={"stable": 1, "canary": 2}))
    assert answering_version(models, label="stable") == 1
    assert answering_version(models, label="canary") == answering_version(models) == 2
    configure(models, model("m", base, latest=2, labels={"stable": 2}))
    assert answering_version(models, label="stable") == 2
    assert code_of(lambda: answering_version(models, label="canary")) is status.Code.INVALID_ARGUMENT


def test_label_of_a_new_model_selects_the_version_that_is_loaded_with_it(models, base):
    push(base, 1)
    configure(models, model("m", base, labels={"stable": 1}))
    assert answering_version(models, label="stable") == 1


def test_label_of_an_unavailable_version_is_refused_without_allow_unavailable_labels(base, loader):
    models = versions.Models(loader, allow_unavailable_labels=False)
    push(base, 1)
    assert code_of(lambda: configure(models, model("m", base, labels={"stable": 1}))) is status.Code.FAILED_PRECONDITION
    configure(models, model("m", base))
    configure(models, model("m", base, labels={"stable": 1}))
    assert answering_version(models, label="stable") == 1
    assert code_of(lambda: configure(models, model("m", base, labels={"new": 2}))) is status.Code.FAILED_PRECONDITION
    assert answering_version(models, label="stable") == 1


class LockWithFollower:
    """A lock that calls `then` after its first release, like a thread that waited for the lock."""

    def __init__(self, lock, then):
        self._lock, self._then = lock, then

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()
        then, self._then = self._then, lambda: None
        then()


def test_reload_reports_its_own_outcome_when_another_one_follows_at_once(models, tmp_path):
    for name in "ab":
        push(tmp_path / name, 1)
    models._update_lock = LockWithFollower(models._update_lock, lambda: configure(models, model("b", tmp_path / "b")))
    configure(models, model("a", tmp_path / "a"))
    assert (served_versions(models, "a"), served_versions(models, "b")) == ([], [1])


def test_unknown_label_is_an_invalid_argument(models, base):
    push(base, 1)
    configure(models, model("m", base, labels={"stable": 1}))
    with pytest.raises(status.StatusError, match="Unrecognized servable version label: nightly") as caught:
        answering_version(models, label="nightly")
    assert caught.value.code is status.Code.INVALID_ARGUMENT


@pytest.mark.parametrize("version", [2, 9], ids=["not loaded", "missing"])
def test_label_moved_to_an_unavailable_version_is_refused_and_the_old_configuration_stays(models, tmp_path, version):
    for name in "abc":
        push(tmp_path / name, 1)
    push(tmp_path / "a", 2)
    configure(models, model("a", tmp_path / "a", specific=[1], labels={"stable": 1}), model("b", tmp_path / "b"))
    with pytest.raises(status.StatusError, match=f"label to version {version} of model a") as caught:
        configure(models, model("a", tmp_path / "a", labels={"stable": version}), model("c", tmp_path / "c"))
    assert caught.value.code is status.Code.FAILED_PRECONDITION
    assert answering_version(models, "a", label="stable") == answering_version(models, "b") == 1
    assert served_versions(models, "a") == [1]
    assert code_of(lambda: answering_version(models, "c")) is status.Code.NOT_FOUND


def test_reload_adds_and_removes_models_and_keeps_the_others(models, tmp_path, loader):
    for name in "abc":
        push(tmp_path / name, 1)
    configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    configure(models, model("b", tmp_path / "b"), model("c", tmp_path / "c"))
    assert loader.events == ["load a 1", "load b 1", "load c 1", "close a 1"]
    assert answering_version(models, "b") == answering_version(models, "c") == 1
    assert code_of(lambda: answering_version(models, "a")) is status.Code.NOT_FOUND
    assert states(models, "a") == {1: State.END}
    configure(models, model("a", tmp_path / "a"))
    assert answering_version(models, "a") == 1


def test_new_base_path_of_a_model_replaces_its_versions(models, tmp_path, loader):
    push(tmp_path / "old", 1)
    push(tmp_path / "new", 7)
    configure(models, model("m", tmp_path / "old"))
    configure(models, model("m", tmp_path / "new"))
    assert loader.events == ["load m 1", "load m 7", "close m 1"]
    assert served_versions(models) == [7]


def test_new_base_path_with_the_same_version_number_replaces_the_model(models, tmp_path, loader):
    push(tmp_path / "old", 1, "old")
    push(tmp_path / "new", 1, "new")
    configure(models, model("m", tmp_path / "old"))
    configure(models, model("m", tmp_path / "new"))
    assert loader.events == ["load m 1", "load m 1", "close m 1"]
    with models.handle(spec(version=1)) as servable:
        assert servable.text == "new"


def test_new_base_path_that_fails_to_load_keeps_the_old_one_and_is_tried_once(models, tmp_path, loader):
    push(tmp_path / "old", 1, "old")
    push(tmp_path / "new", 1, "broken")
    configure(models, model("m", tmp_path / "old"))
    for _ in range(3):
        configure(models, model("m", tmp_path / "new"))
    with models.handle(spec()) as servable:
        assert (servable.text, servable.closed) == ("old", False)
    assert loader.events == ["load m 1", "load m 1"]
    (tmp_path / "new" / "1" / "saved_model.pb").write_text("mended")
    configure(models, model("m", tmp_path / "new"))
    with models.handle(spec()) as servable:
        assert servable.text == "mended"


@pytest.mark.parametrize("missing", ["folder", "versions"])
def test_model_without_versions_is_refused_with_its_path(models, base, missing):
    folder = base if missing == "versions" else base / "nowhere"
    with pytest.raises(status.StatusError) as caught:
        configure(models, model("m", folder))
    assert caught.value.code is status.Code.UNKNOWN
    assert str(folder) in caught.value.message
    push(folder, 1)
    configure(models, model("m", folder))
    assert answering_version(models) == 1


def test_model_whose_versions_all_fail_is_refused_with_each_reason(models, base):
    push(base, 1, "broken")
    push(base, 2, "broken")
    with pytest.raises(status.StatusError) as caught:
        configure(models, model("m", base, latest=2))
    assert caught.value.code is status.Code.UNKNOWN
    assert caught.value.message.startswith("Some models did not become available: m: ")
    assert "version 1: the graph is broken" in caught.value.message
    assert "version 2: the graph is broken" in caught.value.message


def custom(folder):
    config = model_server_config_pb2.ModelServerConfig()
    config.custom_model_config.SetInParent()
    return config


def listed(*configs):
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.extend(configs)
    return config


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: listed(model("m", folder), model("m", folder / "other")),
        lambda folder: listed(model("m", "")),
        lambda folder: listed(model("", folder)),
        lambda folder: listed(model("m", folder, platform="pytorch")),
        lambda folder: listed(model("m", folder, platform="")),  # neither model_platform nor model_type
        custom,
    ],
    ids=["name twice", "no base_path", "no name", "unsupported platform", "no platform", "custom"],
)
def test_invalid_configuration_is_refused_and_the_old_one_stays(models, base, make):
    push(base, 1)
    configure(models, model("valid", base))
    with pytest.raises(status.StatusError) as caught:
        models.configure(make(base))
    assert caught.value.code is status.Code.INVALID_ARGUMENT
    assert answering_version(models, "valid") == 1


def test_deprecated_model_type_is_accepted_as_platform(models, base):
    push(base, 1)
    config = model("m", base, platform="")
    config.model_type = model_server_config_pb2.TENSORFLOW
    configure(models, config)
    assert answering_version(models) == 1


def test_spec_without_a_name_is_an_invalid_argument(models):
    assert code_of(lambda: answering_version(models, "")) is status.Code.INVALID_ARGUMENT


def test_unknown_model_or_version_is_not_found(models, base):
    push(base, 1)
    configure(models, model("m", base))
    for wrong, message in (
        (spec(version=2), r"Servable not found for request: Specific\(m, 2\)"),
        (spec("n"), r"Servable not found for request: Latest\(n\)"),
    ):
        with pytest.raises(status.StatusError, match=message) as caught, models.handle(wrong):
            pass
        assert caught.value.code is status.Code.NOT_FOUND
    for unknown in (spec(version=2), spec("n")):
        assert code_of(lambda unknown=unknown: models.statuses(unknown)) is status.Code.NOT_FOUND


def test_poll_loads_new_versions_and_unloads_removed_ones(models, base):
    push(base, 1)
    configure(models, model("m", base))
    models.poll(0.01)
    push(base, 2)
    wait_until(lambda: answering_version(models) == 2)
    shutil.rmtree(base / "2")
    wait_until(lambda: answering_version(models) == 1)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "it failed"), MemoryError("it failed")], ids=["disk", "memory"])
def test_poll_continues_after_an_error(models, base, monkeypatch, caplog, error):
    push(base, 1)
    configure(models, model("m", base))
    failures, iterdir = [error] * 3, pathlib.Path.iterdir

    def fail_at_first(path):
        if path == base and failures:
            raise failures.pop()
        return iterdir(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", fail_at_first)
    models.poll(0.01)
    wait_until(lambda: not failures)
    if isinstance(error, OSError):  # a disk may be unavailable for hours
        assert caplog.text.count("it failed") == 1
    assert answering_version(models) == 1
    push(base, 2)
    wait_until(lambda: answering_version(models) == 2)


def test_disk_error_of_one_model_does_not_stop_updates_of_the_others(models, tmp_path, monkeypatch):
    for name in "abc":
        push(tmp_path / name, 1)
    configure(models, *(model(name, tmp_path / name) for name in "abc"))
    iterdir = pathlib.Path.iterdir

    def fail_for_b(path):
        if path == tmp_path / "b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(pathlib.Path, "iterdir", fail_for_b)
    models.poll(0.01)
    for name in "ac":
        push(tmp_path / name, 2)
    wait_until(lambda: answering_version(models, "a") == answering_version(models, "c") == 2)
    assert answering_version(models, "b") == 1


def test_version_that_fails_to_close_still_ends(base, caplog):
    def fail_to_close():
        raise OSError("the session is stuck")

    def load(name, version, path):
        return Servable(version, "", fail_to_close)

    models = versions.Models(load)
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2)
    configure(models, model("m", base))
    assert answering_version(models) == 2
    assert states(models) == {2: State.AVAILABLE, 1: State.END}
    assert "the session is stuck" in caplog.text


def test_close_unloads_each_version_after_its_requests_end(models, tmp_path, loader, background):
    push(tmp_path / "a", 1)
    push(tmp_path / "b", 1)
    configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    with models.handle(spec("a")) as servable:
        closing = background.submit(models.close)
        wait_until(lambda: states(models, "a")[1] == State.UNLOADING)
        assert not servable.closed
    closing.result()
    assert sorted(loader.events) == ["close a 1", "close b 1", "load a 1", "load b 1"]
    assert code_of(lambda: answering_version(models, "b")) is status.Code.NOT_FOUND


def test_close_ends_the_poll(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    before = set(threading.enumerate())
    models.poll(0.01)
    (poll,) = set(threading.enumerate()) - before
    models.close()
    poll.join(GIVE_UP_SECONDS)
    assert not poll.is_alive()
    push(base, 2)
    assert loader.events == ["load m 1", "close m 1"]
