"""What the package promises before it runs: a light import, free licences, complete files, true documents."""

import ast
import importlib.metadata
import itertools
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools
import torch.distributed.run as torchrun
from packaging.requirements import Requirement

import detect
from detect.cli.main import parser
from detect.errors import UserError
from detect.weights import zoo

ROOT = Path(__file__).parents[1]
TOOLS = sorted((ROOT / "tools").glob("*.py"))
PAGES = [
    "README.md", "data/README.md", "weights/README.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
]  # fmt: skip
HEAVY = (
    "torch", "torchvision", "cv2", "numpy", "albumentations", "pycocotools", "PIL", "yaml", "tqdm", "safetensors",
    "pooch", "requests",
)  # fmt: skip
LARGEST, LARGEST_WEIGHTS = 12_000_000, 13_000_000  # bytes of a file in git


def python(code, **environment):
    """What a fresh interpreter prints when it runs `code`."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


# ---- import --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["detect.config", "detect.data.formats.yolo"])
def test_settings_and_data_which_need_each_other_are_imported_in_either_order(room):
    assert python(f"import {room}, detect.config, detect.data.formats.yolo; print('both')") == "both\n"


def test_import_is_light():
    code = f"""
import sys
import detect, detect.cli.main
detect.cli.main.parser()
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert python(code).strip() == "[]"


def test_nothing_reaches_for_the_network_or_changes_threads():
    """All names and modules of the package: no connection, no look-up, no thread setting, no random state."""
    code = """
import os, sys
calls = []
sys.addaudithook(lambda name, _: calls.append(name) if name.startswith("socket.") else None)
import cv2, numpy, torch
before = torch.get_num_threads(), torch.get_num_interop_threads(), cv2.getNumThreads(), torch.initial_seed()
state = torch.get_rng_state(), os.environ.get("OMP_NUM_THREADS"), torch.is_grad_enabled()
calls.clear()
import detect, importlib, pkgutil
for name in detect.__all__:
    getattr(detect, name)
for module in pkgutil.walk_packages(detect.__path__, "detect."):
    importlib.import_module(module.name)
assert before == (torch.get_num_threads(), torch.get_num_interop_threads(), cv2.getNumThreads(), torch.initial_seed())
assert torch.equal(state[0], torch.get_rng_state()) and state[1] == os.environ.get("OMP_NUM_THREADS")
assert state[2] == torch.is_grad_enabled()
print(sorted(set(calls) - {"socket.__new__"}))  # a socket that is only made goes nowhere
"""
    assert python(code, OMP_NUM_THREADS="2").strip() == "[]"


def test_all_public_names_are_there():
    for name in detect.__all__:
        assert getattr(detect, name) is not None
    assert set(dir(detect)) == set(detect.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = detect.lod


def test_no_room_hides_a_public_name():
    """Importing `detect.train`, a module, would take the place of `detect.train`, the function."""
    rooms = {path.stem for path in (ROOT / "detect").iterdir()}
    assert not rooms & set(detect.__all__) - {"__version__"}


# ---- tools ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.stem != "demo"], ids=lambda tool: tool.stem)
def test_a_tool_explains_itself_and_hides_nothing(tool):
    """`tools/profile.py` would hide the standard library's `profile`, which cProfile imports."""
    code = f"""
import runpy, sys
sys.path[0], sys.argv = {str(tool.parent)!r}, [{str(tool)!r}, "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    assert not stop.code
import cProfile
assert {str(tool.parent)!r} not in sys.path and {str(ROOT)!r} in sys.path
"""
    assert re.match(r"usage: (detect|teacher_labels\.py) ", python(code))


def test_tools_run_from_anywhere(tmp_path):
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "detect.py"), "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0 and "--source" in run.stdout and not list(tmp_path.iterdir())


def test_the_demo_explains_itself(tmp_path, monkeypatch):
    def found(*_, **__):
        raise RuntimeError("ran instead")

    monkeypatch.setattr("detect.api.load.load", found)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--help"])
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "tools" / "demo.py"), run_name="__main__")
    assert not stopped.value.code


