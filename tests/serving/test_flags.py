"""The embedded server's flags: names and defaults of tensorflow_model_server, and usage errors that state the rule."""

import pathlib

import pytest

from serving.embedded import flags

CONFIG = pathlib.Path(__file__).parents[2] / "serving" / "config"


@pytest.fixture
def refused(capsys):
    """Return refused(*flags), which checks that the server exits with code 2 and returns the one-line error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            flags.parse([str(argument) for argument in arguments])
        assert exit_info.value.code == 2
        usage, _, error = capsys.readouterr().err.partition("error: ")
        assert usage.startswith("usage: ")
        (line,) = error.splitlines()
        return line

    return run


def parse(*arguments):
    return flags.parse([str(argument) for argument in arguments])


def test_model_folder_alone_is_served_with_the_defaults_of_tensorflow_serving(tmp_path):
    parsed = parse("--model_base_path", tmp_path)
    (model,) = parsed.models.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("default", str(tmp_path), "tensorflow")
    assert (parsed.port, parsed.rest_api_port, parsed.file_system_poll_wait_seconds) == (8500, 0, 1)
    assert parsed.batching is None and parsed.metrics_path is None
    assert parsed.grpc_max_threads >= 64
    assert parsed.host == "127.0.0.1", "unlike TensorFlow Serving, it listens on this machine only"


def test_every_flag_sets_its_option(tmp_path):
    parsed = parse(
        "--model_name=pilah",
        f"--model_base_path={tmp_path}",
        "--host=0.0.0.0",
        "--port=1",
        "--rest_api_port=2",
        "--file_system_poll_wait_seconds=0.5",
        "--grpc_max_threads=3",
    )
    assert parsed.models.model_config_list.config[0].name == "pilah"
    assert (parsed.host, parsed.port, parsed.rest_api_port) == ("0.0.0.0", 1, 2)
    assert (parsed.file_system_poll_wait_seconds, parsed.grpc_max_threads) == (0.5, 3)


def test_flags_of_compose_set_their_options(tmp_path):
    parsed = parse(
        "--model_config_file",
        CONFIG / "models.config",
        "--model_config_file_poll_wait_seconds=30",
        "--allow_version_labels_for_unavailable_models=false",
        "--enable_grpc_healthcheck_service=false",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.primary_user_agent=a=b",
    )
    assert (parsed.model_config_file, parsed.model_config_file_poll_wait_seconds) == (CONFIG / "models.config", 30)
    assert not parsed.allow_version_labels_for_unavailable_models and not parsed.enable_grpc_healthcheck_service
    assert parsed.grpc_channel_arguments == {"grpc.max_connection_age_ms": 2000, "grpc.primary_user_agent": "a=b"}


def test_by_default_nothing_is_reloaded_and_reload_requests_are_refused(tmp_path):
    parsed = parse("--model_base_path", tmp_path)
    assert (parsed.model_config_file, parsed.model_config_file_poll_wait_seconds) == (None, 0)
    assert parsed.allow_version_labels_for_unavailable_models and parsed.enable_grpc_healthcheck_service
    assert not parsed.grpc_channel_arguments and not parsed.allow_reload_config


@pytest.mark.parametrize(
    "argument",
    [
        "--grpc_channel_arguments=grpc.max_connection_age_ms",
        "--grpc_channel_arguments==1",
        "--grpc_channel_arguments=a=1,",
        "--grpc_channel_arguments=a=2147483648",
        "--model_config_file_poll_wait_seconds=inf",
        "--file_system_poll_wait_seconds=nan",
        "--file_system_poll_wait_seconds=1e300",
        "--port=65536",
        "--rest_api_port=-1",
        "--grpc_max_threads=0",
        "--grpc_max_threads=10001",
        "--allow_reload_config=maybe",
    ],
)
def test_invalid_value_is_refused_with_the_name_of_its_flag(tmp_path, refused, argument):
    error = refused("--model_base_path", tmp_path, argument)
    assert error.startswith(f"argument {argument.partition('=')[0]}: ")


def test_models_config_is_read(tmp_path):
    (model,) = parse("--model_config_file", CONFIG / "models.config").models.model_config_list.config
    assert (model.name, model.base_path) == ("pilah", "/models/pilah")
    assert model.model_version_policy.latest.num_versions == 2
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}


@pytest.mark.parametrize("name", ["batching_cpu.config", "batching_gpu.config"])
def test_batching_config_is_read(tmp_path, name):
    parsed = parse("--model_base_path", tmp_path, "--enable_batching", "--batching_parameters_file", CONFIG / name)
    for field in ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"):
        assert getattr(parsed.batching, field).value > 0, field


def test_monitoring_config_is_read(tmp_path):
    parsed = parse("--model_base_path", tmp_path, "--monitoring_config_file", CONFIG / "monitoring.config")
    assert parsed.metrics_path == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("prometheus_config { enable: true }", flags.DEFAULT_METRICS_PATH),
        ('prometheus_config { enable: true path: "/m" }', "/m"),
        ('prometheus_config { path: "/m" }', None),
        ("", None),
    ],
)
def test_metrics_are_served_where_monitoring_is_enabled(tmp_path, text, path):
    (tmp_path / "monitoring").write_text(text)
    parsed = parse("--model_base_path", tmp_path, "--monitoring_config_file", tmp_path / "monitoring")
    assert parsed.metrics_path == path


@pytest.mark.parametrize(
    ("argument", "is_on"),
    [
        ("--enable_batching", True),
        ("--enable_batching=true", True),
        ("--enable_batching=True", True),
        ("--enable_batching=1", True),
        ("--enable_batching=false", False),
        ("--enable_batching=0", False),
    ],
)
def test_enable_batching_takes_true_false_or_no_value(tmp_path, argument, is_on):
    assert (parse(argument, "--model_base_path", tmp_path).batching is not None) == is_on


def test_batching_without_a_file_leaves_every_parameter_to_the_server(tmp_path):
    assert not parse("--model_base_path", tmp_path, "--enable_batching").batching.ListFields()


def test_command_without_model_folder_and_config_is_refused(refused):
    assert "exactly one of --model_base_path and --model_config_file is required" in refused()


def test_command_with_model_folder_and_config_is_refused(tmp_path, refused):
    error = refused("--model_base_path", tmp_path, "--model_config_file", CONFIG / "models.config")
    assert "exactly one of --model_base_path and --model_config_file is required" in error


def test_same_port_for_grpc_and_rest_is_refused(tmp_path, refused):
    error = refused("--model_base_path", tmp_path, "--port", 9000, "--rest_api_port", 9000)
    assert "--rest_api_port must differ from --port (got 9000 for both)" in error


@pytest.mark.parametrize("name", ["missing", "file"])
def test_model_folder_that_does_not_exist_or_is_a_file_is_refused(tmp_path, refused, name):
    (tmp_path / "file").write_text("")
    assert f"must be an existing folder (got {tmp_path / name})" in refused("--model_base_path", tmp_path / name)


def test_batching_file_without_batching_is_refused(tmp_path, refused):
    error = refused("--model_base_path", tmp_path, "--batching_parameters_file", CONFIG / "batching_cpu.config")
    assert "--batching_parameters_file requires --enable_batching" in error


@pytest.mark.parametrize("argument", ["--enable_batching=yes", "--enable_batching="])
def test_batching_value_other_than_true_or_false_is_refused(tmp_path, refused, argument):
    assert "must be true or false (got" in refused("--model_base_path", tmp_path, argument)


@pytest.mark.parametrize("arguments", [["--port=http"], ["--model_base=."], ["--tensorflow_session_parallelism=2"]])
def test_invalid_number_and_unknown_flag_are_refused(tmp_path, refused, arguments):
    refused("--model_base_path", tmp_path, *arguments)


@pytest.fixture
def config_flags(tmp_path):
    """Return config_flags(flag, file), a command line that is valid if `file` is."""

    def line(flag, file):
        model = [] if flag == "--model_config_file" else ["--model_base_path", tmp_path]
        return [*model, "--enable_batching", flag, file]

    return line


CONFIG_FLAGS = ["--model_config_file", "--batching_parameters_file", "--monitoring_config_file"]


@pytest.mark.parametrize("flag", CONFIG_FLAGS)
@pytest.mark.parametrize("name", ["missing", "folder"])
def test_config_file_that_cannot_be_read_is_refused_with_its_path(tmp_path, refused, config_flags, flag, name):
    (tmp_path / "folder").mkdir()
    error = refused(*config_flags(flag, tmp_path / name))
    assert "cannot be read" in error and str(tmp_path / name) in error


@pytest.mark.parametrize("flag", CONFIG_FLAGS)
@pytest.mark.parametrize("content", [b"max_batch_size {", b'{"json": 1}', b"unheard_of: 1", b"\xff\xfe\x00"])
def test_config_file_that_cannot_be_parsed_is_refused_with_its_path(tmp_path, refused, config_flags, flag, content):
    (tmp_path / "wrong.config").write_bytes(content)
    assert "wrong.config" in refused(*config_flags(flag, tmp_path / "wrong.config"))


def test_unsupported_field_is_refused_with_its_name_and_position(tmp_path, refused, config_flags):
    (tmp_path / "batching").write_text("max_batch_size { value: 8 }\nallowed_batch_sizes: 8\n")
    error = refused(*config_flags("--batching_parameters_file", tmp_path / "batching"))
    assert "allowed_batch_sizes" in error and "2:1" in error


@pytest.mark.parametrize("field", ["batch_timeout_micros", "num_batch_threads", "max_batch_size"])
def test_number_that_is_too_large_for_batching_is_refused(tmp_path, refused, config_flags, field):
    (tmp_path / "batching").write_text(f"{field} {{ value: {2**62} }}\n")
    assert f"{field} must be from " in refused(*config_flags("--batching_parameters_file", tmp_path / "batching"))
