"""The runs that are shown and what their charts are drawn from. Knows records, no widget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gui.train.charts.marks import Mark, marks
from gui.train.charts.series import Series
from gui.train.charts.specification import Chart, charts

if TYPE_CHECKING:
    from gui.train.record import Record


class Shelf:
    """Some runs, the charts they have, and the series of each chart."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.charts: list[Chart] = []
        self.marks: list[Mark] = []
        self._series: dict[tuple[str, int], Series] = {}

    @property
    def names(self) -> list[str]:
        """What the runs are called."""
        return [Path(record.folder).name for record in self.records]

    def put(self, records: Sequence[Record]) -> None:
        """These are the runs; what was known of others is forgotten."""
        self.records = list(records)
        self._series.clear()
        self.charts, self.marks = [], []

    def clear(self) -> None:
        """A record is another one: what was drawn from it is void."""
        for series in self._series.values():
            series.clear()
        self.charts, self.marks = [], []

    def look(self) -> bool:
        """See which charts there are by now; whether they, or the marks, are others than before."""
        found = charts(self.records)
        told = marks(self.records[0]) if self.records else []
        same = [chart.key for chart in found] == [chart.key for chart in self.charts] and told == self.marks
        self.charts, self.marks = found, told
        return not same

    def series(self, chart: Chart) -> list[Series]:
        """The series of a chart, one for each run."""
        return [self._one(chart, index) for index in range(len(self.records))]

    def ends(self, axis: str) -> tuple[float, float] | None:
        """The first and the last place of all runs; None where there is none."""
        places: list[float] = []
        for record in self.records:
            column = record.column(axis)
            places += column[[0, -1]].tolist() if len(column) else []
            places += [float(getattr(event, axis)) for event in record.evaluations]
        known = [place for place in places if math.isfinite(place)]
        return (min(known), max(known)) if known else None

    def _one(self, chart: Chart, index: int) -> Series:
        found = self._series.get((chart.key, index))
        if found is None:
            found = self._series[chart.key, index] = Series(chart, self.records[index])
        return found
