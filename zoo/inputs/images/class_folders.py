"""Class folders: ``root/<class>/<picture>``, or the same below a folder for each split, as people really have them."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.inputs.images.picture import extensions
from zoo.inputs.labels import compare_names
from zoo.inputs.regular_files import open_regular

SPLIT_NAMES = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
JUNK = frozenset(
    {  # written by operating systems and editors, in lower case
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "@eadir",
        "__pycache__",
    }
)
MIN_IMAGES = 3  # of a class without a test folder: a stratified fifth of fewer leaves none for testing


@dataclass(frozen=True)
class Picture:
    """One file of a class folder.

    Attributes:
        path: the file.
        name: its path relative to the root, with forward slashes, in Unicode form NFC.
        label: number of its class.
    """

    path: Path
    name: str
    label: int


@dataclass(frozen=True)
class ClassFolders:
    """The pictures of a root.

    Attributes:
        class_names: names of the class folders in Unicode form NFC, sorted.
        splits: pictures by split; the only key is ``all`` where there are no folders of splits.
        notes: what was ignored, and identical pictures in two splits.
    """

    class_names: tuple[str, ...]
    splits: Mapping[str, tuple[Picture, ...]]
    notes: tuple[str, ...] = ()


def name_key(name: str) -> str:
    """Return a file name as names of files and tables are compared: forward slashes, Unicode form NFC.

    >>> name_key("./a//robin.jpg")
    'a/robin.jpg'
    """
    return unicodedata.normalize("NFC", os.path.normpath(name).replace(os.sep, "/"))


def is_junk(name: str) -> bool:
    """Return whether a file or folder was written by an operating system or editor, or is hidden.

    >>> is_junk(".ipynb_checkpoints"), is_junk("Thumbs.db"), is_junk("robin.jpg")
    (True, True, False)
    """
    return name.startswith((".", "~$")) or name.lower() in JUNK


def split_of(name: str) -> str | None:
    """Return the split that a folder is named after, in any case; None for none.

    >>> split_of("Validation"), split_of("robins")
    ('val', None)
    """
    return next((split for split, names in SPLIT_NAMES.items() if name.casefold() in names), None)


def list_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the pictures below a folder in the order of their names, and the names of files that are none.

    Hidden files and those of operating systems are in neither; links to folders are followed, once each.
    """
    pictures: list[Path] = []
    others: list[str] = []
    visited = set()
    for top, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in files:
            if is_junk(name):
                continue
            if os.path.splitext(name)[1].lower() in extensions():
                pictures.append(Path(top) / name)
            else:
                others.append(name)
    return sorted(pictures, key=lambda path: name_key(str(path))), sorted(others)


def find_splits(root: Path) -> dict[str, Path]:
    """Return the folder of each split below a root, named ``Train``, ``testing``, ``valid`` ... in any case.

    Empty where there is no folder for training: then folders are classes.

    Raises:
        ValueError: if two folders are of one split.
    """
    found: dict[str, Path] = {}
    for folder in _folders(root):
        split = split_of(folder.name)
        if split is None:
            continue
        if split in found:
            raise ValueError(f"{root} has {found[split].name} and {folder.name}, both for {split}; keep one of the two")
        found[split] = folder
    return {split: found[split] for split in SPLIT_NAMES if split in found} if "train" in found else {}


