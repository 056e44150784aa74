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

GIVE_UP_SECONDS = 10.0  # so that a fault fails a test, and does not hang it
State = versions.State


class Servable:
    """What stands in the version's graph file, until it is closed."""

    def __init__(self, version, text, on_close):
        self.version, self.text, self.closed = version, text, False
        self._on_close = on_close

    def close(self):
        self.closed = True
        self._on_close()


class Loader:
    """A `load` that remembers what was loaded and closed, in order; a version that says "broken" does not load."""

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
    """The folder of a model's versions."""
    (tmp_path / "m").mkdir()
    return tmp_path / "m"


@pytest.fixture
def background():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        yield pool


def push(base, version, text="graph"):
    """A version that shows up whole, as a run of the pipeline pushes it."""
    part = base / f".part-{version}"
    part.mkdir(parents=True)
    (part / "saved_model.pb").write_text(text)
    return part.rename(base / str(version))


def model(name, base, *, labels=None, platform="tensorflow", **policy):
    """A model's configuration; `policy` one of latest=2, specific=[1, 3] and all=True, or none."""
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
    made = model_pb2.ModelSpec(name=name)
    if version is not None:
        made.version.value = version
    if label is not None:
        made.version_label = label
    return made


def asked(models, *args, **kwargs):
    """The number of the version that answers."""
    with models.handle(spec(*args, **kwargs)) as servable:
        assert not servable.closed
        return servable.version


def served(models, name="m", among=range(20)):
    """The numbers that can be asked for."""
    found = []
    for version in among:
        try:
            found.append(asked(models, name, version))
        except status.StatusError as error:
            assert error.code is status.Code.NOT_FOUND
    return found


def states(models, name="m"):
    return {version: state for version, (state, _) in models.statuses(spec(name)).items()}


def code_of(call):
    with pytest.raises(status.StatusError) as caught:
        call()
    return caught.value.code


def wait_until(true):
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not true():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.002)


def test_newest_version_by_number_answers(models, base):
    push(base, 2)
    push(base, 10)
    configure(models, model("m", base))
    assert asked(models) == 10
    assert served(models) == [10]


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
def test_versions_that_the_policy_asks_for_are_served(models, base, policy, expected):
    for version in (10, 1, 3):
        push(base, version)
    configure(models, model("m", base, **policy))
    assert served(models) == expected
    assert asked(models) == max(expected)
    assert states(models) == dict.fromkeys(expected, State.AVAILABLE)


def test_version_zero_is_a_version(models, base):
    push(base, 0)
    configure(models, model("m", base))
    assert asked(models) == asked(models, version=0) == 0


@pytest.mark.parametrize(
    "name",
    ["notes", ".part-5", "-5", "5.0", "v5", "5 (copy)", "\u0665", str(2**63)],
    ids=["word", "part", "negative", "fraction", "prefix", "suffix", "Arabic digit", "beyond int64"],
)
def test_folder_whose_name_is_no_version_number_is_passed_over(models, base, loader, name):
    push(base, 1)
    shutil.copytree(base / "1", base / name)
    configure(models, model("m", base, all=True))
    assert loader.events == ["load m 1"]


def test_file_and_folder_without_a_graph_are_passed_over(models, base, loader):
    push(base, 1)
    (base / "2").mkdir()
    (base / "3").write_text("a file")
    (base / "4" / "variables").mkdir(parents=True)
    configure(models, model("m", base))
    assert (asked(models), loader.events) == (1, ["load m 1"])
    (base / "4" / "saved_model.pb").write_text("copied last")
    configure(models, model("m", base))
    assert asked(models) == 4


def test_graph_as_text_counts_as_a_graph(tmp_path, base):
    def load(name, version, path):
        return Servable(version, path.name, lambda: None)

    models = versions.Models(load)
    (base / "3").mkdir()
    (base / "3" / "saved_model.pbtxt").write_text("")
    configure(models, model("m", base))
    assert asked(models) == 3


def test_new_version_is_loaded_before_the_old_one_is_closed(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2)
    configure(models, model("m", base))
    assert loader.events == ["load m 1", "load m 2", "close m 1"]
    assert (asked(models), served(models)) == (2, [2])
    assert states(models) == {2: State.AVAILABLE, 1: State.END}


