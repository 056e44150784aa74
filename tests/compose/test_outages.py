"""Services that are stopped, killed and restarted during uploads: nothing is lost or doubled, and the history stays."""

import os
import signal

import compose_clients
import pytest

CLIENTS, PHOTOS = 3, 8  # number of clients, and of photos before and after each outage
OUTAGE_SECONDS = 5
STATUSES = {"serving": {200, 202}, "web": {200, 202}, "db": {200, 202, 503}}  # of the page while the service is away


def stop(project, service):
    project.compose("stop", service)
    project.pause(OUTAGE_SECONDS)
    project.compose("start", service)


def kill(project, service):
    """Kill the first process of the container, after which Docker starts it again."""
    os.kill(int(project.inspect(service, "{{.State.Pid}}")), signal.SIGKILL)
    project.wait(lambda: service in project.restarts(), f"Docker restarts {service}")


def kill_for_a_while(project, service):
    """Kill the container by Docker, which then leaves it to the operator."""
    project.compose("kill", service)
    project.pause(OUTAGE_SECONDS)
    project.compose("start", service)


def upload_during(project, outage, service):
    """Return the traffic of clients before, during and after the outage."""
    with compose_clients.uploading(CLIENTS) as traffic:
        project.wait(lambda: len(traffic.ids) >= PHOTOS, "photos are accepted")
        outage(project, service)
        project.wait_until_healthy()
        enough = len(traffic.ids) + PHOTOS
        project.wait(lambda: len(traffic.ids) >= enough, "photos are accepted again")
    return traffic


@pytest.mark.parametrize("outage", [stop, kill, kill_for_a_while])
@pytest.mark.parametrize("service", ["serving", "web", "db"])
def test_outage_loses_and_doubles_no_upload(project, say, service, outage):
    before = set(project.query("SELECT id FROM upload"))
    traffic = upload_during(project, outage, service)
    assert set(traffic.statuses) <= STATUSES[service]
    assert service == "web" or not traffic.errors, traffic.errors
    project.wait(
        lambda: project.query("SELECT count(*) FROM upload WHERE state = 'waiting'") == ["0"], "all are answered"
    )
    rows = project.query("SELECT id FROM upload WHERE state = 'done'")
    lost, unconfirmed = set(traffic.ids) - set(rows), set(rows) - before - set(traffic.ids)
    counts = f"{len(traffic.ids)} photos, {traffic.statuses.count(202)} of them waited, {traffic.failures} sent again"
    say(f"{service} {outage.__name__}: {counts}; {len(lost)} lost, {len(unconfirmed)} without an answer to the client")
    assert len(rows) == len(set(rows)) and not lost
    assert len(unconfirmed) <= traffic.failures  # their clients saw a failure, so that they sent the photo again
    assert "rows without a picture" in project.flask("doctor")


def test_no_row_is_without_its_picture(project):
    output = project.flask("doctor")
    assert "deleted 0 pictures without a row and 0 rows without a picture" in output


def history(browser):
    return browser.get("/history.csv").text


@pytest.mark.parametrize(
    "commands", [["restart"], ["down", "up --detach"], ["up --detach --force-recreate"]], ids=lambda value: value[0]
)
def test_history_stays_after(project, commands):
    browser = compose_clients.Browser()
    row_id = browser.upload(compose_clients.photo())
    before = history(browser)
    for command in commands:
        project.compose(*command.split())
    project.wait_until_healthy()
    assert row_id in before and history(browser) == before
    assert browser.get(f"/picture/{row_id}").status_code == 200
    browser.upload(compose_clients.photo())
