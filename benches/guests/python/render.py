"""Markdown by markdown-it-py."""

from bench.v1.workloads_pb2 import RenderReply, RenderRequest
from markdown_it import MarkdownIt
from polyhost import export
from stages import Method, repeat

markdown = MarkdownIt("commonmark")


@export("bench.v1.Bench/Render")
def render(request: RenderRequest) -> RenderReply:
    """Render Markdown as HTML."""
    return RenderReply(html=markdown.render(request.markdown))


METHODS = {"bench.v1.Bench/Render": Method(RenderRequest, render)}


@export("bench.v1.Stages/Repeat")
def stages(request: bytes) -> bytes:
    """Do a stage of a method so many times."""
    return repeat(METHODS, request)
