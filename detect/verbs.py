"""What each verb of the command line does with its arguments; returns the exit status, None for 0."""

import json
import platform
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

from detect.errors import UserError
from detect.files import write_text


def train(args):
    from detect.config.schema import Settings
    from detect.engine.detection import DetectionTask

    return run_training(args, Settings, DetectionTask, "tools/train.py", "tools/evaluate.py")


def run_training(args, settings_type, task_of, train_tool, judge_tool):
    """What `train` does for either task.

    Args:
        settings_type: the class of settings.
        task_of: makes the task of the settings.
        train_tool, judge_tool: the commands that the last lines name.
    """
    from detect import config
    from detect.api import pick_device
    from detect.engine.train import Interrupted, Trainer
    from detect.weights.files import read_checkpoint

    if bool(args.config) == bool(args.resume):
        raise UserError("give either a configuration file or --resume RUN")
    state, origins = None, None
    if args.resume:
        if args.out:
            raise UserError("--out is for new runs; --resume goes on in the run's own folder")
        folder = Path(args.resume)
        folder = folder.parent if folder.is_file() else folder
        state = read_checkpoint(folder / "last.pt")
        settings = config.from_dict(
            state["config"], source=folder / "last.pt", overrides=args.set, settings_type=settings_type
        )
    else:
        settings, origins = config.load_with_origins(args.config, args.set, not args.print_config, settings_type)
    if args.print_config:
        if args.json:
            return _answer(args, config.to_dict(settings))
        return print(config.dump(settings, origins), end="")
    device = pick_device(args.device)
    task = task_of(settings)
    if not args.resume:
        folder = new_folder(args.out or "runs", Path(args.config).stem)
    say = _say(args)
    with removed_if_empty(None if args.resume or args.out else folder):
        trainer = Trainer(task, folder, device, state)
        if trainer.step >= trainer.schedule.total_steps:
            raise UserError(f"{folder} is finished after {trainer.step} steps; to go on, set a greater train.epochs")
        write_text(folder / "config.yaml", config.dump(settings))
    for line in trainer.summary():
        say(line)
        trainer.note(line)
    try:
        last = trainer.run()
    except Interrupted:
        say(f"stopped after step {trainer.step}; go on with: python {train_tool} --resume {folder}")
        return 130
    files = ", ".join(name for name in ("best.pt", "last.pt", "results.csv") if (folder / name).is_file())
    say(f"done: {files} in {folder}; judge it with: python {judge_tool} {folder}")
    _answer(args, {"run": str(folder), "steps": trainer.step, "metrics": last})


def evaluate(args):
    from detect import config
    from detect.api import predictor_of
    from detect.evaluation.evaluate import EVERYTHING
    from detect.weights.files import load_model

    say = _say(args)
    if bool(args.images) != bool(args.annotations) or (args.images and args.data):
        raise UserError("give --images with --annotations, or --data, or none of them")
    model = load_model(args.weights, cfg=args.cfg, names=args.names)
    _complain_all(model.notes)
    predictor = predictor_of(model, **_predictor_options(args) | EVERYTHING)
    data = None
    if not args.images:
        data = config.read_data(args.data) if args.data else model.settings.data
        if data is None:
            raise UserError(f"{model.path}: does not say which data to judge it on; give --data FOLDER")
    folder = _evaluation_folder(args)
    with removed_if_empty(None if args.out else folder):
        if args.split == "test-dev" and not args.images:
            return _evaluate_test_dev(args, folder, model, predictor, data, say)
        return _evaluate_split(args, folder, model, predictor, data, say)


def _evaluate_split(args, folder, model, predictor, data, say):
    from detect.data.coco import CocoDataset
    from detect.evaluation.coco import load_ground_truth, per_class_table
    from detect.evaluation.diagnosis import diagnose
    from detect.evaluation.evaluate import evaluate_dataset
    from detect.evaluation.submission import write_results

    if args.images:
        dataset = CocoDataset(args.annotations, args.images, bad_boxes="drop")
    else:
        dataset = CocoDataset.of_split(data, args.split)
    for note in dataset.notes:
        say(note)
    report, detections = evaluate_dataset(predictor, dataset, model.categories, args.batch, sys.stderr.isatty())
    path = folder / "detections.json"
    write_results(path, detections)
    say(report.lines)
    say()
    say(per_class_table(report))
    say(f"\n{len(dataset)} images, {len(detections)} detections: {path}")
    if report.metrics["AP"] < 0:
        say("Nothing is annotated in these images, so there is no AP.")
    elif report.metrics["AP"] < 0.01:
        say("AP is below 0.01. What it looks like:")
        for sentence in diagnose(load_ground_truth(dataset.annotations), detections):
            say(f"- {sentence}")
    per_class = {"per_class": report.per_class, "images": len(dataset), "detections": len(detections)}
    _answer(args, report.metrics | per_class | {"file": str(path)})


