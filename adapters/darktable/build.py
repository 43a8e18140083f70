"""The native module, compiled against one darktable's headers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from adapters.darktable.found import Darktable, run
from plugin_core.errors import OptionError

__all__ = ["DEVELOPMENT_PACKAGES", "MODULE_NAME", "NATIVE", "build", "missing_tools"]

NATIVE = Path(__file__).parent / "native"
MODULE_NAME = "libneuralisp.so"
INTROSPECTED = "neuralisp.c"  # the one file that darktable's parser reads; the others are compiled beside it
# pkg-config's name -> Debian's package
DEVELOPMENT_PACKAGES = {
    "gtk+-3.0": "libgtk-3-dev",
    "json-glib-1.0": "libjson-glib-dev",
    "lua5.4": "liblua5.4-dev",
    "sqlite3": "libsqlite3-dev",
    "lcms2": "liblcms2-dev",
    "libxml-2.0": "libxml2-dev",
    "librsvg-2.0": "librsvg2-dev",
    "gmodule-2.0": "libglib2.0-dev",
    "libgphoto2": "libgphoto2-dev",
    "zlib": "zlib1g-dev",
}
TOOLS = {"gcc": "gcc", "perl": "perl", "pkg-config": "pkgconf"}
CONFIG_MACROS = (
    "HAVE_OMP_FIRSTPRIVATE_WITH_CONST 1",
    "HAVE_CPUID_H 1",
    "HAVE___GET_CPUID 1",
    'SHARED_MODULE_PREFIX "lib"',
    'SHARED_MODULE_SUFFIX ".so"',
)
# as distributions build it; each changes the layout of structures or what headers declare
FEATURES = (
    "USE_LUA",
    "HAVE_GPHOTO2",
    "HAVE_GRAPHICSMAGICK",
    "HAVE_OPENJPEG",
    "HAVE_OPENEXR",
    "HAVE_WEBP",
    "_GNU_SOURCE",
    "_RELEASE",
)
COMPILER = ("-std=gnu99", "-O3", "-fPIC", "-fopenmp", "-fvisibility=hidden", "-Wall", "-Wno-unknown-pragmas")


def missing_tools() -> list[str]:
    """The Debian packages that have to be installed before the module can be built."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if shutil.which("pkg-config") is None:
        return [*missing, *DEVELOPMENT_PACKAGES.values()]
    for name, package in DEVELOPMENT_PACKAGES.items():
        if subprocess.run(["pkg-config", "--exists", name], check=False).returncode:
            missing.append(package)
    return missing


def build(darktable: Darktable, source: Path, folder: Path, extra_macros: Sequence[str] = ()) -> Path:
    """Compiles the module in `folder`; its path. source: darktable's source tree, see source.py.

    The interpreter that runs this is baked in as the helper's. Raises OptionError with what is missing.
    """
    missing = missing_tools()
    if missing:
        raise OptionError(f"to build the module, run as root: apt-get install {' '.join(missing)}", "NO_BUILD_TOOLS")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.h").write_text(_config(source / "src/config.cmake.h"), encoding="utf-8")
    generated = folder / f"introspection_{INTROSPECTED}"
    shutil.copyfile(NATIVE / INTROSPECTED, folder / INTROSPECTED)
    parser = source / "tools/introspection/parser.pl"
    run(["perl", str(parser), f"{source}/src/", INTROSPECTED, generated.name], "BUILD_FAILED", folder)
    flags = _flags(darktable, source, folder, extra_macros)
    objects = [_compile(generated, folder, [*flags, *_module_headers()])]
    for path in sorted(NATIVE.glob("nisp_*.c")):
        objects.append(_compile(path, folder, flags))
    libraries = run(["pkg-config", "--libs", "gtk+-3.0", "gmodule-2.0", "zlib"], "BUILD_FAILED").split()
    module = folder / MODULE_NAME
    link = ["gcc", "-shared", "-fopenmp", *map(str, objects), "-o", str(module), f"-L{darktable.modules}"]
    run([*link, "-l:libdarktable.so", f"-Wl,-rpath,{darktable.modules}", *libraries], "BUILD_FAILED")
    return module


def _config(template: Path) -> str:
    """darktable's config.h without CMake: of its macros only few matter to a module, paths are not used."""
    lines = [line for line in template.read_text(encoding="utf-8").splitlines() if "#cmakedefine" not in line]
    text = "\n".join(lines)
    while "@" in text:  # @NAME@
        before, name, after = text.split("@", 2)
        del name
        text = before + after
    return "\n".join([*(f"#define {macro}" for macro in CONFIG_MACROS), text, ""])


def _flags(darktable: Darktable, source: Path, folder: Path, extra_macros: Sequence[str]) -> list[str]:
    # -P: the folder that darktable was started in must not be searched for modules of Python
    helper = ",".join(f'"{part}"' for part in (sys.executable, "-P", "-m", "plugin_core.cli"))
    macros = [
        "HAVE_CONFIG_H",
        "_XOPEN_SOURCE=700",
        *FEATURES,
        *(["HAVE_OPENCL"] if darktable.opencl else []),
        f'NEURALISP_DARKTABLE_VERSION="{darktable.version}"',
        f"NEURALISP_HELPER={helper}",
        *extra_macros,
    ]
    headers = (
        folder,
        NATIVE,
        *(source / "src" / name for name in ("", "external", "external/OpenCL", "external/LuaAutoC")),
    )
    packages = [name for name in DEVELOPMENT_PACKAGES if name not in ("libgphoto2", "zlib")]
    cflags = run(["pkg-config", "--cflags", *packages], "BUILD_FAILED").split()
    return [
        *COMPILER,
        *(f"-D{macro}" for macro in macros),
        *(f"-I{path}" for path in headers),
        *cflags,
    ]


def _module_headers() -> list[str]:
    """What turns a translation unit into a module: the prototypes of its exports."""
    return ["-include", "common/module_api.h", "-include", "iop/iop_api.h"]


def _compile(path: Path, folder: Path, flags: Sequence[str]) -> Path:
    result = folder / f"{path.stem}.o"
    run(["gcc", *flags, "-c", str(path), "-o", str(result)], "BUILD_FAILED", folder)
    return result
