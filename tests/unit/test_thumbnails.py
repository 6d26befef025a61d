"""Small pictures of the input's images, and what is said of those that cannot be had."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import SAMPLE
from fruits import thumbnails
from fruits.images import Input
from fruits.thumbnails import sheet


def of(folder: Path) -> Input:
    return Input(str(folder), 40_000_000, 64_000_000, ())


def test_thumbnails_are_the_images(tmp_path: Path) -> None:
    keys = [f"{name}.jpg" for name in "abc"]
    for key, photo in zip(keys, sorted(SAMPLE.glob("*/*.jpg"))[::100], strict=False):
        shutil.copy(photo, tmp_path / key)
    (tmp_path / "d.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:600])
    Image.new("RGB", (3000, 2000), (200, 30, 60)).save(tmp_path / "e.jpg")
    found = sheet(of(tmp_path), [*keys, "d.jpg", "e.jpg", "gone.jpg"])
    assert found.places == {"a.jpg": 0, "b.jpg": 1, "c.jpg": 2, "e.jpg": 3}
    assert found.missing == {"truncated": 1, "not-found": 1}
    (tmp_path / "sheet.jpg").write_bytes(found.jpeg)
    whole = np.asarray(Image.open(tmp_path / "sheet.jpg")).astype(int)
    assert whole.shape == (64, 256, 3)
    for key, place in found.places.items():
        photo = np.asarray(Image.open(tmp_path / key).resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(whole[:, 64 * place : 64 * place + 64] - photo).mean() < 6, key


def test_an_input_that_is_gone_is_said_once(tmp_path: Path) -> None:
    found = sheet(of(tmp_path / "nowhere"), ["a.jpg", "b.jpg", "c.jpg"])
    assert (found.jpeg, found.places) == (b"", {})
    assert found.missing == {"no file of the input can be read: No such file or directory": 3}


def test_a_read_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "SECONDS", 1.0)
    os.mkfifo(tmp_path / "pipe.jpg")  # nobody writes to it
    shutil.copy(next(SAMPLE.glob("*/*.jpg")), tmp_path / "a.jpg")
    found = sheet(of(tmp_path), ["pipe.jpg", "a.jpg"])
    assert found.places == {"a.jpg": 0}
    assert found.missing == {"not read within 1 s": 1}
