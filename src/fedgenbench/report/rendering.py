"""Jinja environments that escape by themselves: LaTeX, Markdown, HTML.

Every expression of a template is escaped for its format; only the ``safe`` filter lets markup pass.
"""

import re
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pylatexenc.latexencode import (
    RULE_CALLABLE,
    UnicodeToLatexConversionRule,
    UnicodeToLatexEncoder,
)

# Beyond these and ASCII, pdfLaTeX needs fonts that a paper rarely loads.
_LATEX_LETTERS = {*map(chr, (*range(0xA1, 0x180), *range(0x391, 0x3CA)))} - {*"ŉο"}
_LATEX_SYMBOLS = {*"–—‘’“”„†‡•…‰€←↑→↓↔⇒−∂∇∈∏∑√∞∩∪∼≈≠≡≤≥⊂⊃"}
# What is special in a table alone: else the start of a row would be read as an argument of the line
# end before it.
_IN_TABLES = {"[": "{[}", "*": "{*}", "`": "{`}", "\n": " ", "\N{NO-BREAK SPACE}": "~"}
_GLYPH = r"\otherglyph"


def _latex_rule(text: str, place: int) -> tuple[int, str] | None:
    """What pylatexenc's own table shall not decide: (characters taken, replacement)."""
    character = text[place]
    if character in _IN_TABLES:
        return 1, _IN_TABLES[character]
    if character.isascii() or character in _LATEX_LETTERS or character in _LATEX_SYMBOLS:
        return None
    return 1, f"{_GLYPH}{{{character}}}{{U+{ord(character):04X}}}"


_LATEX_ENCODER = UnicodeToLatexEncoder(
    conversion_rules=[
        UnicodeToLatexConversionRule(
            RULE_CALLABLE, _latex_rule, replacement_latex_protection="none"
        ),
        "defaults",
    ]
)


def escape_latex(text: str) -> str:
    return _LATEX_ENCODER.unicode_to_latex(text)


def latex_document_part(text: str) -> str:
    """``text`` with what it needs before it: code points under pdfLaTeX for what it cannot show."""
    characters = re.findall(re.escape(_GLYPH) + r"\{(.)\}", text)
    if not characters:
        return text
    return (
        f"% {' '.join(dict.fromkeys(characters))}: pdfLaTeX shows their code points. XeLaTeX and "
        "LuaLaTeX show them, with a font that has them.\n"
        f"\\providecommand{_GLYPH}[2]{{\\ifdefined\\Umathcode#1\\else{{[}}#2{{]}}\\fi}}\n{text}"
    )


def escape_markdown(text: str) -> str:
    """For running text and for cells of GitHub's tables."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&@])", r"\\\1", text).replace("\n", " ")


def _environment(escape: Callable[[str], str], **delimiters: Any) -> Environment:
    def finalize(value: Any) -> str:
        return value if isinstance(value, Markup) else escape(str(value))

    return Environment(
        loader=PackageLoader("fedgenbench.report"),
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
    loader=PackageLoader("fedgenbench.report"),
    undefined=StrictUndefined,
    autoescape=True,
    keep_trailing_newline=True,
)
