"""Build sdist and wheel, compare their files with the checkout, install the wheel into a clean environment and use it.

    python tests/release/check_release.py             installs every dependency as pinned
    python tests/release/check_release.py --packages  takes dependencies from the running interpreter's environment

The sdist is built first, and the wheel from the unpacked sdist: what is missing in one is missing in the other.
"""

from __future__ import annotations

import argparse
import shutil
import site
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = {
    "zoo": "zoo",
    "recipes": "zoo/recipes",
    "configs": "zoo/configs",
}  # folder of the checkout: folder of the wheel
KINDS = (".py", ".yaml", ".md", ".html", ".css", ".js", ".typed")
BUILD = "from setuptools import build_meta as b; import sys; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


def run(command: list[str], folder: Path) -> str:
    """Run a command and return what it printed; its output is shown if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(scratch: Path, out: Path) -> tuple[Path, Path]:
    """Return the sdist, and the wheel that is built from it."""
    tracked = run(["git", "ls-files", "zoo", "recipes", "configs"], ROOT).splitlines()
    source = scratch / "source"
    for name in [*tracked, "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt"]:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    (source / "MANIFEST.in").write_text(
        "graft zoo\ngraft recipes\ngraft configs\ninclude CHANGELOG.md CITATION.cff constraints.txt\n"
        "global-exclude *.pyc\n"
    )
    sdist = out / run([sys.executable, "-c", BUILD, "sdist", str(out)], source).splitlines()[-1]
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch / "unpacked", filter="data")
    (unpacked,) = (scratch / "unpacked").iterdir()
    wheel = out / run([sys.executable, "-c", BUILD, "wheel", str(out)], unpacked).splitlines()[-1]
    return sdist, wheel


def missing(wheel: Path) -> list[str]:
    """Return the tracked files of the package that the wheel lacks."""
    names = set(zipfile.ZipFile(wheel).namelist())
    lacking = []
    for folder, inside in ROOMS.items():
        for name in run(["git", "ls-files", folder], ROOT).splitlines():
            target = inside + name[len(folder) :]
            if name.endswith(KINDS) and not name.startswith("configs/README") and target not in names:
                lacking.append(name)
    return lacking


def use(wheel: Path, scratch: Path, *, packages: bool) -> str:
    """Install the wheel into a clean environment, list what there is, and predict one picture."""
    folder = scratch / "clean"
    venv.create(folder, with_pip=True, symlinks=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if packages:
        (own,) = (folder / "lib").glob("python*/site-packages")
        found = [p for p in (*sys.path, *site.getsitepackages()) if p.endswith("site-packages")]
        (own / "packages.pth").write_text("\n".join(dict.fromkeys(found)))
        run([*install, "--no-deps", "--force-reinstall", str(wheel)], scratch)
    else:
        run([*install, "--constraint", str(ROOT / "constraints.txt"), str(wheel)], scratch)
    where = run([python, "-c", "import zoo; print(zoo.__file__)"], scratch).strip()
    if not where.startswith(str(folder)):
        raise SystemExit(f"zoo was imported from {where}, not from the installed wheel")
    listed = run([python, "-m", "zoo", "ls", "protopnet*"], scratch)
    if "protopnet/digits" not in listed:
        raise SystemExit(f"zoo ls does not list the configs:\n{listed}")
    checkpoint = ROOT / "checkpoints" / "protopnet-digits"
    picture = checkpoint / "explanation.png"
    answer = run([python, "-m", "zoo", "predict", str(checkpoint), str(picture)], scratch)
    header, row = answer.splitlines()[:2]
    if not header.startswith("row,prediction,p_0") or not row:
        raise SystemExit(f"zoo predict printed:\n{answer}")
    return row


def main() -> None:
    """Build, check and use a release; sdist and wheel are left in ``dist/``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", action="store_true", help="take dependencies from the running environment")
    args = parser.parse_args()
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        sdist, wheel = build(scratch, out)
        lacking = missing(wheel)
        if lacking:
            raise SystemExit(f"{wheel.name} lacks {', '.join(lacking)}")
        row = use(wheel, scratch, packages=args.packages)
    for file in (sdist, wheel):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1e6:.1f} MB")
    print(f"installed and used: {row}")


if __name__ == "__main__":
    main()