# ---- set-up --------------------------------------------------------------------------------------------------------


def setup_arguments():
    """What setup.py gives to setup()."""
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("setuptools.setup", lambda **arguments: given.update(arguments))
        runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_every_folder_with_code_is_packaged():
    packages = setuptools.find_packages(str(ROOT), include=["detect", "detect.*"])
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "detect").rglob("*.py")}
    assert folders == set(packages)


def test_the_released_weights_are_packed_and_found_by_name_there(tmp_path):
    """What `pip install .` puts into the package, outside the checkout; other files beside the weights stay out."""
    checkout, tmp_path = tmp_path / "checkout", tmp_path / "installed"
    for folder in ("detect", "weights"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, checkout / file)
    released = {"README.md", *(entry.path.name for entry in zoo.RELEASED)}
    for name in ("mine.safetensors", "mine.pt"):
        (checkout / "weights" / name).write_bytes(b"of nobody's concern")
    arguments = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(arguments, cwd=checkout, check=True, capture_output=True, timeout=120)
    code = """
from detect.weights import zoo
for entry in zoo.RELEASED:
    print(zoo.released_path(entry))
"""
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    arguments = [sys.executable, "-c", code]
    run = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    packed = sorted((tmp_path / "detect" / "weights" / "released").iterdir())
    assert sorted(run.stdout.split()) == [str(path) for path in packed if path.suffix == ".safetensors"]
    assert {path.name for path in packed} == released
    assert all(path.read_bytes() == (ROOT / "weights" / path.name).read_bytes() for path in packed)


