"""Makes the package importable from the sources that the host carries; the host runs this first."""

from __future__ import annotations

import marshal
import sys
from importlib._bootstrap_external import MAGIC_NUMBER  # type: ignore[import-not-found]
from importlib.machinery import ModuleSpec
from types import ModuleType

# As type checkers know it: `typing` takes long to import, so here and in what the host imports at
# its start it is for them alone.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class EmbeddedPackage:
    """Finds and loads the package: its own finder and loader.

    It comes first in `sys.meta_path`, so that a package of the same name that was installed for
    editors does not stand in for the one that fits the host.
    """

    def __init__(
        self, sources: dict[str, str], codes: dict[str, bytes], native: ModuleType
    ) -> None:
        self._sources = sources
        self._codes = codes
        self._native = native

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        file = self._file(name)
        if name != "polyhost._native" and file not in self._sources:
            return None
        return ModuleSpec(name, self, origin=f"<polyhost>/{file}", is_package=name == "polyhost")

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._native if spec.name == "polyhost._native" else None

    def exec_module(self, module: ModuleType) -> None:
        if module is self._native:
            return
        file = self._file(module.__name__)
        if file in self._codes:
            code = marshal.loads(self._codes[file])
        else:
            code = compile(self._sources[file], f"<polyhost>/{file}", "exec", dont_inherit=True)
        exec(code, module.__dict__)

    def get_source(self, name: str) -> str | None:
        return self._sources.get(self._file(name))

    @staticmethod
    def _file(name: str) -> str:
        if name == "polyhost":
            return "__init__.py"
        package, _, rest = name.partition(".")
        return f"{rest}.py" if package == "polyhost" else ""


def install(sources: dict[str, str], compiled: bytes, native: ModuleType) -> None:
    """`compiled` is the package as bytecode, or empty; that of another version is not used."""
    fits = compiled[: len(MAGIC_NUMBER)] == MAGIC_NUMBER
    codes = marshal.loads(compiled[len(MAGIC_NUMBER) :]) if fits else {}
    sys.meta_path.insert(0, EmbeddedPackage(sources, codes, native))
