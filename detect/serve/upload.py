"""Images that strangers send: read from memory, within limits, never written to a disk."""

from io import BytesIO

import numpy as np

from detect.errors import UserError
from detect.ops.image import decoding, open_image, to_rgb

MAX_BYTES = 20_000_000
MAX_PIXELS = 50_000_000  # 150 MB as RGB


class Refused(UserError):
    """An answer that is no success: `status` is HTTP's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def check_type(content_type: str) -> None:
    """Raise Refused for a body that says to be something other than an image."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("multipart/"):
        raise Refused(415, "send the image itself as the body, no form around it")
    # curl calls every body a form unless told otherwise
    if kind and not kind.startswith("image/") and kind not in (
        "application/octet-stream", "application/x-www-form-urlencoded"
    ):  # fmt: skip
        raise Refused(415, "the body must be an image: JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF")


def read_upload(body: bytes) -> np.ndarray:
    """The image in `body`, upright, uint8 RGB [height, width, 3].  Raises Refused."""
    if not body:
        raise Refused(400, "the body is empty; send an image as the body")
    try:
        with decoding("the image"):
            image = open_image(BytesIO(body))
            width, height = image.size
            if width * height > MAX_PIXELS:
                limit = f"the limit of {MAX_PIXELS // 1_000_000} megapixels"
                raise Refused(413, f"the image has {width}x{height} px, more than {limit}; make it smaller")
            return to_rgb(image)[0]
    except Refused:
        raise
    except UserError as error:
        raise Refused(422, str(error)) from error