def _evaluate_test_dev(args, folder, model, predictor, data, say):
    """Write the two files for the COCO server; nothing can be judged here."""
    from detect.data.coco import ImageRecord, paths_of_test_dev
    from detect.evaluation.evaluate import detect_images, match_categories
    from detect.evaluation.submission import check_name, load_image_info, test_dev_categories, write_test_dev

    check_name(args.name)
    info, folder_of_images = paths_of_test_dev(data)
    records = [ImageRecord(i.id, folder_of_images / i.file_name, i.width, i.height) for i in load_image_info(info)]
    categories = test_dev_categories(info) or model.categories
    category_ids = match_categories(model.categories, categories, info)
    detections = detect_images(predictor, records, category_ids, args.batch, sys.stderr.isatty())
    json_path, zip_path = write_test_dev(folder, args.name, detections)
    say(f"{len(records)} images, {len(detections)} detections: {json_path}\nfor the COCO server: {zip_path}")
    _answer(args, {"images": len(records), "detections": len(detections), "files": [str(json_path), str(zip_path)]})


def predict(args):
    from detect.api import RELEASED, load_file, predictor_of
    from detect.inference.pipeline import describe, detect_files

    say = _say(args)
    loaded = load_file(args.weights or RELEASED, args.cfg, args.names)
    _complain_all(loaded.notes)
    model = predictor_of(loaded, min_score=args.min_score, **_predictor_options(args))
    folder = Path(args.out) if args.out else new_folder("runs", "detect")
    with removed_if_empty(None if args.out else folder):
        summary = detect_files(
            model, args.source, folder, show=args.show, verbose=not args.quiet, log=say, warn=_complain
        )
    say(f"{summary['frames']} frames, {summary['fps']:.1f} frames/s end to end: {describe(summary['counts'])}")
    for path in [*summary["files"], summary["json"]]:
        say(path)
    _answer(args, summary)
    return 1 if summary["errors"] else 0


def classify(args):
    from detect import classify as verbs_of_classify

    return getattr(verbs_of_classify, args.action)(args)


def crop_boxes(args):
    from detect import config
    from detect.data.coco import CocoDataset
    from detect.data.crops import crop_boxes as crop

    dataset = CocoDataset.of_split(config.read_data(args.data), args.split)
    classes = args.classes.split(",") if args.classes else None
    folder = Path(args.out, args.split)
    counts = crop(dataset, folder, classes, args.min_side, args.limit, args.margin, sys.stderr.isatty())
    say = _say(args)
    for name, count in counts.items():
        say(f"{count:6d}  {name}")
    say(f"{sum(counts.values())} images in {folder}")
    _answer(args, {"folder": str(folder), "images": counts})


def export(args):
    from detect import config, darknet
    from detect.weights.files import load_model, write_safetensors

    suffix = {"safetensors": ".safetensors", "darknet": ".weights"}[args.format]
    if Path(args.out).suffix != suffix:
        raise UserError(f"--out {args.out}: must end in {suffix} for --format {args.format}")
    if args.half and args.format == "darknet":
        raise UserError("--half: a .weights file holds 32-bit numbers only")
    if any(override.startswith("model") for override in args.set):
        raise UserError("--set: the model cannot be changed in an export")
    model = load_model(args.weights, settings_type=None, cfg=args.cfg, names=args.names)
    _complain_all(model.notes)
    if args.set and args.format == "darknet" and hasattr(model.settings.model, "cfg"):
        raise UserError("--set: a .cfg is written as it was read; change the file itself")
    values = config.to_dict(model.settings)
    model.settings = config.from_dict(values, source=model.path, overrides=args.set, settings_type=type(model.settings))
    files = [args.out]
    if args.format == "darknet":
        files = [str(path) for path in darknet.write(args.out, model)]
    else:
        write_safetensors(args.out, model, half=args.half)
    size = Path(args.out).stat().st_size
    _say(args)(f"{args.out}: {size / 1e6:.1f} MB, {len(model.categories)} classes, {model.settings.input.size} px")
    for path in files[1:]:
        _say(args)(path)
    others = {"others": files[1:]} if files[1:] else {}
    _answer(args, {"file": args.out, "bytes": size, **others})


