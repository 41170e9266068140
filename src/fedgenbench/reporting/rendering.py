"""Jinja environments that escape by themselves: LaTeX, Markdown, HTML.

Every expression of a template is escaped for its format; only the ``safe`` filter lets markup pass.
"""

import re
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_LATEX_CHARACTERS = {
    **{character: "\\" + character for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\n": " ",
    # Else the start of a row would be read as an argument of the line end before it.
    "[": "{[}",
    "*": "{*}",
    # What labels and notes use and pdflatex does not know by itself.
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "η": r"$\eta$",
    "θ": r"$\theta$",
    "λ": r"$\lambda$",
    "μ": r"$\mu$",
    "τ": r"$\tau$",
    "ω": r"$\omega$",
}


def escape_latex(text: str) -> str:
    return "".join(_LATEX_CHARACTERS.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    """For running text and for cells of GitHub's tables."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&@])", r"\\\1", text).replace("\n", " ")


def _environment(escape: Callable[[str], str], **delimiters: str) -> Environment:
    def finalize(value: Any) -> str:
        return value if isinstance(value, Markup) else escape(str(value))

    return Environment(
        loader=PackageLoader("fedgenbench.reporting"),
        undefined=StrictUndefined,
        finalize=finalize,
        keep_trailing_newline=True,
        **delimiters,
    )


# Braces and per cent signs belong to LaTeX.
LATEX = _environment(
    escape_latex,
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
    comment_start_string="<#",
    comment_end_string="#>",
)
MARKDOWN = _environment(escape_markdown)
HTML = Environment(
    loader=PackageLoader("fedgenbench.reporting"),
    undefined=StrictUndefined,
    autoescape=True,
    keep_trailing_newline=True,
)
