"""Weights that the authors of a family published, as models of zoo: read without running code, and checked."""

from zoo.importers.cem import import_cem
from zoo.importers.imported import save_imported
from zoo.importers.protopnet import import_protopnet

__all__ = ["import_cem", "import_protopnet", "save_imported"]
