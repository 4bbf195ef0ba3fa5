"""``lab image``: build and list guest images."""

from __future__ import annotations

from pathlib import Path

import click

from lab.cli.output import print_json, print_text, progress_for
from lab.image.build import build_image, default_recipe_path
from lab.image.guest_image import GuestImage, list_images
from lab.image.recipe import load_recipe
from lab.settings import cache_dir

_MIB = 1 << 20


@click.group("image")
def image() -> None:
    """Build and list guest images: a kernel and one initramfs with dropbear, fio and sg_reset.

    Example: lab image build
    """


@image.command("build")
@click.option("--recipe", "recipe_path", type=click.Path(path_type=Path), help="TOML file; guest-images/default.toml.")
@click.option("--refresh", is_flag=True, help="Ask the package mirror again, even if that was done today.")
@click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
def build(recipe_path: Path | None, refresh: bool, as_json: bool) -> None:
    """Build a guest image without root, or find it in the cache.

    Kernel, sshd, busybox and sg_reset come from packages of this host's distribution, fio from its source package.
    A recipe may name your own kernel and programs instead: see guest-images/installed.toml.

    \b
    Example:
      lab image build --recipe guest-images/default.toml
    """
    found = build_image(load_recipe(recipe_path or default_recipe_path()), progress=progress_for(), refresh=refresh)
    if as_json:
        print_json(found.to_json())
    else:
        print_text(_text_from_image(found))


@image.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
def list_(as_json: bool) -> None:
    """Show the guest images in the cache, the newest first.

    \b
    Example:
      lab image list --json
    """
    images = list_images(cache_dir("images"))
    if as_json:
        print_json({"images": [one.to_json() for one in images]})
    elif images:
        print_text("\n\n".join(_text_from_image(one) for one in images))
    else:
        print_text("no guest image yet: lab image build makes one")


def _text_from_image(one: GuestImage) -> str:
    programs = ", ".join(f"{name} {version}" for name, version in one.programs.items())
    lines = [
        f"{one.name}  {one.key}",
        f"  kernel   {one.kernel_version}, {one.kernel.stat().st_size / _MIB:.1f} MiB, {one.kernel}",
        f"  initrd   {one.initrd.stat().st_size / _MIB:.1f} MiB, {one.initrd}",
        f"  cmdline  {one.cmdline}",
        f"  programs {programs}",
    ]
    return "\n".join([*lines, *(f"  note     {note}" for note in one.notes)])
