"""Mathematics as MathML, which browsers draw themselves: no script, no font, nothing fetched."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def _mathml(latex: str, display: str) -> str:
    # MathML reads an alignment of a matrix as latex2mathml writes it; blank lines are Markdown's.
    return convert(re.sub(r"\s+", " ", latex.strip()), display=display)


def visit_inline(writer: HTML5Translator, node: nodes.math) -> None:
    """Writes a formula inside a line."""
    writer.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    """Writes a formula of its own; a wide one scrolls by itself."""
    writer.body.append(f'<div class="formula">{_mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
