"""Lightning:

    from stepwell.integrations.lightning import StepwellCallback

    trainer = Trainer(..., callbacks=[StepwellCallback(every_n_steps=100)])
    trainer.fit(model, data, ckpt_path=StepwellCallback.last())

The training becomes a series of checkpoints of Stepwell, and what it logs becomes metrics. A run that was killed continues in
the middle of an epoch with the same data order, random numbers, optimizer and schedules: weights and curves equal those of an
undisturbed run.
"""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import warnings
from typing import Any, Dict, Mapping, Optional

try:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers.logger import Logger
    from lightning.pytorch.utilities.combined_loader import CombinedLoader
    from lightning.pytorch.utilities.exceptions import SIGTERMException
except ImportError:
    from pytorch_lightning.callbacks import Callback
    from pytorch_lightning.loggers.logger import Logger
    from pytorch_lightning.utilities.combined_loader import CombinedLoader
    from pytorch_lightning.utilities.exceptions import SIGTERMException

import stepwell
from stepwell import _loaders, _random, _signals, _state

__all__ = ["StepwellCallback"]

_FILE = "lightning.ckpt"
# What Lightning does not save, for each process.
_OWN = "stepwell-rank-{rank}"
_START = "_stepwell_start"
_WRAPPED = "_stepwell_callback"
# What the callback needs of Lightning beyond its public interface.
_FIT_LOOP = ("epoch_loop", "on_advance_end", "_combined_loader", "_restarting")
_EPOCH_LOOP = ("on_advance_end", "on_run_start", "batch_progress", "val_loop", "_results", "_should_accumulate", "_is_training_done")
_RENAMED = {"train_loss": "loss", "train_loss_step": "loss", "train/loss": "loss", "val/loss": "val_loss"}


