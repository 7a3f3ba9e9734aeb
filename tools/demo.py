"""The main job in one command: detect in sample photos and a short clip with the released weights (`make demo`).

The photos are CC0 or public domain and come with scikit-image; the clip pans over two of them.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

PHOTOS = {
    "astronaut": "astronaut.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "motorcycle": "motorcycle_left.png",
}
FOLDER = Path("runs", "demo")
FPS, SECONDS, CLIP_SIZE = 12, 4, 320


def find_photos():
    """The sample photos as RGB arrays by name."""
    try:
        import skimage
    except ImportError as error:
        from detect.errors import UserError

        raise UserError("scikit-image, whose photos the demo shows, is not here; install the extra: demo") from error

    from detect.ops.image import read_image

    folder = Path(skimage.__file__).parent / "data"
    return {name: read_image(folder / file) for name, file in PHOTOS.items()}


def pan(image, frames, size):
    """`frames` square views of size x size px, moving over an RGB image from one end to the other."""
    import cv2

    height, width = image.shape[:2]
    side = min(height, width) * 9 // 10
    for i in range(frames):
        share = i / (frames - 1)
        left, top = int((width - side) * share), int((height - side) * share)
        yield cv2.resize(image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    from detect.cli.main import prepare
    from detect.errors import UserError

    prepare()
    try:
        return demo()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def demo():
    from detect.api.load import load
    from detect.inference.pipeline import detect_files
    from detect.inference.result import describe
    from detect.inference.sinks.video_writer import VideoWriter
    from detect.ops.image import write_image

    inputs = FOLDER / "input"
    inputs.mkdir(parents=True, exist_ok=True)
    photos = find_photos()
    for name, image in photos.items():
        write_image(inputs / f"{name}.jpg", image)
    with VideoWriter(inputs / "clip.mp4", FPS) as video:
        shown = [photos["astronaut"], photos["motorcycle"]]
        views = [view for image in shown for view in pan(image, FPS * SECONDS // len(shown), CLIP_SIZE)]
        for number, view in enumerate(views):
            video.write(view, number / FPS)

    sources = [*(str(inputs / f"{name}.jpg") for name in photos), str(inputs / "clip.mp4")]
    summary = detect_files(load(), sources, FOLDER)
    print(f"\n{summary['frames']} frames at {summary['fps']:.1f} frames/s, files read and written included.")
    print(f"Found: {describe(summary['counts'])}.")
    print("Annotated images and video:", *summary["files"], sep="\n  ")
    print(f"Boxes, scores and names: {summary['json']}")
    return 1 if summary["errors"] or not summary["detections"] else 0


if __name__ == "__main__":
    sys.exit(main())
