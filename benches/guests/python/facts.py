"""What numbers of Python depend on, a line `NAME: VALUE` each."""

from __future__ import annotations

import gc
import sys
import sysconfig

import google.protobuf
from google.protobuf.internal import api_implementation


def tell() -> str:
    """All of it."""
    facts = {
        "GIL": gil(),
        "JIT": jit(),
        "garbage collector": collector(),
        "protobuf": f"protobuf {google.protobuf.__version__}, {api_implementation.Type()}",
        "markdown": markdown(),
    }
    return "".join(f"{name}: {value}\n" for name, value in facts.items())


def gil() -> str:
    """Whether threads take turns."""
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    on = getattr(sys, "_is_gil_enabled", lambda: True)()
    build = "a free-threaded build" if free_threaded else "no free-threaded build"
    return f"{'on' if on else 'off'}, {build}"


def jit() -> str:
    """Whether CPython's own compiler is on; there is none before 3.14."""
    compiler = getattr(sys, "_jit", None)
    if compiler is None or not compiler.is_available():
        return "none in this build"
    return "on" if compiler.is_enabled() else "off"


def collector() -> str:
    """When reference cycles are looked for."""
    thresholds = ", ".join(str(number) for number in gc.get_threshold())
    return f"cycles at {thresholds}" if gc.isenabled() else "cycles never"


def markdown() -> str:
    """The library of `render`, which is missing where its package is."""
    try:
        import markdown_it
    except ImportError:
        return "no markdown-it-py"
    return f"markdown-it-py {markdown_it.__version__}"
