import pytest

from fedgenbench.report.latex_columns import LatexColumn, latex_columns
from fedgenbench.report.statistics import Interval
from fedgenbench.report.tables import Cell, Column, Row, Table


def interval(mean, half):
    return Interval(mean, mean - half, mean + half, 3)


def columns_of(*columns):
    """The columns of a table that has these cells."""
    rows = [Row(str(n), str(n), cells) for n, cells in enumerate(zip(*columns, strict=True))]
    return latex_columns(Table("t", "t", (Column("c", unit="%"),) * len(columns), tuple(rows)))


def test_a_column_makes_room_for_its_widest_number():
    wide = Cell("−30.3 ± 183.5", interval=interval(-30.3, 183.5))
    (column,) = columns_of((Cell("+0.3 ± 0.5", interval=interval(0.3, 0.5)), wide, Cell()))
    assert column == LatexColumn("+2.1", "3.1")
    half = r"S[table-format=3.1,table-space-text-pre={$\pm$\,}]"
    assert column.preamble == rf"S[table-format=+2.1]@{{\,}}{half}"
    assert column.width == 2


@pytest.mark.parametrize(
    ("text", "format"), [("1,200", "4.0"), ("0.2346", "1.4"), ("12.5", "2.1"), ("7", "1.0")]
)
def test_numbers_without_intervals_take_one_column(text, format):
    (column,) = columns_of((Cell(text), Cell("n/a")))
    assert column == LatexColumn(format, "")
    assert column.preamble == f"S[table-format={format}]"
    assert column.cell(Cell(text)) == text.replace(",", "")
    assert column.cell(Cell("n/a")) == "{n/a}"


def test_a_cell_is_its_number_and_half_or_words_over_both():
    first = Cell("81.2 ± 0.6", True, interval(81.2, 0.6))
    (column,) = columns_of((first, Cell("−1.0")))
    assert column.cell(first) == r"\bfseries 81.2 & {$\pm$\,} 0.6"
    assert column.cell(Cell("−1.0")) == "-1.0 &"
    assert column.cell(Cell("50 %")) == r"\multicolumn{2}{c}{50 \%}"


def test_columns_without_a_number_stay_text():
    table = Table(
        "t", "t", (Column("a"), Column("b", unit="")), (Row("r", "r", (Cell("12"), Cell())),)
    )
    assert [column.preamble for column in latex_columns(table)] == ["l", "l"]
    assert latex_columns(table)[0].cell(Cell("1 & 2", bold=True)) == r"\textbf{1 \& 2}"
    empty = Table("t", "t", (Column("b", unit="%"),), ())
    assert [column.preamble for column in latex_columns(empty)] == ["l"]


def test_long_headers_and_texts_break_their_lines():
    (column,) = columns_of((Cell("81.2 ± 0.6", interval=interval(81.2, 0.6)),))
    lines = r"FedLMG, \\ multi-teacher \\ (\%)"
    assert column.head("FedLMG, multi-teacher (%)") == (
        rf"\multicolumn{{2}}{{c}}{{\begin{{tabular}}[b]{{@{{}}c@{{}}}}{lines}\end{{tabular}}}}"
    )
    assert r"@{}}fluent-emoji- \\ high-contrast\end" in column.head("fluent-emoji-high-contrast")
    assert column.head("Accuracy (%)") == r"\multicolumn{2}{c}{Accuracy (\%)}"
    rows = (Row("r", "r", (Cell("ten images of a class, of each client"),)),)
    (column,) = latex_columns(Table("t", "t", (Column("Data"),), rows))
    assert column.preamble == r">{\raggedright\arraybackslash}p{9em}"
    assert column.head("Guided images and more") == "Guided images and more"
