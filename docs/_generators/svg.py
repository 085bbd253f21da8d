# SPDX-License-Identifier: Apache-2.0
"""The little SVG that figures need: shapes by class, colours by style sheet, light and dark."""

from __future__ import annotations

from html import escape

__all__ = ["STYLE", "Drawing"]

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1b2533; }
text.small { font-size: 11px; }
text.mono { font-family: ui-monospace, monospace; font-size: 11.5px; }
text.title { font-weight: 600; }
text.muted { fill: #5b6776; }
.box { fill: #ffffff; stroke: #8a96a8; stroke-width: 1.2; }
.box.main { fill: #e6eefc; stroke: #3f6fd1; }
.box.check { fill: #e4f5ea; stroke: #2f9457; }
.box.group { fill: none; stroke: #aab4c3; stroke-dasharray: 4 3; }
.line { fill: none; stroke: #5b6776; stroke-width: 1.4; }
.head { fill: #5b6776; }
.grid { stroke: #d7dce4; stroke-width: 1; }
.wave { fill: none; stroke: #3f6fd1; stroke-width: 1.5; }
.bus { fill: #e6eefc; stroke: #3f6fd1; stroke-width: 1.2; }
.bar { fill: #3f6fd1; }
.bar.b { fill: #2f9457; }
.bar.c { fill: #b8741a; }
@media (prefers-color-scheme: dark) {
text { fill: #dfe5ee; }
text.muted { fill: #9aa6b6; }
.box { fill: #1f2733; stroke: #708096; }
.box.main { fill: #1d2f50; stroke: #7ea6f4; }
.box.check { fill: #173626; stroke: #5fc388; }
.box.group { fill: none; stroke: #5b6776; }
.line { stroke: #9aa6b6; }
.head { fill: #9aa6b6; }
.grid { stroke: #343d4a; }
.wave { stroke: #7ea6f4; }
.bus { fill: #1d2f50; stroke: #7ea6f4; }
.bar { fill: #7ea6f4; }
.bar.b { fill: #5fc388; }
.bar.c { fill: #e0a558; }
}
"""
"""Style of a figure that stands alone; on the site the theme's style sheet takes its place."""


class Drawing:
    """An SVG picture under construction.

    Parameters
    ----------
    width, height : int
        Size in pixels, also the least width at which it is readable.
    title : str
        What it shows, for those who do not see it.
    """

    def __init__(self, width: int, height: int, title: str):
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "middle") -> None:
        """Words with their baseline at ``y``."""
        place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
        self.parts.append(f'<text {place} class="{kind}">{escape(words)}</text>')

    def box(self, x: float, y: float, w: float, h: float, lines=(), kind: str = "") -> None:
        """A rounded box with centred lines of text, the first one bold."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="6" class="box {kind}"/>'
        )
        top = y + h / 2 - 8 * (len(lines) - 1) + 4.5
        for i, line in enumerate(lines):
            self.text(x + w / 2, top + 16 * i, line, "title" if i == 0 else "small muted")

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through ``points``, horizontal or vertical pieces, with a head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        (x0, y0), (x1, y1) = points[-2:]
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        corners = [(x1, y1), (x1 - 8 * dx - 4 * dy, y1 - 8 * dy - 4 * dx),
                   (x1 - 8 * dx + 4 * dy, y1 - 8 * dy + 4 * dx)]
        head = " ".join(f"{x:g},{y:g}" for x, y in corners)
        self.parts += [f'<polyline points="{path}" class="line"/>',
                       f'<polygon points="{head}" class="head"/>']

    def shape(self, tag: str, kind: str, **attributes: object) -> None:
        """Any other element."""
        given = " ".join(f'{name}="{value}"' for name, value in attributes.items())
        self.parts.append(f'<{tag} class="{kind}" {given}/>')

    def render(self, style: str = "") -> str:
        """The picture as text, with a style sheet of its own if one is given."""
        sheet = f"<style>\n{style}</style>\n" if style else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">\n'
            f"<title>{escape(self.title)}</title>\n{sheet}" + "\n".join(self.parts) + "\n</svg>\n"
        )
