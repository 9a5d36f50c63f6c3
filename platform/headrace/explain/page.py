"""The model card as text that people read: Markdown, and HTML made of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from headrace.explain.card import MOST, Told
from headrace.store.publish import publish
from headrace.store.site import Site

TEMPLATE = (Path(__file__).parent / "templates" / "card.md.j2").read_text()
STYLE = """
:root { --ink:#1c2733; --soft:#5a6672; --line:#e1e6eb; --page:#f4f6f8; --card:#fff; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6ebf0; --soft:#9aa7b3; --line:#313b45; --page:#131920; --card:#1d252d; } }
* { box-sizing:border-box; }
body { margin:0; background:var(--page); color:var(--ink); font:15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width:880px; margin:24px auto; padding:24px 32px 40px; background:var(--card); border:1px solid var(--line); border-radius:10px; overflow-x:auto; }
h1 { margin:0 0 4px; font-size:26px; } h2 { font-size:18px; margin:30px 0 8px; } p { margin:6px 0; }
blockquote { margin:0 0 12px; color:var(--soft); } code { font-size:13px; overflow-wrap:anywhere; }
table { border-collapse:collapse; width:100%; font-size:14px; margin:8px 0; }
th, td { text-align:left; padding:5px 14px 5px 0; border-bottom:1px solid var(--line); vertical-align:top; }
th { color:var(--soft); font-size:12px; text-transform:uppercase; letter-spacing:.04em; } tr:last-child td { border-bottom:0; }
"""


@dataclass(frozen=True)
class Written:
    """A card, and the page that it stands on."""

    markdown: str
    html: str
    page: Path


def write_card(site: Site, told: Told) -> Written:
    """Write the card of a release as Markdown and as a page, each whole or not at all."""
    product, release = told.product.product, told.release.number
    markdown, html = card_markdown(told), card_html(told)
    for kind, text in {"md": markdown, "html": html}.items():
        path = site.place.card(product, release, kind)
        publish(path, text.encode(), f"the card of {product}'s release {release} was not written")
    return Written(markdown, html, site.place.card(product, release, "html"))


def card_markdown(told: Told) -> str:
    """Return the card as Markdown."""
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  what is written is Markdown: its reader escapes markup
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "number": _number}
    return environment.from_string(TEMPLATE).render(t=told, most=MOST)


def card_html(told: Told) -> str:
    """Return the card as a page that needs nothing else; markup in what users wrote stays text."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(card_markdown(told))
    title = f"{told.product.product}, release {told.release.number}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}: model card</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>\n'
        f"<body><main>\n{body}</main></body></html>\n"
    )


def _cell(value: Any) -> str:
    """Return a value as the cell of a table."""
    return str(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