def test_version_and_console_command_agree_with_the_package():
    arguments = setup_arguments()
    assert arguments["version"] == detect.__version__
    assert arguments["entry_points"] == {"console_scripts": ["detect=detect.cli.main:main"]}
    assert arguments["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert f"## {detect.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_imported_library_is_declared():
    """Modules imported anywhere in detect/, tools/ and examples/ come from the standard library or from setup.py."""
    arguments = setup_arguments()
    declared = [
        *arguments["install_requires"],
        *itertools.chain(*(lines for extra, lines in arguments["extras_require"].items() if extra != "dev")),
    ]
    homes = importlib.metadata.packages_distributions()
    names = {Requirement(line).name.lower() for line in declared}
    for path in [*(ROOT / "detect").rglob("*.py"), *TOOLS, *(ROOT / "examples").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {name.split(".")[0] for name in imported} - sys.stdlib_module_names - {"detect"}:
                found = {home.lower() for home in homes.get(module, [module])}
                assert found & names, f"{path}: {module} is not in setup.py"


def installed_requirements():
    """The distributions that setup.py asks for and those they ask for in turn, as far as they are installed."""
    arguments = setup_arguments()
    extras = (lines for extra, lines in arguments["extras_require"].items() if extra != "dev")
    waiting = [Requirement(line) for line in [*arguments["install_requires"], *itertools.chain(*extras)]]
    seen = {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop().name.lower())
        if name in seen:
            continue
        try:
            seen[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = map(Requirement, seen[name].requires or [])
        waiting += [n for n in needed if n.marker is None or n.marker.evaluate({"extra": ""})]
    return seen


def licences(distribution):
    """What a distribution says of its licence, without the texts that some put there."""
    about = distribution.metadata
    said = [about.get("License-Expression"), (about.get("License") or "").split("\n")[0]]
    return [line for line in [*said, *(about.get_all("Classifier") or [])] if line]


COPYLEFT = re.compile(r"(?<![A-Za-z])(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)


def test_the_search_for_copyleft_finds_it_and_lets_lgpl_pass():
    for line in (
        "AGPL-3.0",
        "GPLv3",
        "GNU General Public License v3 (GPLv3)",
        "MIT AND GPL-2.0-only",
        "GNU Affero General Public",
    ):
        assert COPYLEFT.search(line)
    for line in ("LGPL-2.1-or-later", "GNU Lesser General Public License v3 (LGPLv3)", "MIT"):
        assert not COPYLEFT.search(line)


def test_no_requirement_is_copyleft():
    found = installed_requirements()
    assert {"torch", "numpy", "albumentations", "opencv-python", "pycocotools", "openvino", "nncf"} <= found.keys()
    wrong = {name: lines for name in found if any(map(COPYLEFT.search, lines := licences(found[name])))}
    assert not wrong


@pytest.mark.parametrize("name", ["ultralytics", "albumentationsx"])
def test_agpl_packages_are_absent(name):
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution(name)


def test_both_opencv_wheels_are_of_one_version():
    first, second = (importlib.metadata.version(name) for name in ("opencv-python", "opencv-python-headless"))
    assert first == second


# ---- files in git --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip(f"git does not list its files: {listed.stderr.strip()[:100]}")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in files if path.is_file()]


def test_no_file_names_a_place_on_a_developers_machine(tracked):
    places = [f"/{name}/".encode() for name in ("work", "root")]  # put together here, so that this file is clean
    assert not [str(path) for path in tracked if any(place in path.read_bytes() for place in places)]


def test_no_file_is_large(tracked):
    def limit(path):
        return LARGEST_WEIGHTS if path.suffix == ".safetensors" else LARGEST

    assert not [str(path) for path in tracked if path.stat().st_size > limit(path)]


# ---- documents -----------------------------------------------------------------------------------------------------


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands_of(page):
    """The command lines of a page's code blocks, continued lines joined, without prompts and comments."""
    blocks = re.findall(r"^```(?:\w*)\n(.*?)^```", text_of(page), flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip().removeprefix("$ ") for line in lines]


def verb_of(tool):
    """The verb that a script in tools/ hands over to, or None."""
    found = re.search(r'main\(\["(\w+)"', (ROOT / tool).read_text())
    return found and found[1]


def check_command(line):
    """Parse one command of a page the way the shell and the command line would; True if it is one of ours."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # some other language
        return False
    words = list(itertools.takewhile(lambda word: word not in ("|", ">"), words))
    if words[:1] == ["detect"]:
        parser().parse_args(words[1:])
        return True
    if words[:1] == ["torchrun"]:
        started = torchrun.get_args_parser().parse_args(words[1:])
        words = ["python", started.training_script, *started.training_script_args]
    if len(words) < 2 or not Path(words[0]).name.startswith("python") or not words[1].startswith("tools/"):
        return False
    assert (ROOT / words[1]).is_file(), words[1]
    arguments = words[2:]
    if verb := verb_of(words[1]):
        parser().parse_args([verb, *arguments])
    else:
        assert not arguments, f"{words[1]} takes no arguments"
    return True


@pytest.mark.parametrize(
    ("page", "least"),
    [("README.md", 3), ("docs/darknet.md", 6), ("docs/imagenet.md", 7), ("docs/parts.md", 3), ("docs/training.md", 9),
     ("docs/field_of_view.md", 2), ("docs/weights.md", 5), ("docs/live.md", 4), ("docs/scale.md", 4)],
)  # fmt: skip
def test_a_page_shows_commands_that_parse(page, least):
    assert sum(map(check_command, commands_of(page))) >= least


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_parse(page):
    inline = re.findall(r"`((?:python tools/|detect )[^`]*)`", text_of(page))
    for line in [*commands_of(page), *inline]:
        check_command(line)


def test_a_wrong_command_would_be_noticed():
    for line in ("python tools/train.py --epochs 3", "detect judge runs/x"):
        with pytest.raises(UserError):
            check_command(line)
    with pytest.raises(AssertionError):
        check_command("python tools/none.py")
    with pytest.raises(SystemExit):
        check_command("torchrun --processes=2 tools/train.py")
    with pytest.raises(UserError):
        check_command("torchrun --nproc-per-node=2 tools/train.py --epochs 3")
    assert check_command("python tools/detect.py --source 0  # a webcam") and not check_command("pip install -e .")


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page):
    named = re.findall(r"(?<![\w/.-])((?:configs|tools|docs|tests|detect)/[\w./-]*\w)", text_of(page))
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_checkout_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", text_of(page))
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in inside if not (ROOT / page).parent.joinpath(link).exists()]