def test_version_that_is_loaded_is_not_loaded_again(models, base, loader):
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
    assert asked(models) == 1
    assert states(models) == {2: State.LOADING, 1: State.AVAILABLE}
    loader.gate.set()
    loading.result()
    assert asked(models) == 2


def test_request_keeps_its_version_until_it_ends_and_the_version_is_closed_afterwards(models, base, loader, background):
    push(base, 1)
    configure(models, model("m", base))
    with models.handle(spec()) as first, models.handle(spec()) as second:
        push(base, 2)
        update = background.submit(configure, models, model("m", base))
        wait_until(lambda: states(models).get(1) == State.UNLOADING)
        assert asked(models) == 2
        assert served(models) == [2]
        assert (first.version, first.closed, second is first) == (1, False, True)
        assert not update.done()
    update.result()
    assert first.closed
    assert loader.events[-1] == "close m 1"
    assert states(models)[1] == State.END


def test_request_that_fails_lets_go_of_its_version(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    with pytest.raises(ZeroDivisionError), models.handle(spec()):
        raise ZeroDivisionError
    push(base, 2)
    configure(models, model("m", base))
    assert loader.events[-1] == "close m 1"


def test_requests_without_pause_never_meet_a_closed_version(models, base, background):
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
    assert served(models, among=range(30)) == [21]


def test_version_that_fails_to_load_is_reported_and_the_old_one_goes_on(models, base):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2, "broken")
    configure(models, model("m", base))
    assert (asked(models), served(models)) == (1, [1])
    reported = models.statuses(spec())
    assert list(reported) == [2, 1]
    assert reported[1] == (State.AVAILABLE, None)
    state, error = reported[2]
    assert (state, error.code, error.message) == (State.END, status.Code.DATA_LOSS, "the graph is broken")


def test_load_that_fails_in_an_unforeseen_way_is_reported_as_internal(base):
    def load(name, version, path):
        raise MemoryError("no room")

    models = versions.Models(load)
    push(base, 1)
    with pytest.raises(status.StatusError, match="no room"):
        configure(models, model("m", base))
    _, error = models.statuses(spec())[1]
    assert error.code is status.Code.INTERNAL


def test_version_that_failed_is_tried_again_once_its_files_change_and_not_before(models, base, loader):
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
    (broken / "saved_model.pb").write_text("mended")  # as many bytes as before
    configure(models, model("m", base, latest=2))
    assert loader.events.count("load m 2") == 3
    assert asked(models) == 2
    assert models.statuses(spec(version=2)) == {2: (State.AVAILABLE, None)}


def test_version_whose_folder_is_gone_gives_way_to_the_one_before_it(models, base, loader):
    push(base, 1)
    push(base, 2)
    configure(models, model("m", base))
    shutil.rmtree(base / "2")
    configure(models, model("m", base))
    assert loader.events == ["load m 2", "load m 1", "close m 2"]
    assert asked(models) == 1
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
    assert asked(models) == 1
    configure(models, model("m", base))
    assert asked(models) == 2


def test_policy_that_asks_for_what_cannot_be_loaded_leaves_the_last_good_version(models, base):
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2, "broken")
    configure(models, model("m", base, specific=[2]))
    assert asked(models) == 1


