"""Rate limits and quotas of uploads and sign-ins, and the messages of refusals."""

import re

import pytest
import web_app
from web_app import Browser, photo

from web import limits

pytestmark = pytest.mark.databases("sqlite")  # limits are in memory
NO_PICTURE = b"<html>"


def test_upload_over_the_rate_is_429_with_retry_after(make_app):
    app = make_app(upload_rate="3 per minute")
    browser = Browser(app)
    assert [browser.upload().status_code for _ in range(2)] == [303, 303]
    assert web_app.classify(app, photo()).status_code == 200  # page and API share the rate
    page, answer = browser.upload(), web_app.classify(app, photo())
    assert page.status_code == answer.status_code == 429
    assert int(answer.headers["Retry-After"]) <= 61 and answer.json["error"]
    assert "</html>" in page.text and browser.get("/classify").status_code == 200
    assert len(web_app.rows(app)) == 3


def test_rate_limit_ignores_a_forged_address(make_app):
    app = make_app(upload_rate="1 per minute")
    assert web_app.classify(app, photo()).status_code == 200
    assert web_app.classify(app, photo(), headers={"X-Forwarded-For": "10.0.0.1"}).status_code == 429
    assert web_app.classify(app, photo(), environ_overrides={"REMOTE_ADDR": "10.0.0.2"}).status_code == 200


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 429),  # the same /64 network
        ("2001:db8:0:1::1", "2001:db8:0:2::1", 200),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", 200),  # IPv4 addresses as a dual-stack socket reports them
        ("fe80::1%eth0", "fe80::2%eth0", 429),
        ("unknown", "_hidden", 429),
    ],
)
def test_rate_limit_counts_ipv6_networks_and_ipv4_addresses(make_app, first, second, status):
    app = make_app(upload_rate="1 per minute")
    answers = [
        web_app.classify(app, photo(), environ_overrides={"REMOTE_ADDR": address}) for address in (first, second)
    ]
    assert [answer.status_code for answer in answers] == [200, status]


def test_trusted_proxy_names_the_client_address(make_app):
    app = make_app(upload_rate="1 per minute", trusted_proxies=1)
    answers = [
        web_app.classify(app, photo(), headers={"X-Forwarded-For": f"10.9.9.9, {address}"}).status_code
        for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1")
    ]
    assert answers == [200, 200, 429]


SAME = True
ADDRESSES = (  # two values of X-Forwarded-For, and whether they share a limit
    ("203.0.113.8:40001", "203.0.113.8:40002", SAME),
    ("203.0.113.8:40001", "203.0.113.8", SAME),
    ("203.0.113.8", "203.0.113.9", not SAME),
    ("[2001:db8::1]:40001", "[2001:db8::2]:40002", SAME),
    ("[2001:db8::1]", "2001:db8::1", SAME),
    ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", not SAME),
    ("[::ffff:203.0.113.8]:1", "203.0.113.8", SAME),
    ("[fe80::1%eth0]:1", "fe80::2%eth1", SAME),
    ("made up", "_hidden", SAME),
    ("203.0.113.8.1", "203.0.113.8:1:2", SAME),
    ("203.0.113.008", "0x7f.1", SAME),
    ("a" * 8000, "<script>", SAME),
)


def test_forwarded_address_is_counted_without_its_port(make_app):
    app = make_app(upload_rate="1 per minute", trusted_proxies=1)
    for first, second, is_same in ADDRESSES:
        limits.limiter.reset()
        answers = [web_app.classify(app, b"", headers={"X-Forwarded-For": address}) for address in (first, second)]
        assert [answer.status_code for answer in answers] == [400, 429 if is_same else 400], (first, second)