def read_class_folders(
    root: Path, *, class_names: Sequence[str] | None = None, partial: bool = True, identical: bool = True
) -> ClassFolders:
    """List the pictures of class folders.

    Args:
        root: ``root/<class>/<picture>``, or ``root/<split>/<class>/<picture>``.
        class_names: names of the classes of a trained model, whose order is taken; None to take the folders'.
        partial: whether other data may lack some of ``class_names``.
        identical: whether to look for identical files in two splits.

    Raises:
        ValueError: if the folder is missing or has no classes, a class has no picture or too few to hold out a fifth,
            the classes are not the model's, or two names differ in Unicode form alone.
    """
    if not root.is_dir():
        raise ValueError(f"{root} is no folder; expected {root}/<class>/<image>")
    folders = find_splits(root)
    notes: list[str] = []
    if folders:
        kept = {folder.name for folder in folders.values()}
        if ignored := [folder.name for folder in _folders(root) if folder.name not in kept]:
            notes.append(f"{root}: folders that are no split were ignored: {', '.join(ignored)}")
    tops = folders or {"all": root}
    first = next(iter(tops.values()))
    names = tuple(sorted(_classes(first))) if class_names is None else tuple(class_names)
    if not names:
        raise ValueError(f"{first} has no class folders; expected {first}/<class>/<image>")
    splits: dict[str, tuple[Picture, ...]] = {}
    for split, top in tops.items():
        by_name = _classes(top)
        trained = class_names is None and top == first
        try:
            compare_names(names, list(by_name), "classes", partial=partial and not trained, exact=True)
        except ValueError as error:
            raise ValueError(f"{top}: {error}") from error
        pictures: list[Picture] = []
        strangers: list[str] = []
        for label, name in enumerate(names):
            if name not in by_name:
                continue
            files, others = list_pictures(by_name[name])
            strangers += others
            if not files:
                raise ValueError(f"class {name!r} has no image in {by_name[name]}; add one or remove the class")
            if split == "all" and class_names is None and len(files) < MIN_IMAGES:
                raise ValueError(
                    f"class {name!r} has {len(files)} images in {by_name[name]}; expected {MIN_IMAGES} or more to"
                    " hold out a fifth for testing, or folders train and test"
                )
            pictures += [Picture(path, _relative(path, root), label) for path in files]
        _refuse_twins(pictures, root)
        splits[split] = tuple(pictures)
        if strangers:
            listed = ", ".join(sorted(set(strangers))[:5]) + (", ..." if len(set(strangers)) > 5 else "")
            notes.append(f"{top}: {len(strangers)} files that are no images were ignored: {listed}")
    if identical and len(splits) > 1:
        notes += identical_files(splits)
    return ClassFolders(names, splits, tuple(notes))


def identical_files(splits: Mapping[str, Sequence[Picture]]) -> list[str]:
    """Return remarks about pictures of different splits whose files are byte-identical.

    Only files of equal size are read.

    Raises:
        ValueError: if a file cannot be read.
    """
    by_size: dict[int, list[tuple[str, Picture]]] = {}
    for split, pictures in splits.items():
        for picture in pictures:
            by_size.setdefault(picture.path.stat().st_size, []).append((split, picture))
    pairs: list[tuple[str, str]] = []
    for group in by_size.values():
        if len({split for split, _ in group}) < 2:
            continue
        first: dict[bytes, tuple[str, Picture]] = {}
        for split, picture in group:
            other_split, other = first.setdefault(_digest(picture.path), (split, picture))
            if other_split != split:
                pairs.append((other.name, picture.name))
    if not pairs:
        return []
    listed = ", ".join(f"{a} and {b}" for a, b in pairs[:3]) + (", ..." if len(pairs) > 3 else "")
    return [f"{len(pairs)} images are byte-identical to one in another split ({listed}); scores on them are too good"]


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_junk(path.name))


def _classes(top: Path) -> dict[str, Path]:
    """Class folders by name in Unicode form NFC."""
    found: dict[str, Path] = {}
    for folder in _folders(top):
        name = unicodedata.normalize("NFC", folder.name)
        if name in found:
            raise ValueError(f"{top} has two folders named {name!r} that differ in Unicode form alone; merge them")
        found[name] = folder
    return found


def _relative(path: Path, root: Path) -> str:
    return name_key(path.relative_to(root).as_posix())


def _refuse_twins(pictures: Sequence[Picture], root: Path) -> None:
    first: dict[str, Path] = {}
    for picture in pictures:
        if first.setdefault(picture.name, picture.path) != picture.path:
            raise ValueError(f"{root} has two files {picture.name!r} that differ in Unicode form alone; rename one")