def test_model_without_a_version_left_is_unloaded(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    shutil.rmtree(base / "1")
    with pytest.raises(status.StatusError):
        configure(models, model("m", base))
    assert loader.events == ["load m 1", "close m 1"]
    assert code_of(lambda: asked(models)) is status.Code.NOT_FOUND
    assert states(models) == {1: State.END}


def test_base_path_that_cannot_be_found_leaves_what_is_served(models, base, loader):
    push(base, 1)
    configure(models, model("m", base))
    base.rename(base.with_name("away"))  # as a network disk that is gone for a moment
    configure(models, model("m", base))
    assert asked(models) == 1
    base.with_name("away").rename(base)
    configure(models, model("m", base))
    assert (asked(models), loader.events) == (1, ["load m 1"])


def test_several_models_are_served_each_by_its_own_versions(models, tmp_path):
    push(tmp_path / "a", 1)
    push(tmp_path / "b", 1)
    push(tmp_path / "b", 2)
    configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b", latest=2))
    assert (served(models, "a"), served(models, "b")) == ([1], [1, 2])
    assert code_of(lambda: asked(models, "c")) is status.Code.NOT_FOUND


def test_one_model_that_cannot_be_loaded_does_not_keep_the_others(models, tmp_path):
    push(tmp_path / "a", 1, "broken")
    push(tmp_path / "b", 1)
    with pytest.raises(status.StatusError, match="a: version 1: the graph is broken"):
        configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    assert asked(models, "b") == 1


def test_label_names_its_version(models, base):
    push(base, 1)
    push(base, 2)
    configure(models, model("m", base, latest=2))
    configure(models, model("m", base, latest=2, labels={"stable": 1, "canary": 2}))
    assert (asked(models, label="stable"), asked(models, label="canary"), asked(models)) == (1, 2, 2)
    configure(models, model("m", base, latest=2, labels={"stable": 2}))
    assert asked(models, label="stable") == 2
    assert code_of(lambda: asked(models, label="canary")) is status.Code.INVALID_ARGUMENT


def test_label_of_a_new_model_stands_on_the_version_that_is_loaded_for_it(models, base):
    push(base, 1)
    configure(models, model("m", base, labels={"stable": 1}))
    assert asked(models, label="stable") == 1


def test_label_of_a_version_that_is_not_loaded_is_refused_where_labels_may_not_precede(base, loader):
    models = versions.Models(loader, labels_may_precede=False)
    push(base, 1)
    assert code_of(lambda: configure(models, model("m", base, labels={"stable": 1}))) is status.Code.FAILED_PRECONDITION
    configure(models, model("m", base))
    configure(models, model("m", base, labels={"stable": 1}))
    assert asked(models, label="stable") == 1
    assert code_of(lambda: configure(models, model("m", base, labels={"new": 2}))) is status.Code.FAILED_PRECONDITION
    assert asked(models, label="stable") == 1


class HandingOver:
    """A lock after whose first use something else is done, as by a thread that waited for it."""

    def __init__(self, lock, then):
        self._lock, self._then = lock, then

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *_):
        self._lock.release()
        then, self._then = self._then, lambda: None
        then()


def test_reload_reports_its_own_outcome_where_another_one_follows_at_once(models, tmp_path):
    for name in "ab":
        push(tmp_path / name, 1)
    models._update_lock = HandingOver(models._update_lock, lambda: configure(models, model("b", tmp_path / "b")))
    configure(models, model("a", tmp_path / "a"))
    assert (served(models, "a"), served(models, "b")) == ([], [1])


def test_unknown_label_is_an_invalid_argument(models, base):
    push(base, 1)
    configure(models, model("m", base, labels={"stable": 1}))
    with pytest.raises(status.StatusError, match="Unrecognized servable version label: nightly") as caught:
        asked(models, label="nightly")
    assert caught.value.code is status.Code.INVALID_ARGUMENT


@pytest.mark.parametrize("version", [2, 9], ids=["not loaded", "not there"])
def test_label_on_an_unavailable_version_is_refused_and_the_old_configuration_stays(models, tmp_path, version):
    for name in "abc":
        push(tmp_path / name, 1)
    push(tmp_path / "a", 2)
    configure(models, model("a", tmp_path / "a", specific=[1], labels={"stable": 1}), model("b", tmp_path / "b"))
    with pytest.raises(status.StatusError, match=f"label to version {version} of model a") as caught:
        configure(models, model("a", tmp_path / "a", labels={"stable": version}), model("c", tmp_path / "c"))
    assert caught.value.code is status.Code.FAILED_PRECONDITION
    assert asked(models, "a", label="stable") == asked(models, "b") == 1
    assert served(models, "a") == [1]
    assert code_of(lambda: asked(models, "c")) is status.Code.NOT_FOUND


def test_reload_adds_and_drops_models_and_leaves_the_others_alone(models, tmp_path, loader):
    for name in "abc":
        push(tmp_path / name, 1)
    configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    configure(models, model("b", tmp_path / "b"), model("c", tmp_path / "c"))
    assert loader.events == ["load a 1", "load b 1", "load c 1", "close a 1"]
    assert asked(models, "b") == asked(models, "c") == 1
    assert code_of(lambda: asked(models, "a")) is status.Code.NOT_FOUND
    assert states(models, "a") == {1: State.END}
    configure(models, model("a", tmp_path / "a"))
    assert asked(models, "a") == 1


def test_other_base_path_of_a_model_brings_its_versions(models, tmp_path, loader):
    push(tmp_path / "old", 1)
    push(tmp_path / "new", 7)
    configure(models, model("m", tmp_path / "old"))
    configure(models, model("m", tmp_path / "new"))
    assert loader.events == ["load m 1", "load m 7", "close m 1"]
    assert served(models) == [7]


