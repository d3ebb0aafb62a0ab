"""Hugging Face `Trainer`:

    from stepwell.integrations.transformers import StepwellCallback

    trainer = Trainer(...)
    trainer.add_callback(StepwellCallback(trainer))
    trainer.train(resume_from_checkpoint=stepwell.checkpoint.folder())

Every checkpoint of the `Trainer` becomes one of Stepwell, and what it logs becomes metrics. A run that was killed continues
with the same data order, random numbers, optimizer and schedule: weights and curves equal those of an undisturbed run.
"""

from __future__ import annotations

import pathlib
import warnings
from typing import Any, Dict, Iterator, Mapping, Optional

import transformers.trainer
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

import stepwell
from stepwell import _loaders, _random, _signals, _state
from stepwell._numbers import number

__all__ = ["StepwellCallback"]

# What the `Trainer` does not save, for each process.
_OWN = "stepwell-rank-{rank}"
_RENAMED = {"eval_loss": "val_loss"}
# They measure the machine, so they differ from run to run.
_SPEEDS = ("_runtime", "_per_second", "_compilation_time")


class StepwellCallback(TrainerCallback):
    """Saves the checkpoints of a `Trainer` as checkpoints of Stepwell, and logs its metrics.

    `eval_loss` is called `val_loss` there. Times and speeds are left out, and so is the summary at the end, which covers only
    the last attempt.

    At its checkpoints, the `Trainer` also logs: the sums of a line are not part of a checkpoint, and subclasses have sums of
    their own. That adds lines only if `save_steps` is not a multiple of `logging_steps`.

    When the engine asks to stop, the callback saves once more at the end of the step, and the program ends.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._found: Optional[Dict[str, Any]] = None
        self._start: Optional[Dict[str, Any]] = None
        self._may_stop = False
        self._stops = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not stepwell.inside():
            return
        # Processes would see the signal at different steps, and wait for each other.
        self._may_stop = args.world_size == 1
        self._is_asked_to_stop()
        if args.save_strategy == "no":
            warnings.warn("`save_strategy` is \"no\": this training starts over when it is interrupted", stacklevel=2)
        last = stepwell.checkpoint.folder()
        if last is None:
            return
        if state.global_step == 0:
            call = "trainer.train(resume_from_checkpoint=stepwell.checkpoint.folder())"
            warnings.warn(f"there is a checkpoint, but the training starts over: call `{call}`", stacklevel=2)
            return
        self._found = _state.read(pathlib.Path(last) / _OWN.format(rank=args.process_index))
        if self._found is not None:
            self._restore_sums(self._found["sums"])
            if not args.ignore_data_skip:
                self._replace_skip(self._found)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        if not stepwell.inside():
            return
        if self._found is not None and self._found["epoch_is_over"]:
            _random.restore(self._found["random"])
            self._found = None
        if self._found is None:
            self._start = _loaders.start_of(train_dataloader)
        else:
            self._start, self._found = self._found["at"]["start"], None

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if not stepwell.inside():
            return control
        if state.is_world_process_zero:
            stepwell.progress(state.global_step, state.max_steps)
        if self._is_asked_to_stop():
            self._stops = True
            # A line that no undisturbed run has would be the price if the sums could not be saved.
            control.should_log = control.should_log or control.should_save or self._sums() is None
            control.should_save = True
        elif control.should_save:
            control.should_log = True
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if stepwell.inside() and args.save_strategy == "epoch":
            control.should_log = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Optional[Dict[str, Any]] = None, **_: Any) -> None:
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row = {_RENAMED.get(name, name): value for name, value in logs.items() if not name.endswith(_SPEEDS)}
        stepwell.metrics(state.global_step, {name: value for name, value in row.items() if _is_number(value, name)})

    def on_save(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        if not stepwell.inside():
            return
        saved = pathlib.Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        own = saved / _OWN.format(rank=args.process_index)
        own.mkdir(parents=True, exist_ok=True)
        _state.write(own, self._own(state, train_dataloader))
        # Every process has written its part once all have come here.
        _barrier()
        if state.is_world_process_zero:
            stepwell.checkpoint.save(state.global_step, saved)
        if self._stops:
            _signals.leave()

    def _is_asked_to_stop(self) -> bool:
        return self._may_stop and stepwell.stop_requested()

    def _own(self, state: Any, loader: Any) -> Dict[str, Any]:
        return {
            "epoch_is_over": float(state.epoch).is_integer(),
            "at": _loaders.position(loader, self._start),
            "random": _random.capture(),
            "sums": self._sums(),
        }

    def _sums(self) -> Optional[Dict[str, Any]]:
        """What the `Trainer` has summed since its last line; None if this version keeps it elsewhere."""
        trainer = self._trainer
        if not (hasattr(trainer, "_tr_loss") and hasattr(trainer, "_globalstep_last_logged")):
            return None
        return {"loss": trainer._tr_loss.item(), "last_logged": trainer._globalstep_last_logged}

    def _restore_sums(self, sums: Optional[Mapping[str, Any]]) -> None:
        if sums is not None and self._sums() is not None:
            self._trainer._tr_loss.fill_(sums["loss"])
            self._trainer._globalstep_last_logged = sums["last_logged"]

    def _replace_skip(self, found: Mapping[str, Any]) -> None:
        """Replaces how the `Trainer` skips the batches of an epoch that were used.

        It sets the random generators after it has read the next batches, so it is exact only for data that draw no random
        numbers.
        """
        original = transformers.trainer.skip_first_batches

        def skip(loader: Any, count: int = 0) -> Any:
            transformers.trainer.skip_first_batches = original
            return _Continued(loader, count, found)

        def keep_random(checkpoint: Any) -> None:
            del self._trainer._load_rng_state

        if not found["epoch_is_over"]:
            transformers.trainer.skip_first_batches = skip
            self._trainer._load_rng_state = keep_random


class _Continued:
    """A data loader whose first iterator stands where a checkpoint was made."""

    def __init__(self, loader: Any, used: int, found: Mapping[str, Any]) -> None:
        self._loader, self._used, self._found = loader, used, found

    def __iter__(self) -> Iterator[Any]:
        now = self._found["random"]
        unread = _loaders.prepare(self._loader, self._found["at"], self._used, now)
        batches = iter(self._loader)
        for _ in range(unread):
            next(batches)
        _random.restore(now)
        return batches

    def __len__(self) -> int:
        return len(self._loader) - self._used

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _is_number(value: Any, name: str) -> bool:
    try:
        number(value, name)
    except TypeError:
        return False
    return True


def _barrier() -> None:
    import torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
