"""What the bench has every language do, in Python; workloads.proto says what that is."""

from collections import defaultdict

from bench.v1.workloads_pb2 import (
    CallbackReply,
    CallbackRequest,
    Document,
    NextReply,
    NextRequest,
    SectionSummary,
    Summary,
    SumReply,
    SumRequest,
)
from facts import tell
from polyhost import export, service
from stages import Method, repeat

call_next = service("bench.v1.Host/Next", NextRequest, NextReply)


@export("bench.v1.Bench/Echo")
def echo(request: bytes) -> bytes:
    """Return the request."""
    return request


@export("bench.v1.Bench/Sum")
def add(request: SumRequest) -> SumReply:
    """Add numbers up."""
    return SumReply(integers=sum(request.integers), doubles=sum(request.doubles))


@export("bench.v1.Bench/Transform")
def transform(document: Document) -> Summary:
    """Make a summary of a document."""
    sections = []
    quantities: defaultdict[str, int] = defaultdict(int)
    for section in document.sections:
        total = 0
        for line in section.lines:
            quantity = line.quantity
            total += quantity * line.price
            quantities[line.sku] += quantity
        sections.append(SectionSummary(name=section.name, lines=len(section.lines), total=total))
    return Summary(
        title=f"{document.title}: {', '.join(section.name for section in document.sections)}",
        labels={key: f"{key}={value}" for key, value in document.labels.items()},
        sections=sections,
        quantities=quantities,
    )


@export("bench.v1.Bench/Callback")
def callback(request: CallbackRequest) -> CallbackReply:
    """Call the host so many times."""
    total, value = 0, request.start
    for _ in range(request.calls):
        value = call_next(NextRequest(value=value, payload=request.payload)).value
        total += value
    return CallbackReply(sum=total)


METHODS = {
    "bench.v1.Bench/Echo": Method(None, echo),
    "bench.v1.Bench/Sum": Method(SumRequest, add),
    "bench.v1.Bench/Transform": Method(Document, transform),
}


@export("bench.v1.Stages/Repeat")
def stages(request: bytes) -> bytes:
    """Do a stage of a method so many times."""
    return repeat(METHODS, request)


@export("bench.v1.About/Facts")
def about(_request: bytes) -> bytes:
    """Tell what the numbers depend on."""
    return tell().encode()
