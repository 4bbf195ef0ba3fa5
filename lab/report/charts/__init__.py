"""Numbers to PNG and SVG files. The only part that meets matplotlib; what is drawn, others have computed."""

from __future__ import annotations

from lab.report.charts.canvas import DPI, LARGEST_GRID, Caption
from lab.report.charts.cost import LARGEST_COST, PARTS, CellCost, cost_chart
from lab.report.charts.functions import MOST_FUNCTIONS, FunctionBar, functions_chart
from lab.report.charts.heat_map import ThreadMatrix, threads_chart, threads_from_json
from lab.report.charts.levels import levels_chart
from lab.report.charts.ratio import Step, ratio_chart, waterfall_chart
from lab.report.charts.runs import runs_chart, traces_chart
from lab.report.charts.tmf_matrix import TmfMatrix, matrices_from_json, situation, tmf_chart

__all__ = [
    "DPI",
    "LARGEST_COST",
    "LARGEST_GRID",
    "MOST_FUNCTIONS",
    "PARTS",
    "Caption",
    "CellCost",
    "FunctionBar",
    "Step",
    "ThreadMatrix",
    "TmfMatrix",
    "cost_chart",
    "functions_chart",
    "levels_chart",
    "matrices_from_json",
    "ratio_chart",
    "runs_chart",
    "situation",
    "threads_chart",
    "threads_from_json",
    "tmf_chart",
    "traces_chart",
    "waterfall_chart",
]
