from pipeline.config import Config
from pipeline.stages import features


def test_outputs_are_the_settings_and_all_views_of_all_backbones(tmp_path):
    config = Config(tmp_path, backbones=("VGG19", "ResNet50"), views=1, test_views=2)
    names = ("view-00.npy", "view-01.npy", "test-01.npy")
    views = [f"features/{backbone}/{name}" for backbone in config.backbones for name in names]
    assert features.outputs(config) == [*views, "features/VGG19/settings.json", "features/ResNet50/settings.json"]
