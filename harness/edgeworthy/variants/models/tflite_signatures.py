"""The signatures of a .tflite: each names the inputs and outputs of one of its graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgeworthy.errors import SourceError
from edgeworthy.suggestions import did_you_mean
from edgeworthy.variants.conversion.tflite_packing import packed

#: Options of ops name other graphs (of a loop, a condition, an initialization) in fields that are called so.
GRAPH = "ubgraph"


def signature_names(content: bytes) -> list[str]:
    """What the signatures are called, in the file's order."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content, 0)
    keys = [model.SignatureDefs(place).SignatureKey() for place in range(model.SignatureDefsLength())]
    return [(key or b"").decode(errors="replace") for key in keys]


def with_signature(content: bytes, title: object, wanted: str | None) -> bytes:
    """The .tflite with the wanted signature alone, whose graph is then the first; as it is where it has no other.

    Raises SourceError where there is no such signature, or several and none is wanted.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = signature_names(content)
    if wanted is None and len(names) > 1:
        raise SourceError(
            f"{title}: the model has {len(names)} signatures: {', '.join(names)}, and none is chosen",
            hint="choose one at the model's source, as 'signature: NAME'",
        )
    if wanted is not None and wanted not in names:
        known = did_you_mean(wanted, names) if names else "it has none"
        raise SourceError(
            f"{title}: the model has no signature {wanted!r}; {known}",
            hint="correct 'signature' at the model's source in models.yaml",
        )
    if wanted is None or len(names) == 1:
        return content
    return packed(content, schema, lambda tree: _keep(tree, names.index(wanted)))


def _keep(tree: Any, place: int) -> None:
    """Leave one signature, its graph and the graphs that this one needs, and their constants."""
    signature = tree.signatureDefs[place]
    kept = [signature.subgraphIndex]
    for number in kept:  # which grows meanwhile
        needed = (each for _, _, others in _references(tree.subgraphs[number]) for each in others)
        kept.extend(each for each in dict.fromkeys(needed) if each not in kept)
    tree.subgraphs = [tree.subgraphs[number] for number in kept]
    for options, name, others in (found for graph in tree.subgraphs for found in list(_references(graph))):
        places = [kept.index(each) for each in others]
        setattr(options, name, places if np.ndim(getattr(options, name)) else places[0])
    signature.subgraphIndex, tree.signatureDefs = 0, [signature]
    used = {tensor.buffer for graph in tree.subgraphs for tensor in graph.tensors}
    used.update(each.buffer for each in tree.metadata or ())
    for buffer in (each for number, each in enumerate(tree.buffers) if number not in used):
        buffer.data = None


def _references(graph: Any) -> Iterator[tuple[Any, str, list[int]]]:
    """Where the ops of a graph name others: the options, the field and the numbers in it."""
    for op in graph.operators or ():
        for options in filter(None, (op.builtinOptions, op.builtinOptions2)):
            for name, value in vars(options).items():
                if GRAPH in name and value is not None:
                    yield options, name, [int(each) for each in np.atleast_1d(value)]