def test_sign_ins_are_limited_by_address_and_logged(make_app, log):
    app = make_app(trusted_proxies=1)
    answers = [
        Browser(app, headers={"X-Forwarded-For": f"203.0.113.8:{port}"}).post("/operator", {"token": "wrong"})
        for port in range(40001, 40012)
    ]
    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    messages = [line["message"] for line in web_app.records(log) if line.get("address") == "203.0.113.8"]
    assert messages == ["operator sign-in refused: wrong token"] * 10 + ["operator sign-in refused: too many attempts"]
    assert "Too many sign-in attempts" in answers[-1].text and int(answers[-1].headers["Retry-After"]) <= 60


@pytest.mark.parametrize("chain", ["198.51.100.1, 203.0.113.8:1, 10.0.0.1", "203.0.113.8, 10.0.0.2:80"])
def test_two_trusted_proxies_use_the_second_last_address(make_app, chain):
    app = make_app(upload_rate="1 per minute", trusted_proxies=2)
    assert web_app.classify(app, b"", headers={"X-Forwarded-For": "9.9.9.9,203.0.113.8,10.0.0.9"}).status_code == 400
    assert web_app.classify(app, b"", headers={"X-Forwarded-For": chain}).status_code == 429


def test_address_quota_counts_refused_uploads(make_app):
    app = make_app(upload_rate="100 per minute; 2 per day")
    assert [web_app.classify(app, content).status_code for content in (b"", photo(), photo())] == [400, 200, 429]


def test_visitor_quota_counts_only_accepted_photos_of_its_browser(make_app):
    app = make_app(visitor_rate="1 per day")
    visitor = Browser(app)
    assert [visitor.upload(content).status_code for content in (b"", NO_PICTURE, photo())] == [400, 415, 303]
    refused = visitor.upload()
    assert refused.status_code == 429 and "Too many photos from this browser" in refused.text
    assert Browser(app).upload().status_code == 303
    assert web_app.classify(app, photo()).status_code == 200  # programs have no visitor quota
    assert len(web_app.rows(app)) == 3


def test_total_quota_counts_accepted_photos_of_all_addresses(make_app):
    app = make_app(total_rate="2 per day", trusted_proxies=1)
    contents = (b"", photo(), NO_PICTURE, photo(), photo())
    answers = [
        web_app.classify(app, content, headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number, content in enumerate(contents)
    ]
    assert [answer.status_code for answer in answers] == [400, 200, 415, 200, 429]
    assert "can't accept more photos" in answers[-1].json["detail"]
    assert Browser(app).upload().status_code == 429
    assert len(web_app.rows(app)) == 2


def test_refused_address_does_not_use_up_the_total_quota(make_app):
    app = make_app(upload_rate="1 per day", total_rate="2 per day", trusted_proxies=1)
    headers = {"X-Forwarded-For": "203.0.113.8"}
    assert [web_app.classify(app, photo(), headers=headers).status_code for _ in range(4)] == [200, 429, 429, 429]
    assert web_app.classify(app, photo()).status_code == 200


@pytest.mark.parametrize(
    ("rate", "language", "words", "seconds"),
    [
        ("1 per 3 days", "en", r"Too many uploads\. Try again in 3 days\.", 259_200),
        ("1 per 3 minutes", "en", r"Too many uploads\. Try again in 3 minutes\.", 180),
        ("1 per 45 seconds", "en", r"Too many uploads\. Try again in [34]\d seconds\.", 45),
        ("1 per 6 hours", "id", r"Coba lagi dalam 6 jam\.", 21_600),
    ],
)
def test_refusal_says_when_to_try_again(make_app, rate, language, words, seconds):
    app = make_app(upload_rate=rate)
    headers = {"Accept-Language": language}
    web_app.classify(app, photo())
    answer, page = web_app.classify(app, photo(), headers=headers), Browser(app, headers=headers).upload()
    assert answer.status_code == page.status_code == 429
    assert re.search(words, answer.json["detail"]) and re.search(words, page.text)
    assert seconds - 60 <= int(answer.headers["Retry-After"]) <= seconds
