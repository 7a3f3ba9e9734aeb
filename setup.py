"""Metadata, dependencies and the console command.

Without an extra, exported files can be run where an engine is (extras openvino, onnx); train adds PyTorch and all that
training, evaluating and weights take; export all that writes files for engines; dev tests and lint.
"""

import ast
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def released():
    """The names in `RELEASED` of detect/weights/zoo.py, read without importing the package: it may not be there yet."""
    tree = ast.parse((ROOT / "detect" / "weights" / "zoo.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", "") == "Released"]


class BuildWithWeights(build_py):
    """Puts the released weights and their card into the package, where `detect.weights.zoo` finds them.

    An editable installation finds them in the checkout.
    """

    def run(self):
        super().run()
        if self.editable_mode:
            return
        folder = str(Path(self.build_lib, "detect", "weights", "released"))
        self.mkpath(folder)
        for name in (*(f"{name}.safetensors" for name in released()), "README.md"):
            self.copy_file(str(ROOT / "weights" / name), folder)


TRAIN = [
    "torch>=2.6",
    "torchvision",
    "pycocotools>=2.0.8",
    "albumentations>=2.0.8,<2.1",
    "matplotlib",  # the figures of a run
    "safetensors",
    "pooch",
    "requests",  # what pooch fetches with; fetch.py tells its errors
]
OPENVINO = ["openvino>=2025.0"]
ONNX = ["onnxruntime>=1.20"]
EXPORT = [*TRAIN, *OPENVINO, *ONNX, "onnx", "onnxscript", "nncf>=2.14", "scikit-image"]
# a window needs the other OpenCV wheel; both fill the same folder, so they must be of one version
SHOW = ["opencv-python>=4.10"]
TRACK = ["trackers>=2.5"]  # ByteTrack, Apache-2.0; brings supervision
H264 = ["av>=12"]  # PyAV, BSD; its wheels hold FFmpeg with x264, which is GPL
SHARDS = ["webdataset>=1.0", "filelock"]  # BSD-3; Unlicense
RAY = ["ray[data]>=2.60", "pyarrow"]  # examples/ray_bulk.py; both Apache-2.0
SERVE = ["starlette>=0.40", "uvicorn>=0.35", "websockets>=13"]
EXTRAS = {
    "openvino": OPENVINO,
    "onnx": ONNX,
    "train": TRAIN,
    "export": EXPORT,
    "show": SHOW,
    "serve": SERVE,
    "demo": [*TRAIN, "scikit-image"],
    "timm": ["timm>=1.0"],
    "log": ["tensorboard"],
    "supervision": ["supervision"],
    "track": TRACK,
    "h264": H264,
    "ray": RAY,
    "shards": SHARDS,
    # OpenCV 5 dropped the Darknet reader, which tests use as an independent engine
    "dev": [
        *EXPORT,
        *SHOW,
        *SERVE,
        "httpx",
        "pytest",
        "pytest-xdist",
        "ruff",
        "import-linter",
        "mypy",
        "types-PyYAML",
        "types-tqdm",
        "timm>=1.0",
        "tensorboard",
        *TRACK,
        *H264,
        *RAY,
        *SHARDS,
        "opencv-python<5",
        "opencv-python-headless<5",
    ],
}

setup(
    name="csp-detect",
    version="0.1.0",
    description="Real-time object detectors put together from named parts: CSPNet backbones, EFM, YOLOv3 heads",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["detect", "detect.*"]),
    package_data={"detect": ["py.typed", "report/page.html", "serve/page/*"]},
    cmdclass={"build_py": BuildWithWeights},
    # what running exported files takes, beside an engine; everything else is an extra
    install_requires=[
        "numpy>=2",
        "pillow",
        "opencv-python-headless>=4.10",
        "pyyaml",
        "tqdm",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["detect=detect.cli.main:main"]},
)
