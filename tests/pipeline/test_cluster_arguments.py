import pickle

from pipeline import cluster_arguments


def test_large_argument_goes_through_a_file_that_is_written_once(tmp_path):
    sender, large = cluster_arguments.Sender(tmp_path / "probe"), ["x" * cluster_arguments.LARGE_BYTES]
    sent = [sender.replace(large) for _ in range(2)]
    assert len([*tmp_path.iterdir()]) == 1
    assert len(pickle.dumps(sent)) < 1000
    assert [cluster_arguments.restore(argument) for argument in sent] == [large, large]


def test_small_argument_needs_no_file(tmp_path):
    sender = cluster_arguments.Sender(tmp_path / "probe")
    assert cluster_arguments.restore(sender.replace([1, 2])) == [1, 2]
    assert not [*tmp_path.iterdir()]


def test_objects_with_the_same_content_or_address_are_distinct(tmp_path):
    sender = cluster_arguments.Sender(tmp_path / "probe")
    sent = [sender.replace([number, "x" * cluster_arguments.LARGE_BYTES]) for number in range(3)]
    assert [cluster_arguments.restore(argument)[0] for argument in sent] == [0, 1, 2]
