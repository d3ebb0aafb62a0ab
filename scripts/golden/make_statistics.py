"""Results of scipy and statsmodels for 1,000 random 2x2 tables.

    python make_statistics.py > ../../tests/fixtures/golden/statistics.txt

Needs `pip install scipy statsmodels`. A line is a table of two judges, `both first second neither`, then: the 95 % interval
of Wilson for the rate of the first judge, McNemar's p, exact and with continuity correction, Cohen's h of the two rates, and
the exact p adjusted by Benjamini and Hochberg among the ten of its block.
"""

import random

from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint, proportion_effectsize

BLOCK = 10


def table(draw):
    most = draw.choice([3, 12, 40, 400, 4000])
    cells = [draw.randint(0, most) for _ in range(4)]
    return cells if cells[1] + cells[2] else table(draw)


def short(value):
    return f"{value:.10g}".replace("0.", ".", 1) if 0.001 < abs(value) < 1 else f"{value:.10g}"


def main():
    draw = random.Random(19)
    for _ in range(1000 // BLOCK):
        tables = [table(draw) for _ in range(BLOCK)]
        exact = [mcnemar([[a, b], [c, d]], exact=True).pvalue for a, b, c, d in tables]
        adjusted = multipletests(exact, method="fdr_bh")[1]
        for (a, b, c, d), p, q in zip(tables, exact, adjusted):
            n = a + b + c + d
            low, high = proportion_confint(a + b, n, method="wilson")
            corrected = mcnemar([[a, b], [c, d]], exact=False, correction=True).pvalue
            h = proportion_effectsize((a + b) / n, (a + c) / n)
            print(a, b, c, d, *map(short, (low, high, p, corrected, h, q)))


main()
