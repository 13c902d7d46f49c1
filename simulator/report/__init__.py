"""The report of a run: one page, self-contained, with a map, a replay, and what was found in plain words.

`findings` says what a run shows, over the sums of `reach`; `figures` and `replay` bring the numbers into shape; `page`
puts them into the page's parts that lie beside it. Reads an `Outcome` alone; never runs a world.
"""

from simulator.report.findings import Finding, findings
from simulator.report.page import report_html

__all__ = ["Finding", "findings", "report_html"]
