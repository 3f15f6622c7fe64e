"""Formulas as MathML: browsers draw it themselves, without a script or a font."""

from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger


def _write(writer: Any, node: nodes.Element, as_block: bool) -> None:
    text = node.astext()
    try:
        formula = tex2mathml(text, as_block=as_block)
    except MathError as error:
        getLogger(__name__).warning("formula %r: %s", text, error, location=node)
        formula = f"<code>{writer.encode(text)}</code>"
    writer.body.append(f'<div class="formula">{formula}</div>' if as_block else formula)
    raise nodes.SkipNode


def visit_inline(writer: Any, node: nodes.math) -> None:
    """Write a formula inside a line."""
    _write(writer, node, as_block=False)


def visit_block(writer: Any, node: nodes.math_block) -> None:
    """Write a formula on lines of its own."""
    _write(writer, node, as_block=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name "mathml"."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