class StepwellCallback(Callback):
    """Saves checkpoints of Stepwell every `every_n_steps` optimizer steps and at the end of each epoch, and logs metrics.

    A row of metrics has the number of optimizer steps that are done, so the first step is 1. `train_loss` is called `loss`
    there, as `stepwell metrics` expects.

    Checkpoints lie between two batches. Lightning has no hook there, so the callback wraps methods of the loops of this
    `Trainer`. When the engine asks to stop, it saves at the end of the step, and the program ends.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise ValueError("`every_n_steps` must be at least 1")
        self.every_n_steps = every_n_steps
        self._saved_at = 0
        self._found: Optional[Dict[str, Any]] = None
        self._results: Dict[str, Dict[str, Any]] = {}

    @staticmethod
    def last() -> Optional[str]:
        """The newest checkpoint, for `trainer.fit(ckpt_path=...)`; None if there is none."""
        folder = stepwell.checkpoint.folder()
        return None if folder is None else os.path.join(folder, _FILE)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage != "fit" or not stepwell.inside():
            return
        if trainer.world_size == 1:
            # Processes would see the signal at different steps, and wait for each other.
            stepwell.stop_requested()
        if not any(isinstance(logger, _StepwellLogger) for logger in trainer.loggers):
            trainer.loggers = [*trainer.loggers, _StepwellLogger()]
        self._wrap(trainer)

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        last = self.last()
        if last is not None and str(trainer.ckpt_path) == last:
            self._found = _state.read(pathlib.Path(last).parent / _OWN.format(rank=trainer.global_rank))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        found = self._found
        if found is None:
            if self.last() is not None:
                call = "trainer.fit(ckpt_path=StepwellCallback.last())"
                warnings.warn(f"there is a checkpoint, but the training starts over: call `{call}`", stacklevel=2)
            return
        for name, state in found["torchmetrics"].items():
            _restore_torchmetric(pl_module.get_submodule(name), state)
        self._saved_at = trainer.global_step
        if found["epoch_is_over"]:
            _random.restore(found["random"])

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._results:
            self._add_results(trainer.fit_loop.epoch_loop._results)
        total = trainer.estimated_stepping_batches
        if stepwell.inside() and total != float("inf"):
            stepwell.progress(trainer.global_step, total)

    def _wrap(self, trainer: Any) -> None:
        fit_loop, epoch_loop = trainer.fit_loop, trainer.fit_loop.epoch_loop
        if getattr(fit_loop, _WRAPPED, None) is self:
            return
        for loop, names in ((fit_loop, _FIT_LOOP), (epoch_loop, _EPOCH_LOOP)):
            missing = [name for name in names if not hasattr(loop, name)]
            if missing:
                raise RuntimeError(f"StepwellCallback does not know this version of Lightning: its loop has no {missing}")
        setattr(fit_loop, _WRAPPED, self)
        _record_starts()
        after_batch, after_epoch, before_epoch = epoch_loop.on_advance_end, fit_loop.on_advance_end, epoch_loop.on_run_start

        def on_run_start(data_fetcher: Any) -> None:
            before_epoch(data_fetcher)
            if self._found is not None:
                self._go_to_batch(trainer, data_fetcher, self._found)
                self._found = None

        def on_batch_end(data_fetcher: Any) -> None:
            _to_its_end(after_batch, data_fetcher)
            is_last = epoch_loop._is_training_done or trainer.should_stop
            if not is_last and not epoch_loop._should_accumulate() and self._is_due(trainer):
                self._save(trainer, epoch_is_over=False)

        def on_epoch_end() -> None:
            _to_its_end(after_epoch)
            # A training that stops early would not stop again at the same place.
            if not trainer.should_stop:
                self._save(trainer, epoch_is_over=True)

        epoch_loop.on_run_start, epoch_loop.on_advance_end = on_run_start, on_batch_end
        fit_loop.on_advance_end = on_epoch_end

    def _is_due(self, trainer: Any) -> bool:
        step = trainer.global_step
        return bool(step // self.every_n_steps > self._saved_at // self.every_n_steps or _is_asked_to_stop(trainer))

    def _save(self, trainer: Any, *, epoch_is_over: bool) -> None:
        box = pathlib.Path(os.environ["STEPWELL_CHECKPOINT_DIR"])
        staging = box / "staging"
        if trainer.is_global_zero:
            shutil.rmtree(staging, ignore_errors=True)
        trainer.strategy.barrier("stepwell: staging")
        trainer.save_checkpoint(staging / _FILE, weights_only=False)
        own = staging / _OWN.format(rank=trainer.global_rank)
        own.mkdir(parents=True)
        _state.write(own, self._own(trainer, epoch_is_over))
        trainer.strategy.barrier("stepwell: saved")
        self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            stepwell.checkpoint.save(trainer.global_step, staging)
        if _is_asked_to_stop(trainer):
            _signals.leave()

    def _own(self, trainer: Any, epoch_is_over: bool) -> Dict[str, Any]:
        """What Lightning does not save: random states, the position of the data, averages of the epoch, torchmetrics."""
        fit_loop = trainer.fit_loop
        torchmetrics = {
            name: {"count": module._update_count, "state": dict(module.metric_state)}
            for name, module in trainer.lightning_module.named_modules()
            if hasattr(module, "_update_count") and hasattr(module, "metric_state")
        }
        loaders = fit_loop._combined_loader.flattened
        results = {key: _sums(metric) for key, metric in fit_loop.epoch_loop._results.items() if _is_average(metric)}
        return {
            "epoch_is_over": epoch_is_over,
            "random": _random.capture(),
            "at": [_loaders.position(one, start) for one, start in zip(loaders, getattr(fit_loop._combined_loader, _START))],
            "used": fit_loop.epoch_loop.batch_progress.current.completed,
            "results": {} if epoch_is_over else results,
            "torchmetrics": torchmetrics,
        }

    def _go_to_batch(self, trainer: Any, data_fetcher: Any, found: Mapping[str, Any]) -> None:
        """Makes an iterator of the data that stands where the checkpoint was made."""
        loops = (trainer.fit_loop, trainer.fit_loop.epoch_loop, trainer.fit_loop.epoch_loop.val_loop)
        for loop in loops:
            # Everything that belongs to the last batch was done before the checkpoint.
            loop._restarting = False
        loader = trainer.fit_loop._combined_loader
        if found["epoch_is_over"]:
            iter(data_fetcher)
            return
        self._results = dict(found["results"])
        if not _is_stateful(loader):
            _continue(data_fetcher, loader, found)
        setattr(loader, _START, [at["start"] for at in found["at"]])
        _random.restore(found["random"])

    def _add_results(self, results: Mapping[str, Any]) -> None:
        """Adds the sums of the epoch up to the checkpoint to what was logged since."""
        for key in [key for key in self._results if key in results]:
            metric, sums = results[key], self._results.pop(key)
            if metric.meta.is_max_reduction:
                metric.value = metric.value.maximum(sums["value"].to(metric.value.device))
            elif metric.meta.is_min_reduction:
                metric.value = metric.value.minimum(sums["value"].to(metric.value.device))
            else:
                metric.value = metric.value + sums["value"].to(metric.value.device)
            if "size" in sums:
                metric.cumulated_batch_size = metric.cumulated_batch_size + sums["size"].to(metric.value.device)


class _StepwellLogger(Logger):
    """Turns what Lightning logs into metrics of Stepwell."""

    @property
    def name(self) -> str:
        return "stepwell"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The parameters of the run are in the workflow."""

    def log_metrics(self, metrics: Mapping[str, Any], step: Optional[int] = None) -> None:
        row = {_RENAMED.get(name, name) if _RENAMED.get(name) not in metrics else name: value for name, value in metrics.items()}
        # Lightning counts from 0.
        stepwell.metrics((step or 0) + 1, row)


