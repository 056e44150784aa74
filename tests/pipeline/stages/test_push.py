import shutil

from components.base import artifacts
from pipeline.config import Config
from pipeline.stages import push


def test_deleted_pushed_version_reruns_the_stage(tmp_path):
    config = Config(tmp_path)
    for version in (1, 2):
        for name in ("saved_model.pb", "model.json"):
            artifacts.write_json(tmp_path / "served" / "pilah" / str(version) / name, {})
    exists = [any(tmp_path.glob(pattern)) for pattern in push.outputs(config)]
    artifacts.write_json(tmp_path / "pushed.json", {"version": 2})
    shutil.rmtree(tmp_path / "served" / "pilah" / "2")
    assert all(exists) and not any(any(tmp_path.glob(pattern)) for pattern in push.outputs(config))


def test_pushed_version_without_a_file_of_the_export_reruns_the_stage(tmp_path):
    for folder in ("export", "served/pilah/1"):
        artifacts.write_json(tmp_path / folder / "saved_model.pb", {})
        artifacts.write_json(tmp_path / folder / "variables" / "variables.index", {})
    artifacts.write_json(tmp_path / "served" / "pilah" / "1" / "model.json", {})
    assert all(any(tmp_path.glob(pattern)) for pattern in push.outputs(Config(tmp_path)))
    shutil.rmtree(tmp_path / "served" / "pilah" / "1" / "variables")
    assert not all(any(tmp_path.glob(pattern)) for pattern in push.outputs(Config(tmp_path)))
