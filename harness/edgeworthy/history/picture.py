"""A trend as one HTML file that opens without a network: plotly's own script is in it, and nothing else may load."""

from __future__ import annotations

import html
from typing import Any

from edgeworthy.history.trend import Trend, revision
from edgeworthy.metrics import METRICS

#: The page's content security policy: nothing is loaded from outside the file.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def picture(trend: Trend) -> str:
    """The page. Names are escaped for HTML, and once more for plotly, which reads tags in its own texts."""
    title = html.escape(f"{trend.cell}: {METRICS[trend.metric].label}")
    findings = "".join(f"<li>{html.escape(found.message())}</li>" for found in trend.findings)
    chart = _figure(trend).to_html(full_html=False, include_plotlyjs=True, config={"displaylogo": False})
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<title>{title}</title>\n'
        "<style>body{font-family:system-ui,sans-serif;margin:2em}</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n<p>{html.escape(trend.summary())}</p>\n<ul>{findings}</ul>\n{chart}\n</body>\n</html>\n"
    )


def _figure(trend: Trend) -> Any:
    import plotly.graph_objects as go

    metric = METRICS[trend.metric]
    label, unit = metric.label, metric.unit
    figure = go.Figure()
    judged = set(trend.judged)
    others = [index for index in range(len(trend.points)) if index not in judged]
    for name, indexes, color in (("comparable", trend.judged, "#1f77b4"), ("not comparable", others, "#bbbbbb")):
        figure.add_scatter(
            x=list(indexes),
            y=[trend.points[index].value for index in indexes],
            text=[_hover(trend, index) for index in indexes],
            hovertemplate="%{text}<br>%{y}<extra></extra>",
            mode="lines+markers" if name == "comparable" else "markers",
            name=name,
            line={"color": color},
        )
    runs = [point.run for point in trend.points]
    for found in trend.findings:
        color = "#d62728" if found.worse else "#2ca02c"
        figure.add_vline(
            x=runs.index(found.began.run) - 0.5, line={"color": color, "dash": "dash"}, annotation_text=found.status
        )
    figure.update_layout(template="plotly_white", xaxis_title="run", yaxis_title=f"{label}{f',{unit}' if unit else ''}")
    return figure


def _hover(trend: Trend, index: int) -> str:
    point = trend.points[index]
    return "<br>".join(html.escape(text) for text in (point.run, point.began_utc, revision(point), point.status))
