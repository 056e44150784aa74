import small_run

from benchmarks import draws
from components.base import artifacts
from pipeline import recipe


def test_split_and_seed_of_the_run_give_the_scores_of_its_winner(tmp_path):
    config = small_run.make(tmp_path / "run", noise=4.0)
    study, winner = recipe.study(config), recipe.winner(config)
    of_folds, total = draws.fold_and_total_f1(study, winner, config.seed, config.seed)
    assert total == artifacts.read_json(config.run_dir / "leaderboard.json")["winner"]["f1"] < 1
    assert len(of_folds) == config.folds
    for split, seed in ((config.seed + 1, config.seed), (config.seed, config.seed + 1)):
        assert draws.fold_and_total_f1(study, winner, split, seed)[0] != of_folds