def test_other_base_path_with_the_same_version_number_brings_the_other_model(models, tmp_path, loader):
    push(tmp_path / "old", 1, "old")
    push(tmp_path / "new", 1, "new")
    configure(models, model("m", tmp_path / "old"))
    configure(models, model("m", tmp_path / "new"))
    assert loader.events == ["load m 1", "load m 1", "close m 1"]
    with models.handle(spec(version=1)) as servable:
        assert servable.text == "new"


def test_other_base_path_that_fails_to_load_leaves_the_old_one_and_is_not_tried_at_every_look(models, tmp_path, loader):
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
def test_model_without_versions_is_refused_with_its_folder(models, base, missing):
    folder = base if missing == "versions" else base / "nowhere"
    with pytest.raises(status.StatusError) as caught:
        configure(models, model("m", folder))
    assert caught.value.code is status.Code.UNKNOWN
    assert str(folder) in caught.value.message
    push(folder, 1)
    configure(models, model("m", folder))
    assert asked(models) == 1


def test_model_of_which_no_version_loads_is_refused_with_the_reason_of_each(models, base):
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
        lambda folder: listed(model("m", folder, platform="")),  # neither platform nor type
        custom,
    ],
    ids=["name twice", "no base_path", "no name", "unsupported platform", "no platform", "custom"],
)
def test_invalid_configuration_is_refused_and_the_old_one_stays(models, base, make):
    push(base, 1)
    configure(models, model("kept", base))
    with pytest.raises(status.StatusError) as caught:
        models.configure(make(base))
    assert caught.value.code is status.Code.INVALID_ARGUMENT
    assert asked(models, "kept") == 1


def test_platform_may_be_given_as_the_old_model_type(models, base):
    push(base, 1)
    config = model("m", base, platform="")
    config.model_type = model_server_config_pb2.TENSORFLOW
    configure(models, config)
    assert asked(models) == 1


def test_spec_without_a_name_is_an_invalid_argument(models):
    assert code_of(lambda: asked(models, "")) is status.Code.INVALID_ARGUMENT


def test_version_that_is_not_served_is_not_found_by_its_name_and_number(models, base):
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


def test_poll_finds_a_new_version_by_itself(models, base):
    push(base, 1)
    configure(models, model("m", base))
    models.poll(0.01)
    push(base, 2)
    wait_until(lambda: asked(models) == 2)
    shutil.rmtree(base / "2")
    wait_until(lambda: asked(models) == 1)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "it failed"), MemoryError("it failed")], ids=["disk", "memory"])
def test_poll_survives_a_look_that_fails(models, base, monkeypatch, caplog, error):
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
    if isinstance(error, OSError):  # a disk may be away for hours
        assert caplog.text.count("it failed") == 1
    assert asked(models) == 1
    push(base, 2)
    wait_until(lambda: asked(models) == 2)


def test_disk_that_fails_under_one_model_does_not_keep_the_others_from_new_versions(models, tmp_path, monkeypatch):
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
    wait_until(lambda: asked(models, "a") == asked(models, "c") == 2)
    assert asked(models, "b") == 1


def test_version_that_fails_to_close_is_at_its_end_all_the_same(base, caplog):
    def fail_to_close():
        raise OSError("the session is stuck")

    def load(name, version, path):
        return Servable(version, "", fail_to_close)

    models = versions.Models(load)
    push(base, 1)
    configure(models, model("m", base))
    push(base, 2)
    configure(models, model("m", base))
    assert asked(models) == 2
    assert states(models) == {2: State.AVAILABLE, 1: State.END}
    assert "the session is stuck" in caplog.text


def test_closing_unloads_every_version_once_its_requests_have_ended(models, tmp_path, loader, background):
    push(tmp_path / "a", 1)
    push(tmp_path / "b", 1)
    configure(models, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    with models.handle(spec("a")) as servable:
        closing = background.submit(models.close)
        wait_until(lambda: states(models, "a")[1] == State.UNLOADING)
        assert not servable.closed
    closing.result()
    assert sorted(loader.events) == ["close a 1", "close b 1", "load a 1", "load b 1"]
    assert code_of(lambda: asked(models, "b")) is status.Code.NOT_FOUND


def test_closing_ends_the_poll(models, base, loader):
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
