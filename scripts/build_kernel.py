"""A hatchling build hook that compiles the ranking kernel.

`CC` of the environment names the compiler; otherwise it is the one that built Python. Without a C
compiler or Python's headers, the package is built without the kernel: recall returns the same
results and is slower. To compile the kernel in a checkout: `python scripts/build_kernel.py`.
"""

import os
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
        """Compile the kernel for a wheel; `version` is `editable` or `standard`."""
        del version
        if self.target_name != "wheel":
            return
        if reason := compile_kernel(Path(self.root)):
            self.app.display_warning(f"Recall is built without its compiled kernel: {reason}")
            return
        build_data["artifacts"].append(_BUILT.name)
        build_data["pure_python"] = False
        tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"cp311-abi3-{tag}"


def compile_kernel(root: Path) -> str:
    """Compile the kernel into the tree at `root`; a kernel of an earlier build is removed first.

    Returns:
        Why the kernel could not be compiled; empty on success.
    """
    built = root / _BUILT
    output = built.with_suffix(".new")
    built.unlink(missing_ok=True)
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    shared = (
        ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
    )
    headers = sysconfig.get_path("include")
    sources = map(str, sorted((root / _FOLDER / "kernel").glob("*.c")))
    command = [*compiler, *_FLAGS, *shared, f"-I{headers}", *sources, "-o", str(output), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        return f"{compiler[0]} cannot be started ({error.strerror})"
    if done.returncode:
        messages = done.stderr.strip().splitlines()
        return messages[0] if messages else f"{compiler[0]} exits with {done.returncode}"
    output.replace(built)
    return ""


if __name__ == "__main__":
    if failure := compile_kernel(Path(__file__).parents[1]):
        sys.exit(f"The kernel could not be compiled: {failure}")
