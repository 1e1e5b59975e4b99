"""Files that hold a graph: written, opened again, and run."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.inputs.table import TableInputs
from zoo.serving import exact_scalars
from zoo.serving.column_graph import MISSING_CODE
from zoo.serving.description import input_names
from zoo.serving.graph import Graph, Raw, traced

Run = Callable[[Raw], dict[str, Tensor]]
ABOUT = "zoo"  # name of the description in a file
WORDS = ("true", "false", "True", "False", "0", "1")  # of a boolean column, beside its own


def write_torch(graph: Graph, raw: Raw, about: Mapping[str, Any], file: Path) -> None:
    """Write a program that ``torch.export.load`` reads, with its description as the additional file ``zoo``."""
    with _quiet():
        program = traced(graph, raw)
        for name, value in program.state_dict.items():
            if not value.numel():  # torch.export.save fails for an empty tensor that is not contiguous
                empty = value.new_empty(value.shape)
                parameter = isinstance(value, torch.nn.Parameter)
                program.state_dict[name] = torch.nn.Parameter(empty, value.requires_grad) if parameter else empty
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(about)})


def open_torch(graph: Graph, file: Path) -> Run:
    """Return the program in a file as a function."""
    with _quiet():
        module = torch.export.load(file).module()
    return lambda raw: module(raw)


def write_onnx(graph: Graph, raw: Raw, about: Mapping[str, Any], file: Path) -> None:
    """Write an ONNX model with its description as the metadata property ``zoo``; levels of columns are strings in it.

    Raises:
        ValueError: if a package is missing, or an operation of the model is not one of ONNX.
    """
    onnx = _package("onnx")
    _package("onnxscript")
    with _quiet():
        program = traced(graph, raw)
        names = input_names(graph.model)
        try:
            written = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=list(about["outputs"]),
                custom_translation_table=exact_scalars.translations(),
            )
        except torch.onnx.errors.OnnxExporterError as error:
            lines = [line for line in str(error).splitlines() if "DispatchError" in line or "translating node" in line]
            raise ValueError(f"this {graph.model.name} cannot be written as ONNX: {' '.join(lines)[-300:]}") from error
    assert written is not None
    model = written.model_proto
    if isinstance(graph.model.inputs, TableInputs):
        _read_levels(model, graph.model.inputs, names)
    onnx.helper.set_model_props(model, {ABOUT: json.dumps(about)})
    model.doc_string = f"{about['checkpoint']}: {about['model']}, exported by zoo {about['zoo']}"
    for node in model.graph.node:  # no stack traces of the machine that exported it
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())


def open_onnx(graph: Graph, file: Path) -> Run:
    """Return the model in an ONNX file, run by onnxruntime on the CPU, as a function.

    Raises:
        ValueError: if the package is missing, or it refuses the file.
    """
    onnxruntime = _package("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own, which derive from nothing else
        raise ValueError(f"onnxruntime refuses {file}: {' '.join(str(error).split())[:300]}") from error
    known = {given.name for given in session.get_inputs()}  # an input that nothing reads is not kept
    outputs = [output.name for output in session.get_outputs()]

    def run(raw: Raw) -> dict[str, Tensor]:
        feed = {name: value for name, value in onnx_feed(graph, raw).items() if name in known}
        return {name: torch.from_numpy(value) for name, value in zip(outputs, session.run(None, feed), strict=True)}

    return run


def onnx_feed(graph: Graph, raw: Raw) -> dict[str, np.ndarray]:
    """Return raw inputs as onnxruntime takes them: levels as strings, empty where a cell is missing."""
    names = input_names(graph.model)
    if isinstance(raw, Tensor):
        return {names[0]: raw.numpy()}
    assert isinstance(graph.model.inputs, TableInputs)
    feed = {}
    for name, column in zip(names, graph.model.inputs.schema.columns, strict=True):
        cells = raw[column.name].numpy()
        if column.has_levels:
            words = np.array([*column.levels, "(other)", ""], object)
            cells = words[cells]  # -1 is the last
        feed[name] = cells
    return feed


def _read_levels(model: Any, inputs: TableInputs, names: list[str]) -> None:
    """Make the columns of levels of an ONNX model strings, which a node at its start looks up."""
    onnx = _package("onnx")
    markers = inputs.schema.markers
    nodes = []
    for name, column in zip(names, inputs.schema.columns, strict=True):
        given = [value for value in model.graph.input if value.name == name]
        if not column.has_levels or not given:
            continue
        words = list(dict.fromkeys([*column.levels, *(WORDS if column.kind == "boolean" else ()), *markers]))
        values, _ = column.parse(np.array(words, object), frozenset(markers))
        codes = [MISSING_CODE if np.isnan(value) else int(value) for value in values]
        code = f"code of {name}"
        lookup = {"keys_strings": words, "values_int64s": codes, "default_int64": len(column.levels)}
        nodes.append(onnx.helper.make_node("LabelEncoder", [name], [code], domain="ai.onnx.ml", **lookup))
        for node in model.graph.node:
            node.input[:] = [code if other == name else other for other in node.input]
        given[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    if nodes:
        rest = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend([*nodes, *rest])
        model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 2))


def _package(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise ValueError(f"--to onnx needs the package {name}; install the extra: pip install '.[onnx]'") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch logs and prints while it writes a graph."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
