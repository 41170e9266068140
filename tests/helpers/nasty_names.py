"""Names that markup has to escape."""

NASTY = (
    r"""A&B 50% a_b #1 $x$ <b>c</b> *d* @e {f} \g ~h ^i | `j` [k] "l" 'm' ä – ± × → α #let x = 1"""
)
