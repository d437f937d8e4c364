"""A library from PyPI, as it is."""

from markdown_it import MarkdownIt
from polyhost import export

markdown = MarkdownIt("commonmark")


@export("markdown/ToHtml")
def to_html(text: bytes) -> bytes:
    """Render CommonMark."""
    return markdown.render(text.decode()).encode()
