"""What the training loop has to know of the task it trains: detection and classification each fill in a `Task`."""

from detect.errors import UserError


class Task:
    """The data of a training, the model made for it, its loss and its judgement.

    Attributes:
        leading: name of the metric by which the best weights are kept; the greater, the better.
        shown: names of the metrics in the log.
        settings: the run's settings.
        train_set, val_set: what is learned from and judged on, with a length each; `val_set` is None without split val.
        source: the train split's file or folder, for messages.
        categories: `{"id", "name"}` by label.

    Raises:
        UserError: the settings do not say what to train on and how long, or the data cannot be used.
    """

    leading = None
    shown = ()

    def __init__(self, settings):
        if settings.data is None:
            raise UserError("data is missing; name a data folder, --set data=FOLDER")
        if settings.train.epochs is None and settings.train.steps is None:
            raise UserError("train.epochs or train.steps is missing; say how long to train")
        self.settings = settings
        self.train_set = self.val_set = None

    def build(self):
        """The untrained model."""
        raise NotImplementedError

    def batches(self, total_steps, stride, start):
        """Iterate over batches from step `start` on: each has `images` uint8 [B, 3, H, W], `image_ids` and `step`."""
        raise NotImplementedError

    def loss(self, outputs, batch):
        """Named terms whose sum is the loss, from the model's outputs for the batch."""
        raise NotImplementedError

    def evaluate(self, model, device):
        """Metrics by name of `model` on split val."""
        raise NotImplementedError

    def describe(self):
        """Lines on the data, for the start of the log."""
        raise NotImplementedError

    def save_image(self, batch, path):
        """Write the first images of `batch` as the network sees them."""
        raise NotImplementedError
