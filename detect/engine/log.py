"""What a training says: a progress bar on a terminal, plain lines elsewhere, and results.csv."""

import csv
import io
import sys
import time

from tqdm import tqdm

from detect.files import write_text

SECONDS_PER_LINE = 20


class TrainingLog:
    """Progress of a run on standard error and in `log.txt`, and one row an evaluation in `results.csv`."""

    def __init__(self, folder, total_steps, start=0):
        self.folder = folder
        self.file = open(folder / "log.txt", "a", encoding="utf-8")  # noqa: SIM115  closed by close()
        self.total_steps = total_steps
        self.bar = tqdm(total=total_steps, initial=start, unit="step", disable=not sys.stderr.isatty())
        self.last_line = time.monotonic()
        self.started, self.start = time.monotonic(), start

    def say(self, text):
        self.bar.write(text, file=sys.stderr)
        self.file.write(text + "\n")
        self.file.flush()

    def step(self, step, epoch, terms, lr, images_per_second, data_share):
        """After optimizer step `step` (counted from 1)."""
        named = "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
        text = f"epoch {epoch}  {named}  lr {lr:.5f}  {images_per_second:.1f} img/s  data {data_share:.0%}"
        self.bar.set_description_str(text, refresh=False)
        self.bar.update(1)
        now = time.monotonic()
        if now - self.last_line >= SECONDS_PER_LINE or step == self.total_steps:
            self.last_line = now
            left = (now - self.started) / max(step - self.start, 1) * (self.total_steps - step)
            line = f"step {step}/{self.total_steps}  {text}  {left / 60:.0f} min left"
            if self.bar.disable:
                self.say(line)
            else:
                self.file.write(line + "\n")
                self.file.flush()

    def results(self, history):
        """Write all rows (mappings with the same keys) to results.csv."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_text(self.folder / "results.csv", text.getvalue())

    def close(self):
        self.bar.close()
        self.file.close()
