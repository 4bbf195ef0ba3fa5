from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from lab.report.charts import Caption
from lab.report.charts.canvas import ARM_STYLE, LONGEST_NAME, VERDICT_MARK, grid, name_text, save, style
from tests.unit.report.charts.opened import ABOUT, CAPTION, opened


def drawn(path: Path, caption: Caption, values: int = 2) -> None:
    """Draw a line of so many values."""
    with style():
        figure, (box,) = grid(1, panel_size=(6.8, 3.9))
        box.plot(range(values), range(values), label="baseline")
        save(figure, path, caption)


def test_a_picture_is_a_png_and_an_svg_file(tmp_path: Path) -> None:
    """Both have title, origin and program in their metadata; foreign text stops neither."""
    drawn(tmp_path / "x.png", CAPTION)
    opened(tmp_path / "x.png")


def test_the_settings_of_matplotlib_are_left_alone(tmp_path: Path) -> None:
    """A program that uses the lab as a library keeps its own style."""
    before = dict(mpl.rcParams)
    drawn(tmp_path / "x.png", CAPTION)
    assert dict(mpl.rcParams) == before


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    """The same data gives the same bytes, in both forms."""
    drawn(tmp_path / "a.png", CAPTION)
    drawn(tmp_path / "b.png", CAPTION)
    for ending in (".png", ".svg"):
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_the_last_digits_of_a_layout_do_not_change_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numbers lie in memory moves the panels by less than anybody sees: both files stay the same."""
    lay_out = Figure.draw_without_rendering

    def elsewhere(figure: Figure) -> None:
        lay_out(figure)
        for box in figure.axes:
            box.set_position(Bbox(box.get_position(original=True).get_points() + 3e-12))

    drawn(tmp_path / "a.png", CAPTION)
    monkeypatch.setattr(Figure, "draw_without_rendering", elsewhere)
    drawn(tmp_path / "b.png", CAPTION)
    for ending in (".png", ".svg"):
        assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_a_long_line_does_not_make_a_huge_file(tmp_path: Path) -> None:
    """What no viewer would open as vectors is put into the SVG file as pixels."""
    drawn(tmp_path / "x.png", CAPTION, values=100_000)
    assert "<image" in (tmp_path / "x.svg").read_text(encoding="utf-8")
    assert (tmp_path / "x.svg").stat().st_size < 1_000_000


def test_a_long_address_at_the_foot_is_not_cut_off(tmp_path: Path) -> None:
    """A note that is one word of digits, which are wider than prose, leaves a white margin on the right."""
    drawn(tmp_path / "x.png", Caption("t", (), ("0123456789" * 60,), ABOUT))
    with Image.open(tmp_path / "x.png") as picture:
        grey = picture.convert("L")
    foot = grey.crop((grey.width - 4, grey.height - 80, grey.width, grey.height))
    assert foot.getextrema() == (255, 255)


def test_what_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    """A character that no XML file may have, not even escaped, does not spoil the SVG file."""
    drawn(tmp_path / "x.png", Caption("\uffff", (), (), ABOUT))
    opened(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("iothreads=4", "iothreads=4"),
        ("a\nb", "a b"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a" * 40 + "b" * 40, "a" * 21 + " ... " + "b" * 21),
    ],
)
def test_names_are_one_printable_line(text: str, written: str) -> None:
    """What is too long loses its middle: ends tell points of a sweep apart."""
    assert name_text(text) == written and len(written) <= LONGEST_NAME


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (12, 3)])
def test_panels_stand_in_columns(count: int, columns: int) -> None:
    """So many panels, in as many columns as can be read; places that are left over are empty."""
    figure, boxes = grid(count, panel_size=(6, 4))
    assert isinstance(figure, Figure) and len(boxes) == count
    assert len({round(box.get_position().x0, 2) for box in boxes}) == columns


def test_arms_and_verdicts_do_not_differ_by_colour_alone() -> None:
    """A page printed in black and white still reads."""
    looks = [(look["marker"], look["linestyle"], look["markerfacecolor"]) for look in ARM_STYLE.values()]
    assert len(set(looks)) == len(looks)
    assert len({marker for _, marker in VERDICT_MARK.values()}) == len(VERDICT_MARK)