def profile(args):
    if sum(map(bool, (args.config, args.paper, args.plot))) != 1:
        raise UserError("give one of a configuration file, --paper and --plot FOLDER")
    if args.paper:
        return _profile_paper(args)
    if args.plot:
        return _plot_paper(args)

    import torch

    from detect import config
    from detect.analysis.profile import profile as count
    from detect.config.schema import ClassifierSettings
    from detect.models.classifier import Classifier

    settings = config.load(args.config, args.set, needs_data=False, settings_type=None)
    is_classifier = isinstance(settings, ClassifierSettings)
    with torch.device("meta"):  # neither memory nor a download of pretrained weights
        model = settings.model.build(args.classes or (1000 if is_classifier else 80))
        if args.classifier and not hasattr(model, "backbone"):
            raise UserError("--classifier: a .cfg has no backbone of its own to count")
        if args.classifier:
            model = Classifier(model.backbone, args.classifier)
    counted = count(model, settings.input.size if args.size is None else args.size)
    if args.json:
        return _answer(args, counted.as_json())
    print(counted.table())


def _profile_paper(args):
    from detect.analysis.paper import NOT_COUNTED, rows, table

    found = list(rows())
    if args.json:
        return _answer(args, {"rows": found, "not_counted": list(NOT_COUNTED)})
    print(table(found))


def _plot_paper(args):
    from detect.analysis.plots import plot_figures

    found = plot_figures(args.plot)
    for line in found["lines"]:
        _say(args)(line)
    _answer(args, found)


def field_of_view(args):
    from detect import config
    from detect.analysis.field_of_view import measure, table, untrained
    from detect.analysis.field_plot import check_plot, plot_fields
    from detect.weights.files import load_model

    if not args.configs and not args.weights:
        raise UserError("give configuration files, --weights FILE or both")
    if args.set and not args.configs:
        raise UserError("--set changes configuration files; give one")
    if args.cfg and not args.weights:
        raise UserError("--cfg belongs to --weights FILE; without weights, give the .cfg as a configuration file")
    if args.plot:
        check_plot(args.plot)
    settings = [config.load(path, args.set, needs_data=False) for path in args.configs]
    trained = load_model(args.weights, cfg=args.cfg) if args.weights else None
    measured = [
        measure(path, "random", untrained(s.model), args.size or s.input.size, args.inputs)
        for path, s in zip(args.configs, settings, strict=True)
    ]
    if trained:
        size = args.size or trained.settings.input.size
        measured.append(measure(trained.path, "trained", trained.network, size, args.inputs))
    _say(args)(table(measured, args.inputs))
    if args.plot:
        plot_fields(args.plot, measured)
        _say(args)(args.plot)
    models = [model.as_json() for model in measured]
    _answer(args, {"inputs": args.inputs, "models": models, "file": args.plot})


def benchmark(args):
    from detect import config
    from detect.analysis.benchmark import benchmark_inference, benchmark_postprocess, benchmark_training, table

    settings = config.load(args.config, args.set, needs_data=False)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "inference": benchmark_inference(settings, args.size, args.weights, args.rounds, args.image),
        "postprocess": benchmark_postprocess(args.rounds),
        "training": benchmark_training(settings, args.size, args.batch, args.steps),
    }
    _say(args)(table(result))
    _answer(args, result)


def new_folder(parent, name):
    """Make and return the first free of `parent`/`name`-1, -2, ...  Raises UserError."""
    number = 1
    while True:
        folder = Path(parent, f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise UserError(f"{folder}: cannot be made ({error.strerror}); give another folder with --out") from error


@contextmanager
def removed_if_empty(folder):
    """Leave no empty folder (None: nothing to remove) behind when the block fails."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if folder:
                folder.rmdir()
                folder.parent.rmdir()
        raise


def _evaluation_folder(args):
    if not args.out:
        return Path(args.weights) if Path(args.weights).is_dir() else new_folder("runs", "evaluate")
    try:
        Path(args.out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {args.out}: cannot be made ({error.strerror})") from error
    return Path(args.out)


def _predictor_options(args):
    given = {"overlap": args.nms, "threshold": args.nms_threshold}
    nms = {name: value for name, value in given.items() if value is not None}
    return {"size": args.size, "device": args.device, "batch": args.batch, **nms}


def _say(args):
    """print, on standard error when standard output is kept for JSON."""
    return lambda *values: print(*values, file=sys.stderr if args.json else sys.stdout, flush=True)


def _complain(sentence):
    print(sentence, file=sys.stderr, flush=True)


def _complain_all(sentences):
    for sentence in sentences:
        _complain(sentence)


def _answer(args, result):
    if args.json:
        print(json.dumps(result))
