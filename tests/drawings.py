"""Small pictures of three kinds."""

from PIL import Image, ImageDraw

KINDS = ("stripes", "dots", "rings")


def draw(kind, generator):
    """A picture of one of KINDS, about 40 pixels a side."""
    width, height = generator.integers(36, 48, 2)
    ground = tuple(int(value) for value in generator.integers(180, 255, 3))
    color = tuple(int(value) for value in generator.integers(0, 90, 3))
    image = Image.new("RGB", (int(width), int(height)), ground)
    pen = ImageDraw.Draw(image)
    for at in range(2, 48, 8):
        if kind == "stripes":
            pen.rectangle((at, 0, at + 3, 48), fill=color)
        elif kind == "rings":
            pen.ellipse((at // 3, at // 3, 36 - at // 3, 36 - at // 3), outline=color)
        else:
            for other in range(2, 48, 8):
                pen.ellipse((at, other, at + 3, other + 3), fill=color)
    return image
