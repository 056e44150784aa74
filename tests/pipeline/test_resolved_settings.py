from components.base import artifacts
from pipeline import resolved_settings


def test_single_engine_of_an_earlier_version_applies_to_every_backbone(tmp_path):
    saved = {"weights": {"ResNet50": "a", "VGG19": "b"}, "engine": "openvino", "precision": "float32"}
    artifacts.write_json(tmp_path / "resolved.json", {**saved, "frozen_activations_on_disk": False})
    resolved = resolved_settings.read(tmp_path)
    assert resolved.engines == {"ResNet50": "openvino", "VGG19": "openvino"}
    resolved_settings.write(tmp_path, resolved)
    assert resolved_settings.read(tmp_path) == resolved
