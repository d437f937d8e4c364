"""Loading modules for the host.

Each load has a tree of modules of its own: what is imported from the guest's own folder, or from
its own package, is imported anew, under names that are numbered (`greeter@1`, `greeter@1.sub`).
So the same source can be loaded twice, side by side, each with its state. Everything else, the
standard library and installed packages, is shared.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import os
import sys
import weakref
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    ExtensionFileLoader,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from types import ModuleType

from polyhost import _export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LoadError(Exception):
    """There is nothing to load, or nothing that can be; in words for the host's user."""


class Tree:
    """The modules of one load."""

    def __init__(
        self, owner: Any, folders: Sequence[str], only: frozenset[str] | None = None
    ) -> None:
        self.owner = owner
        self.folders = list(folders)
        # The top-level names that belong to the tree; None for all that are in its folders.
        self.only = only
        self.number = next(_numbers)
        # The name in sys.modules of each top-level name; None where it is shared.
        self.names: dict[str, str | None] = {}
        self.specs: dict[str, ModuleSpec] = {}
        self.functions: list[Any] = []

    def claim(self, name: str, spec: ModuleSpec) -> str:
        """Makes a top-level name the tree's own."""
        numbered = f"{name}@{self.number}"
        self.names[name] = numbered
        self.specs[numbered] = _renamed(spec, numbered)
        _trees[numbered] = self
        return numbered

    def own_name(self, name: str) -> str:
        """The name in sys.modules of what the tree's code calls `name`."""
        top, dot, rest = name.partition(".")
        if top in self.names:
            own = self.names[top]
        else:
            own = self.names[top] = self._find(top)
        return name if own is None else own + dot + rest

    def _find(self, top: str) -> str | None:
        if top in _SHARED or (self.only is not None and top not in self.only):
            return None
        spec = PathFinder.find_spec(top, self.folders)
        if spec is None:
            return None
        if spec.loader is None and self.only is None and PathFinder.find_spec(top) is not None:
            # A folder such as `google` beside the guest must not hide the installed package.
            return None
        if isinstance(spec.loader, ExtensionFileLoader):
            _share_extension(spec)
            return None
        return self.claim(top, spec)

    def modules(self) -> list[ModuleType]:
        tops = set(self.specs)
        return [m for name, m in list(sys.modules.items()) if name.partition(".")[0] in tops]


# What google.protobuf says of a schema that is not the one it has, in C and in Python.
_SCHEMA_CONFLICTS = ("into descriptor pool", "Conflict register for file")

# By the numbered name of each top-level module.
_trees: dict[str, Tree] = {}
_numbers = itertools.count(1)
# Code that belongs to nobody logs here.
nobody: Any = None


def _standard_library() -> frozenset[str]:
    names: frozenset[str] | None = getattr(sys, "stdlib_module_names", None)
    if names is not None:
        return names
    # Python 3.9 does not say.
    folder = os.path.dirname(os.__file__)
    extensions = os.path.join(folder, "lib-dynload")
    files = os.listdir(folder) + (os.listdir(extensions) if os.path.isdir(extensions) else [])
    names = {file.partition(".")[0] for file in files} - {"test"}
    return frozenset(names.union(sys.builtin_module_names))


# Never a guest's own, whatever lies beside it.
_SHARED = _standard_library() | {"polyhost"}


def tree_of(module_globals: Mapping[str, Any]) -> Tree | None:
    """The tree that code with these globals belongs to."""
    name = module_globals.get("__name__")
    return _trees.get(name.partition(".")[0]) if isinstance(name, str) else None


class GuestFinder:
    """Finds the numbered top-level modules; what is in them is found as everywhere."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        tree = _trees.get(name)
        return None if tree is None else tree.specs.get(name)


# The texts that were loaded, by the names of their files.
_texts: dict[str, str] = {}


def show_texts() -> None:
    """Tells Python's own tracebacks of texts that were loaded."""
    import linecache

    for file, text in list(_texts.items()):
        # Without a time, so that nobody looks for a file.
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        _texts.pop(file, None)


