"""A hatchling hook: compiles the ranking kernel when the package is built or installed.

Without a C compiler or Python's headers, the package is built without the kernel: recall has the
same results, and takes longer.
"""

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDER = Path("memory", "retrieval", "ranking")
_BUILT = _FOLDER / "_kernel.abi3.so"
_FLAGS = ("-std=c11", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")


class KernelHook(BuildHookInterface[Any]):
    """Puts the compiled kernel next to its Python module, and into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; `version` is `editable` or `standard`."""
        del version
        if self.target_name != "wheel":
            return
        if why := compile_kernel(Path(self.root)):
            self.app.display_warning(f"recall is built without its compiled kernel: {why}")
            return
        build_data["artifacts"].append(_BUILT.name)
        build_data["pure_python"] = False
        tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{tag}"


def compile_kernel(root: Path) -> str:
    """Compile it into the tree; an existing kernel is replaced atomically, or removed.

    Returns:
        Why it could not be compiled; empty if it was.
    """
    built = root / _BUILT
    made = built.with_suffix(".new")
    built.unlink(missing_ok=True)
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    shared = (
        ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
    )
    headers = sysconfig.get_path("include")
    sources = map(str, sorted((root / _FOLDER / "kernel").glob("*.c")))
    command = [*compiler, *_FLAGS, *shared, f"-I{headers}", *sources, "-o", str(made), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        return f"{compiler[0]} cannot be started ({error.strerror})"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return said[0] if said else f"{compiler[0]} ended with {done.returncode}"
    made.replace(built)
    return ""


if __name__ == "__main__":
    if reason := compile_kernel(Path(__file__).parents[1]):
        sys.exit(f"The kernel could not be compiled: {reason}")
