"""The page about the model in a browser: on narrow screens, with any class names, and under axe-core's checks."""

import json

import pytest
import website

pytest.importorskip("playwright", reason="no Playwright here: make test installs it")

pytest_plugins = ["website_fixtures"]
NAMES = [
    *website.SCORES,
    "Donaudampfschifffahrtsgesellschaftskapitaenskajuetenmuell" + "x" * 43,
    "不可回收的其他垃圾和厨余垃圾以及有害垃圾和电子废物请放入指定的垃圾桶",
    "نفايات-بلاستيكية-غير-قابلة-لإعادة-التدوير",
    "<b>soft_plastic_wrapping_that_nobody_takes</b>&amp;",
]
PHOTOS = 1234  # of each class; a tenth of them are taken for the next class
WIDTH_PX = 320  # the smallest phones; WCAG 2.1 requires it (reflow)
PHONE = {"viewport": {"width": WIDTH_PX, "height": 640}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def tested_site(make_site, tmp_path):
    """Return a site whose model has results of the classes `NAMES`."""
    folder = website.write_card(tmp_path / "tested")
    count = len(NAMES)
    right, wrong = PHOTOS - PHOTOS // 10, PHOTOS // 10
    rows = [
        [right if column == row else wrong if column == (row + 1) % count else 0 for column in range(count)]
        for row in range(count)
    ]
    figures = {"photos": PHOTOS, "right": right, "precision": 0.9, "recall": 0.9, "f1": 0.9}
    card = {
        "synthetic": False,
        "random_weights": False,
        "photos": count * PHOTOS,
        "right": count * right,
        "folds": 5,
        **dict.fromkeys(("f1", "f1_low", "f1_high"), 0.9),
        "coverage": 0.95,
        "certainty": [{"name": "unsure", "answers": count * PHOTOS, "right": count * right}],
        "classes": [{"name": name, **figures} for name in NAMES],
        "confusion_matrix": rows,
    }
    (folder / "1" / "model_card.json").write_text(json.dumps(card), encoding="utf-8")
    (folder / "1" / "model.json").write_text(json.dumps({"classes": NAMES}), encoding="utf-8")
    return make_site(model_folder=str(folder))


@pytest.mark.parametrize(("locale", "scheme"), [("en-GB", "light"), ("id-ID", "dark")])
def test_results_fit_a_narrow_screen_without_axe_violations(tested_site, open_page, locale, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here: make test installs it")
    page = open_page("/about", of=tested_site, locale=locale, color_scheme=scheme, **PHONE)
    assert page.locator(".recalls li").count() == page.locator(".matrix tbody tr").count() == len(NAMES)
    page.locator("summary").first.click()
    violations = axe.Axe().run(page).response["violations"]
    assert [(violation["id"], node["html"]) for violation in violations for node in violation["nodes"]] == []
    for size in ("100%", "200%"):
        width = page.evaluate(
            f"document.documentElement.style.fontSize = '{size}', document.documentElement.scrollWidth"
        )
        assert width <= WIDTH_PX, size


def test_recipe_opens_with_the_keyboard(tested_site, open_page):
    page = open_page("/about", of=tested_site)
    summary = page.locator("summary").first
    assert not page.get_by_text("Model card: cardboard").is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("Model card: cardboard").is_visible()
