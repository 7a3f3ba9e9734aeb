"""Metadata, dependencies and the console command. Extras: demo (sample photos), dev (tests and lint)."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="csp-detect",
    version="0.1.0",
    description="Real-time object detectors put together from named parts: CSPNet backbones, EFM, YOLOv3 heads",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["detect", "detect.*"]),
    package_data={"detect": ["py.typed"]},
    install_requires=[
        "torch>=2.6",
        "torchvision",
        "numpy",
        "pillow",
        # albumentations needs the headless wheel; both fill the same folder, so they must be of one version
        "opencv-python>=4.10",
        "opencv-python-headless>=4.10",
        "albumentations>=2.0.8,<2.1",
        "pycocotools>=2.0.8",
        "pyyaml",
        "safetensors",
        "tqdm",
    ],
    extras_require={
        "demo": ["scikit-image"],
        "timm": ["timm>=1.0"],
        "plot": ["matplotlib"],
        "supervision": ["supervision"],
        # OpenCV 5 dropped the Darknet reader, which tests use as an independent engine
        "dev": [
            "pytest",
            "pytest-xdist",
            "ruff",
            "import-linter",
            "mypy",
            "types-PyYAML",
            "types-tqdm",
            "timm>=1.0",
            "matplotlib",
            "supervision",
            "opencv-python<5",
            "opencv-python-headless<5",
        ],
    },
    entry_points={"console_scripts": ["detect=detect.cli.main:main"]},
)
