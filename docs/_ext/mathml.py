"""Renders mathematics as MathML, which browsers draw without a script from another machine."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def visit_math(self: Any, node: Any) -> None:
    """Write a formula within a line."""
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def visit_displaymath(self: Any, node: Any) -> None:
    """Write a formula of its own, in a box that scrolls, also by the keyboard, on a narrow page."""
    self.body.append(self.starttag(node, "div", CLASS="math", tabindex="0"))
    formula = tex2mathml(node.astext())
    self.body.append(formula.replace("<math", '<math display="block"', 1))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer, which ``html_math_renderer`` chooses."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
