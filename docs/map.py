"""The picture in the README: the photos of a results folder at their first two principal components.

python docs/map.py RESULTS PICTURE
"""

import sys

import pandas as pd
from PIL import Image, ImageChops, ImageDraw

WIDTH, HEIGHT, MARGIN, PHOTO = 1200, 760, 40, 44
WHITE_ENOUGH = 18  # the background of Fruits-360 is white but for JPEG's noise


def main(results: str, picture: str) -> None:
    rows = pd.read_csv(f"{results}/results.csv", keep_default_na=False)
    x, y = rows["pca_feature_1"], rows["pca_feature_2"]
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    for path, left, top in zip(
        rows["path"],
        MARGIN + (x - x.min()) / (x.max() - x.min()) * (WIDTH - 2 * MARGIN - PHOTO),
        MARGIN + (y.max() - y) / (y.max() - y.min()) * (HEIGHT - 2 * MARGIN - PHOTO),
        strict=True,
    ):
        photo = Image.open(path).convert("RGB").resize((PHOTO, PHOTO))
        distance = ImageChops.difference(photo, Image.new("RGB", photo.size, "white")).convert("L")
        page.paste(photo, (round(left), round(top)), distance.point(lambda value: 255 if value > WHITE_ENOUGH else 0))
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, HEIGHT - 28), f"principal component 1 of {len(rows)} photos, upwards component 2", fill="#444", font_size=18)
    page.save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