class TextLoader:
    """Loads a module from source text."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self._file = file

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _texts[self._file] = self.text
        if "linecache" in sys.modules:
            show_texts()
        module.__file__ = self._file
        exec(compile(self.text, self._file, "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name: str) -> str:
        return self.text


def install() -> None:
    """Has imports in guests' code look in their trees first."""
    sys.meta_path.insert(0, GuestFinder)  # type: ignore[arg-type]
    original = builtins.__import__

    def import_for_guests(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        # Relative imports find their way by the numbered name of their package.
        if level == 0 and globals is not None:
            tree = tree_of(globals)
            if tree is not None:
                name = tree.own_name(name)
        return original(name, globals, locals, fromlist or (), level)

    builtins.__import__ = import_for_guests


def load(
    kind: str, place: str, text: str | None, folders: list[str], owner: Any
) -> tuple[Tree, list[tuple[Any, ...]], bytes | None]:
    """Loads a module: its tree, its exports and the descriptors of their messages."""
    if kind == "path":
        tree, name = _from_path(place, folders, owner)
    elif kind == "name":
        tree, name = _from_name(place, folders, owner)
    else:
        tree, name = _from_text(place, text or "", folders, owner)
    exports: list[_export.Export] = []
    token = _export.collected.set(exports)
    try:
        _find(name)
        importlib.import_module(name)
        resolved = _export.resolve(exports)
        tree.functions = [_weak(each.function) for each in exports]
        return tree, resolved, _export.descriptors(resolved)
    except TypeError as error:
        _forget(tree)
        if any(text in str(error) for text in _SCHEMA_CONFLICTS):
            raise LoadError(
                f"the messages are others than those that were loaded before: {error}; "
                "google.protobuf has one pool of schemas in a process, where none can change: "
                "start the process again to have the new ones, or give the .proto and its package "
                "other names"
            ) from error
        raise
    except BaseException:
        _forget(tree)
        raise
    finally:
        _export.collected.reset(token)


def _find(name: str) -> None:
    """Finds a module in its package, importing that."""
    parent, _, _ = name.rpartition(".")
    if parent:
        package = importlib.import_module(parent)
        path = getattr(package, "__path__", None)
        if path is None or PathFinder.find_spec(name, path) is None:
            raise LoadError(f"there is {plain(parent)}, but no {plain(name)} in it")


def plain(name: str) -> str:
    """The name of a module as its author knows it."""
    return ".".join(part.partition("@")[0] for part in name.split("."))


def event_loop(mailbox: Any, descriptor: int) -> Any:
    """The event loop of a module; see _loop."""
    from polyhost._loop import Loop

    return Loop(mailbox, descriptor)


def put_aside() -> Any:
    from polyhost._loop import put_aside

    return put_aside()


def take_back(aside: Any) -> None:
    from polyhost._loop import take_back

    take_back(aside)


def _from_path(place: str, folders: list[str], owner: Any) -> tuple[Tree, str]:
    folder, file = os.path.split(place)
    if file == "__init__.py":
        place = folder
        folder, file = os.path.split(folder)
    if os.path.isdir(place):
        init = os.path.join(place, "__init__.py")
        if not os.path.isfile(init):
            raise LoadError(f"{place} is no package: there is no __init__.py in it")
        file = _top(file)
        tree = Tree(owner, [folder, *folders], frozenset([file]) if not folders else None)
        spec = ModuleSpec(file, SourceFileLoader(file, init), origin=init, is_package=True)
        spec.submodule_search_locations = [place]
        return tree, tree.claim(file, spec)
    stem, extension = os.path.splitext(file)
    if extension != ".py":
        raise LoadError(f"{place} is no Python source: its name does not end in .py")
    stem = _top(stem)
    tree = Tree(owner, [folder, *folders])
    spec = ModuleSpec(stem, SourceFileLoader(stem, place), origin=place)
    return tree, tree.claim(stem, spec)


def _from_name(place: str, folders: list[str], owner: Any) -> tuple[Tree, str]:
    top = place.partition(".")[0]
    if not all(part.isidentifier() for part in place.split(".")):
        raise LoadError(f"{place!r} is no name of a module; a file needs its folder: ./{place}.py")
    tree = Tree(owner, folders)
    own = tree.own_name(top)
    if own == top:
        tree = Tree(owner, sys.path, frozenset([top]))
        own = tree.own_name(top)
    if own == top and top not in _SHARED:
        looked = ", ".join([*folders, *sys.path])
        raise LoadError(f"no module named {place}; looked in: {looked}")
    return tree, own + place[len(top) :]


def _from_text(place: str, text: str, folders: list[str], owner: Any) -> tuple[Tree, str]:
    stem = _top(os.path.splitext(os.path.basename(place))[0]) or "guest"
    tree = Tree(owner, folders)
    loader: Any = TextLoader(text, place)
    return tree, tree.claim(stem, ModuleSpec(stem, loader, origin=place))


def _top(stem: str) -> str:
    """A name for the top of a tree: what is before a dot would be a package."""
    return stem.replace(".", "_")


def _renamed(spec: ModuleSpec, name: str) -> ModuleSpec:
    """The same file as a module of another name."""
    loader: Any = spec.loader
    locations = spec.submodule_search_locations
    if loader is not None and hasattr(loader, "path"):
        loader = type(loader)(name, loader.path)
    renamed = ModuleSpec(name, loader, origin=spec.origin, is_package=locations is not None)
    if locations is not None:
        renamed.submodule_search_locations = list(locations)
    renamed.has_location = loader is not None and hasattr(loader, "path")
    return renamed


# Where each extension module beside a guest was imported from, and which file that was then.
_extensions: dict[str, tuple[str, tuple[int, ...]]] = {}


def _share_extension(spec: ModuleSpec) -> None:
    """Imports an extension module in C beside a guest under its own name: its code expects that.

    CPython has C code once: another version of it is refused and not passed over.
    """
    file = str(spec.origin)
    status = os.stat(file)
    found = file, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if spec.name in sys.modules:
        known = _extensions.get(spec.name, found)
        if known != found:
            what = "has changed since" if known[0] == file else f"is another at {file}"
            raise LoadError(
                f"the extension module {spec.name} was loaded from {known[0]} and {what}; "
                "CPython loads C code once: start the process again to have the new one"
            )
        return
    module = importlib._bootstrap._load(spec)  # type: ignore[attr-defined]
    sys.modules[spec.name] = module
    _extensions[spec.name] = found


def _forget(tree: Tree) -> None:
    for module in tree.modules():
        sys.modules.pop(module.__name__, None)
    for name in tree.specs:
        _trees.pop(name, None)


def unload(tree: Tree | None, look: bool = True) -> list[str]:
    """Lets go of a load, and tells what still holds it."""
    import gc

    if tree is None:
        return []
    watched = [_weak(module) for module in tree.modules()] + tree.functions
    _forget(tree)
    if not look:
        return []
    gc.collect()
    # A module's functions hold its namespace, so one that is left over holds all of it.
    left = [thing for thing in (reference() for reference in watched) if thing is not None]
    tree.functions = [_weak(thing) for thing in left]
    return sorted({_held(thing, left) for thing in left})


def _weak(thing: Any) -> Any:
    try:
        return weakref.ref(thing)
    except TypeError:
        # It can't be watched; others of its module can.
        return lambda: None


def _held(thing: Any, left: list[Any]) -> str:
    import gc

    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", repr(thing))
    holders = [h for h in gc.get_referrers(thing) if h is not left and h is not sys._getframe(0)]
    kinds = sorted({_kind(holder) for holder in holders} - {"list_iterator"})
    return f"{plain(name)} is held by {', '.join(kinds) or 'a thread that runs it'}"


def _kind(holder: Any) -> str:
    if isinstance(holder, ModuleType):
        return f"module {plain(holder.__name__)}"
    if isinstance(holder, dict) and isinstance(holder.get("__name__"), str):
        return f"the namespace of {plain(holder['__name__'])}"
    return f"a {type(holder).__qualname__}"
