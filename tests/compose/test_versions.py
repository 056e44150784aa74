"""New versions of the model in the mounted folder, and the way back."""

import compose_clients


def served_version():
    """Return the newest version that the model server has loaded."""
    statuses = compose_clients.get(compose_clients.REST).json()["model_version_status"]
    return max(int(status["version"]) for status in statuses if status["state"] == "AVAILABLE")


def page_version():
    return compose_clients.classify(compose_clients.photo()).json()["model_version"]


def test_version_that_the_job_pushes_is_served_without_a_failed_upload(project):
    settings = "--epochs 21 --overwrite --force".split()  # the same model is not pushed again; this may be worse
    with compose_clients.uploading(2) as traffic:
        output = project.job("run", *settings, "--check-serving", "serving:8500")
        project.wait(lambda: page_version() == 2, "the page has answers of version 2")
    assert set(traffic.statuses) == {200} and not traffic.errors
    assert served_version() == 2, output


def test_rollback_serves_the_earlier_version_as_a_copy(project):
    output = project.job("rollback")
    project.wait(lambda: page_version() == 3, "the page has answers of version 3")
    weights = "variables/variables.data-00000-of-00001"
    assert (project.served() / "3" / weights).read_bytes() == (project.served() / "1" / weights).read_bytes(), output


def test_broken_version_leaves_the_served_one(project):
    broken = project.served() / "4"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"broken")
    project.pause(5)
    assert page_version() == 3
    (broken / "saved_model.pb").unlink()
    broken.rmdir()
