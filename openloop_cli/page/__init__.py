"""One HTML page: what a checkpoint imagines, to read, to watch and to print.

`page_html` needs metrics trees only; `of_report.report_media` adds what a rollout shows.
"""

from openloop_cli.page.html import PageEntry, page_html, write_page
from openloop_cli.page.media import Media, Player, Shown, Trace, make_player, order_windows
from openloop_cli.page.sections import Table

__all__ = [
    "Media",
    "PageEntry",
    "Player",
    "Shown",
    "Table",
    "Trace",
    "make_player",
    "order_windows",
    "page_html",
    "write_page",
]
