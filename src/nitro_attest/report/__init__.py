"""Reports: one verification as HTML, Markdown or JSON, for people who did not run it.

``%load_ext nitro_attest.report`` shows attestations in a notebook as reports.
"""

from __future__ import annotations

from nitro_attest.report.report import Report, load_ipython_extension

__all__ = ["Report", "load_ipython_extension"]