def _record_starts() -> None:
    """Lets every combined loader remember the random state from which its iterators take their order."""
    original = CombinedLoader.__iter__
    if hasattr(original, _START):
        return

    @functools.wraps(original)
    def __iter__(loader: Any) -> Any:
        setattr(loader, _START, [_loaders.start_of(one) for one in loader.flattened])
        return original(loader)

    setattr(__iter__, _START, True)
    CombinedLoader.__iter__ = __iter__


def _to_its_end(method: Any, *arguments: Any) -> None:
    """Calls a method of a loop, which raises at its very end after SIGTERM."""
    try:
        method(*arguments)
    except SIGTERMException:
        if not _signals.is_stopping():
            raise


def _continue(data_fetcher: Any, loader: Any, found: Mapping[str, Any]) -> None:
    used = found["used"]
    unread = used
    if len(loader.flattened) == 1:
        unread = _loaders.prepare(loader.flattened[0], found["at"][0], used, found["random"])
    else:
        for one, at in zip(loader.flattened, found["at"]):
            _loaders.rewind(one, at)
    iter(data_fetcher)
    for _ in range(unread):
        next(data_fetcher)
    data_fetcher.fetched += used - unread


def _is_asked_to_stop(trainer: Any) -> bool:
    return trainer.world_size == 1 and stepwell.stop_requested()


def _is_stateful(loader: Any) -> bool:
    """True if Lightning restores the position of these loaders itself."""
    return all(hasattr(one, "state_dict") and hasattr(one, "load_state_dict") for one in loader.flattened)


def _restore_torchmetric(metric: Any, found: Mapping[str, Any]) -> None:
    metric._update_count = found["count"]
    for name, value in found["state"].items():
        is_list = isinstance(value, list)
        setattr(metric, name, [item.to(metric.device) for item in value] if is_list else value.to(metric.device))


def _is_average(metric: Any) -> bool:
    return bool(metric.is_tensor and metric.meta.on_epoch)


def _sums(metric: Any) -> Dict[str, Any]:
    sums = {"value": metric.value.clone()}
    if metric.meta.is_mean_reduction:
        sums["size"] = metric.cumulated_batch_size.clone()
    return sums
