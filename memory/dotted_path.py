"""Loads a class or function of the operator by its path: `my_memories.FirstAndLast`.

An installed module comes before one beside the profiles file, which comes before one in the current
folder. So a file there never replaces a module of Python, of Onionskin, or of a package. Code is
loaded only by paths in the operator's own settings, never by a path in a request.
"""

import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import sha256
from importlib.machinery import PathFinder
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from onionskin.memory.errors import ConfigurationError

_DIGEST = "__onionskin_source__"
_LONGEST_LIST = 12


class _OwnFolder(str):
    """An entry of `sys.path` that was added here, behind all others."""

    __slots__ = ()


def load_object(path: str, folders: Sequence[Path], purpose: str) -> object:
    """The object at a path, `module.Name` or `module:Name`.

    Args:
        path: The path.
        folders: Where modules that are not installed are searched, in this order.
        purpose: What it is loaded for, for error messages: `The layer 'x.Y' of profile 'z'`.

    Raises:
        ConfigurationError: There is no such module or name, or the module cannot be imported.
    """
    separator = ":" if ":" in path else "."
    module_name, _, name = path.rpartition(separator)
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigurationError(
            f"{purpose} is not a path. Write 'module.Name', such as 'my_memories.FirstAndLast'."
        )
    module = _import(module_name, folders, purpose)
    found: object = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigurationError(_no_name(purpose, module, part, folders)) from None
    return found


def source_files(found: object) -> tuple[Path, ...]:
    """The files that an object's behaviour depends on: its module's, and loaded ones beside it.

    Installed packages do not count, except the modules of the object and of its base classes.
    """
    modules = {getattr(one, "__module__", "") for one in getattr(found, "__mro__", (found,))}
    files = [_file_of(sys.modules.get(name)) for name in modules]
    files += [_file_of(module) for module in _own_modules().values()]
    return tuple(sorted({file for file in files if file and file.is_file()}))


def _import(name: str, folders: Sequence[Path], purpose: str) -> ModuleType:
    importlib.invalidate_caches()
    top = name.partition(".")[0]
    loaded = sys.modules.get(top)
    is_foreign = loaded is not None and not hasattr(loaded, _DIGEST)
    places = [] if is_foreign or _is_installed(top) else [folder.resolve() for folder in folders]
    if places:
        _drop_outdated(top, places)
    try:
        with _own_folders(places):
            module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(_no_module(purpose, error.name, folders)) from error
        raise ConfigurationError(_broken(purpose, name, error)) from error
    except Exception as error:  # whatever the operator's module raises
        raise ConfigurationError(_broken(purpose, name, error)) from error
    for own in _own_modules().values():
        setattr(own, _DIGEST, _digest(own))
    return module


def _is_installed(top: str) -> bool:
    """Whether Python finds a module without the operator's folders."""
    if top in {"onionskin", "__main__"} or top in sys.stdlib_module_names:
        return True
    ordinary = [entry for entry in sys.path if not isinstance(entry, _OwnFolder)]
    spec = PathFinder.find_spec(top, ordinary)
    return spec is not None and spec.origin is not None  # a bare folder is no installed module


@contextmanager
def _own_folders(folders: Sequence[Path]) -> Generator[None]:
    """Search `folders` behind all others, now and in later imports of the loaded modules."""
    wanted = [_OwnFolder(folder) for folder in folders]
    others = [entry for entry in sys.path if isinstance(entry, _OwnFolder) and entry not in wanted]
    ordinary = [entry for entry in sys.path if not isinstance(entry, _OwnFolder)]
    sys.path[:] = [*ordinary, *wanted, *others]
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield  # without bytecode, which a second edit within a second would outdate unnoticed
    finally:
        sys.dont_write_bytecode = written


def _drop_outdated(top: str, folders: Sequence[Path]) -> None:
    """Forget the operator's modules if one has changed, or comes from another folder."""
    own = {name: one for name, one in sys.modules.items() if hasattr(one, _DIGEST)}
    if top not in own:
        return
    file = _file_of(own[top])
    place = next((folder for folder in folders if PathFinder.find_spec(top, [str(folder)])), None)
    in_place = file is not None and place is not None and file.is_relative_to(place)
    if not in_place or any(getattr(one, _DIGEST) != _digest(one) for one in own.values()):
        for name in own:
            del sys.modules[name]


def _own_modules() -> dict[str, ModuleType]:
    """The loaded modules that are found in the operator's folders alone, by name."""
    folders = [Path(entry) for entry in sys.path if isinstance(entry, _OwnFolder)]
    loaded = {
        name: module
        for name, module in list(sys.modules.items())
        if (file := _file_of(module)) and any(file.is_relative_to(folder) for folder in folders)
    }
    tops = {name.partition(".")[0] for name in loaded}
    own = {top for top in tops if not _is_installed(top)}
    return {name: module for name, module in loaded.items() if name.partition(".")[0] in own}


def _digest(module: ModuleType) -> str:
    file = _file_of(module)
    try:
        return sha256(file.read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""


def _file_of(module: ModuleType | None) -> Path | None:
    file: str | None = getattr(module, "__file__", None)
    return Path(file) if file else None


def _no_module(purpose: str, name: str, folders: Sequence[Path]) -> str:
    places = ", ".join(repr(str(folder.resolve())) for folder in folders)
    return (
        f"{purpose} cannot be loaded: there is no module {name!r} among the installed packages, "
        f"nor in {places}. Put {name.partition('.')[0]}.py there, or correct the path."
    )


def _no_name(purpose: str, module: ModuleType, name: str, folders: Sequence[Path]) -> str:
    file = _file_of(module)
    own = [one for one in vars(module) if not one.startswith("_")]
    similar = get_close_matches(name, own, 1)
    if similar:
        hint = f" Did you mean {similar[0]!r}?"
    else:
        defined = [
            one for one in own if getattr(getattr(module, one), "__module__", "") == module.__name__
        ]
        hint = f" It defines: {', '.join(defined[:_LONGEST_LIST])}." if defined else ""
    top = module.__name__.partition(".")[0]
    for folder in folders:
        shadowed = folder.resolve() / f"{top}.py"
        if shadowed.is_file() and (file is None or not file.samefile(shadowed)):
            hint = (
                f" {str(shadowed)!r} is not used, because an installed module has the same name: "
                "rename it."
            )
    where = f" ({file})" if file else ""
    return f"{purpose} cannot be loaded: {module.__name__!r}{where} has no {name!r}.{hint}"


def _broken(purpose: str, name: str, error: Exception) -> str:
    frames = [
        frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    where = ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f", {error.filename}, line {error.lineno}"
    elif frames:
        where = f", {frames[-1].filename}, line {frames[-1].lineno}"
    return (
        f"{purpose} cannot be loaded: importing {name!r} failed with "
        f"{type(error).__name__}: {error}{where}."
    )
