"""The card of the model that answers."""

from collections.abc import Iterator

import pytest

from headrace.core.place import Place
from headrace.serving.card import preferred
from platform_tests.serving.bar import Running
from platform_tests.serving.shopfront import open_shop

MARKDOWN, PAGE = "# shop, release 1 <b>", "<!doctype html><title>card</title>"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Running]]:
    with open_shop(tmp_path_factory.mktemp("shop")) as (site, server):
        yield site.place, server


def write(place: Place) -> None:
    place.reports.mkdir(parents=True, exist_ok=True)
    place.card("shop", 1, "md").write_text(MARKDOWN)
    place.card("shop", 1, "html").write_text(PAGE)


def test_the_card_is_markdown_or_a_page_as_is_asked_for(shop: tuple[Place, Running]) -> None:
    place, server = shop
    missing = server.ask("/v1/card")
    assert (missing.status, "materialize shop/model/card" in missing.told["detail"]) == (404, True)
    assert server.ask("/v1/model").told["card"] is None

    write(place)
    plain = server.ask("/v1/card")
    assert (plain.status, plain.headers["content-type"], plain.body.decode()) == (
        200,
        "text/markdown; charset=utf-8",
        MARKDOWN,
    )
    page = server.ask("/v1/card", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.headers["content-type"], page.body.decode()) == ("text/html; charset=utf-8", PAGE)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert server.ask("/v1/model").told["card"] == "/v1/card"


def test_the_model_is_told_with_its_release_digest_and_since_when(shop: tuple[Place, Running]) -> None:
    _, server = shop
    told = server.ask("/v1/model").told
    assert (told["product"], told["release"], len(told["model"]), told["who"]) == ("shop", 1, 64, "a test")
    assert told["since"].endswith("+00:00")
    assert told["inputs"] == ["price", "country", "gift", "habit_visits", "habit_mean"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/markdown"),
        ("*/*", "text/markdown"),
        ("text/html", "text/html"),
        ("text/markdown, text/html;q=0.9", "text/markdown"),
        ("text/markdown;q=0.1,text/html;q=0.9", "text/html"),
        ("text/html;q=x, ;;,", "text/markdown"),
        ("text/html;q=0", "text/markdown"),
    ],
)
def test_the_form_is_what_accept_prefers(accept: str, kind: str) -> None:
    assert preferred(accept) == kind
