import pytest
from web_app import Browser

pytestmark = pytest.mark.databases("sqlite")  # no test depends on the database


def text(app, language="en"):
    page = Browser(app).get("/privacy", headers={"Accept-Language": language})
    assert page.status_code == 200
    return page.text


def test_page_shows_the_values_of_the_settings(make_app):
    facts = {"keep_days": 77, "max_stored_bytes": 3 * 2**30, "max_upload_bytes": 9 * 2**20}
    page = text(make_app(**facts))
    for words in (
        "after 77 days",
        "more than 3 GB",
        "up to 9 MB",
        "400 days",
        "the operator of this site, who can see",
    ):
        assert words in page, words
    assert "has not provided a contact" in page
    without = text(make_app(admin_token="", contact="data@pilah.example"))
    assert "the operator of this site, who can see" not in without and 'href="mailto:data@pilah.example"' in without


@pytest.mark.parametrize("contact", ["<script>alert(1)</script>", "javascript:alert(1)", '"onclick="x'])
def test_contact_is_escaped(make_app, contact):
    page = text(make_app(contact=contact))
    assert "<script>alert" not in page and 'href="javascript' not in page and '"onclick' not in page


def test_every_page_links_to_the_privacy_page_in_both_languages(app):
    for language, word in (("en", "Privacy"), ("id", "Privasi")):
        for path in ("/", "/classify", "/history", "/about", "/nothing"):
            page = Browser(app).get(path, headers={"Accept-Language": language}).text
            assert f'href="/privacy">{word}</a>' in page
        assert f"<h1>{word}</h1>" in text(app, language)
    assert "365" in Browser(app).get("/").text
