"""A small training loop: progress bar, history, early stopping, checkpoints that a kill cannot spoil.

    run = train.fit(model, (x, y), optimiser, loss=F.cross_entropy, epochs=20, held_out=(x_held, y_held),
                    metrics={"accuracy": train.accuracy}, patience=5, checkpoint="run.pt")
    run.history["held_out_accuracy"][run.best_epoch]

The same call trains a ``torch.nn.Module`` with an optimiser of ``torch.optim`` and a NumPy model of this course, which
has ``parameters`` and ``loss_and_gradients(x, y)``, with an optimiser of ``dlcourse.optim``.

Everything random follows from ``seed``: the order of the examples in an epoch from ``[seed, epoch]``, dropout and the
like from torch's generator, which is seeded anew for each epoch and given back afterwards as it was found. So a run
that was killed and started again with the same call ends with the same numbers, bit by bit on a CPU.

A checkpoint is written into a file beside it, flushed to the disk, and then renamed, which is one indivisible step:
at every moment the checkpoint's name stands for a complete file, the older one or the newer one.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dlcourse.optim import clip_norm as clip_gradients

Batches = Callable[[np.random.Generator], Iterable[tuple]]


@dataclass
class Run:
    """What :func:`fit` did.

    Attributes
    ----------
    history : one list of numbers a name, one number an epoch: ``loss`` (mean over the epoch's examples, each
        measured just before its own update), ``lr`` (of the epoch's last update), and with held-out data
        ``held_out_loss`` and ``held_out_NAME`` for each metric.
    best_epoch : index into the lists of ``history``, where the watched number was best; -1 if it was never finite.
    stopped : why it ended: ``"epochs"`` (all were done), ``"patience"`` or ``"diverged"``.
    """

    history: dict[str, list[float]] = field(default_factory=lambda: {"loss": [], "lr": []})
    best_epoch: int = -1
    stopped: str = ""


def fit(
    model: Any,
    data: tuple[Any, Any] | Batches,
    optimiser: Any,
    *,
    loss: Callable | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    held_out: tuple[Any, Any] | None = None,
    metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
    schedule: Any = None,
    clip_norm: float | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    watch: str | None = None,
    higher_is_better: bool = False,
    checkpoint: str | os.PathLike | None = None,
    save_every: int | None = None,
    on_epoch: Callable[[int, Any, dict[str, list[float]]], None] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Run:
    """Train ``model`` in place by minibatch gradient descent.

    Parameters
    ----------
    model : a ``torch.nn.Module``, or an object with ``parameters``, a list of arrays, and ``loss_and_gradients(x, y)``.
    data : ``(x, y)``, arrays or tensors with the examples along the first axis, shuffled anew each epoch; or a function
        ``batches(rng)`` that yields an epoch's minibatches ``(x, y)`` and draws what it needs from ``rng`` alone.
    optimiser : of ``torch.optim`` for a module, of ``dlcourse.optim`` for a NumPy model, made from its parameters.
    loss : for a module, ``loss(model(x), y)``: the mean over the batch. NumPy models bring their own.
    epochs : passes over the data.
    batch_size : examples an update, where ``data`` is ``(x, y)``; the last batch of an epoch may be smaller.
    held_out : ``(x, y)``; the loss and ``metrics`` are measured on it after each epoch, with the module in eval mode.
    metrics : names to functions of ``(outputs, y)``; their means over the held-out examples enter the history.
    schedule : a function ``step -> lr``, where step counts the updates from 0; or a scheduler of
        ``torch.optim.lr_scheduler``, which takes one step after each update.
    clip_norm : shorten the gradient, all parameters together, to this length where it is longer.
    patience : stop after so many epochs in a row without improvement of the watched number by more than ``min_delta``,
        and put back the parameters of the best epoch.
    watch : a name in the history; by default ``held_out_loss``, without held-out data ``loss``.
    higher_is_better : of the watched number, for example an accuracy.
    checkpoint : a file. What is found there is gone on from; it is written after each epoch. Copy it to keep it.
    save_every : write the checkpoint also after every so many updates.
    on_epoch : called with the epoch's index, the model and the history so far.
    seed : of the order of the examples and of what is random in the model.
    progress : show a bar if it takes longer than a second.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        An argument does not fit the others, or the checkpoint is that of another training.
    """
    batches, described = _batches(data, batch_size)
    trainee = _trainee(model, optimiser, loss, schedule, clip_norm)
    watch = watch or ("held_out_loss" if held_out else "loss")
    names = [f"held_out_{name}" for name in ("loss", *(metrics or {}))] if held_out else []
    _check(epochs, patience, save_every, held_out, metrics, watch, ["loss", "lr", *names])
    described |= trainee.describe() | {"seed": seed, "watch": watch}

    at = _Place(run=Run(history={name: [] for name in ("loss", "lr", *names)}))
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        at = _resume(path, trainee, described, at)
    run, sign = at.run, 1 if higher_is_better else -1

    def save() -> None:
        if path is not None:
            save_checkpoint(path, {"described": described, "place": at.state(), "trainee": trainee.state()})

    steps = described.get("steps an epoch")
    total, done = (epochs, at.epoch) if steps is None else (epochs * steps, at.epoch * steps + at.step)
    with trainee.training(), tqdm(total=total, initial=done, desc="training", leave=False, delay=1,
                                  disable=not progress, unit="epoch" if steps is None else "step") as bar:  # fmt: skip
        while at.epoch < epochs and not run.stopped:
            if at.step == 0:
                trainee.begin(seed, at.epoch)
            for i, (x, y) in enumerate(batches(np.random.default_rng([seed, at.epoch]))):
                if i < at.step:  # done before the training was interrupted
                    continue
                at.add(trainee.update(x, y, at.updates), len(x))
                bar.update(steps is not None)
                if save_every and at.updates % save_every == 0:
                    save()
            measured = at.mean_loss() | {"lr": trainee.lr}
            if held_out:
                measured |= _evaluate(trainee, held_out, metrics or {}, batch_size)
            for name, value in measured.items():
                run.history[name].append(value)
            bar.set_postfix({name: f"{value:.4g}" for name, value in measured.items()})
            bar.update(steps is None)
            watched = sign * measured[watch]
            if watched > at.best + min_delta:
                at.best, run.best_epoch = watched, at.epoch
                at.kept = trainee.parameters() if patience else None
            at.next_epoch()
            if not math.isfinite(measured["loss"]):
                run.stopped = "diverged"
            elif patience and at.epoch - 1 - run.best_epoch >= patience:
                run.stopped = "patience"
            if on_epoch:
                on_epoch(at.epoch - 1, model, run.history)
            save()
    if patience and at.kept is not None:
        trainee.put(at.kept)
    return Run(run.history, run.best_epoch, run.stopped or "epochs")


@contextlib.contextmanager
def evaluating(net: Any) -> Iterator[None]:
    """A ``torch.nn.Module`` in eval mode within this block, and afterwards as it was."""
    was = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was)


def accuracy(outputs: Any, y: Any) -> float:
    """The share of examples whose largest output, along axis 1, is that of the class ``y``. Arrays or tensors."""
    return int((outputs.argmax(1) == y).sum()) / max(len(y), 1)


def evaluate(
    model: Any,
    held_out: tuple[Any, Any],
    loss: Callable | None = None,
    metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
    batch_size: int = 256,
) -> dict[str, float]:
    """The mean loss and the means of ``metrics`` over held-out examples, as :func:`fit` measures them.

    Returns
    -------
    numbers : ``held_out_loss`` and ``held_out_NAME`` for each metric.
    """
    return _evaluate(_trainee(model, None, loss, None, None), held_out, metrics or {}, batch_size)


def minibatches(x: Any, y: Any, batch_size: int) -> Batches:
    """A function of a generator that yields an epoch's minibatches: all examples once, in random order.

    Raises
    ------
    ValueError
        There are no examples, more or fewer ``y`` than ``x``, or ``batch_size`` is below 1.
    """
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, y {len(y)}; expected the same number, at least 1")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")

    def batches(rng: np.random.Generator) -> Iterator[tuple]:
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            yield x[rows], y[rows]

    return batches


# ------------------------------------------------------------------------------------------------------- checkpoints


def save_checkpoint(path: str | os.PathLike, state: Any) -> None:
    """Write ``state`` so that a kill, at any moment, leaves the old file or the new one, complete.

    Parameters
    ----------
    path : the file. While it is written there is a second one beside it, with ``.part`` at the end of its name; one
        that a kill left behind is written over.
    state : numbers, strings, None, arrays, tensors, and lists, tuples and dicts of them.

    Raises
    ------
    ValueError
        The state holds something else.
    """
    import torch

    path = Path(path)
    packed = _pack(state)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(packed, file)
        file.flush()
        os.fsync(file.fileno())  # else the new name may reach the disk before the content does
    os.replace(part, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load_checkpoint(path: str | os.PathLike) -> Any:
    """What :func:`save_checkpoint` wrote. Nothing in the file is run; tensors come back on the CPU.

    Raises
    ------
    ValueError
        The file is no checkpoint.
    """
    import torch

    try:
        return _unpack(torch.load(path, map_location="cpu", weights_only=True))
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is not a checkpoint that dlcourse.train wrote: {str(error)[:200]}") from error


_ARRAY = "an array of NumPy"


def _pack(value: Any, where: str = "state") -> Any:
    """Arrays as tensors, with a mark, so that torch's loader that runs nothing reads them."""
    import torch

    if value is None or isinstance(value, bool | int | float | str | bytes | torch.Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return {_ARRAY: torch.from_numpy(np.array(value))}
    if isinstance(value, Mapping):
        return {key: _pack(part, f"{where}[{key!r}]") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_pack(part, f"{where}[{i}]") for i, part in enumerate(value))
    raise ValueError(f"{where} is a {type(value).__name__}; expected numbers, strings, arrays, tensors, lists or dicts")


def _unpack(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return value[_ARRAY].numpy()
        return {key: _unpack(part) for key, part in value.items()}
    return type(value)(_unpack(part) for part in value) if isinstance(value, list | tuple) else value


# ------------------------------------------------------------------------------------------- where a training stands


@dataclass
class _Place:
    """How far a training has come."""

    run: Run
    epoch: int = 0
    step: int = 0  # updates done in this epoch
    updates: int = 0  # and in all
    total: Any = 0.0  # summed loss of this epoch; on a GPU it stays there, since to read it is to wait
    examples: int = 0
    best: float = -math.inf
    kept: Any = None

    def add(self, loss: Any, examples: int) -> None:
        self.total = self.total + loss * examples
        self.examples += examples
        self.step += 1
        self.updates += 1

    def mean_loss(self) -> dict[str, float]:
        return {"loss": float(self.total) / max(self.examples, 1)}

    def next_epoch(self) -> None:
        self.epoch, self.step, self.total, self.examples = self.epoch + 1, 0, 0.0, 0

    def state(self) -> dict:
        return vars(self) | {"run": vars(self.run), "total": float(self.total)}


def _resume(path: Path, trainee: _NumPy | _Torch, described: dict, at: _Place) -> _Place:
    state = load_checkpoint(path)
    if not (isinstance(state, dict) and {"described", "place", "trainee"} <= set(state)):
        raise ValueError(f"{path} holds no training; give another file, or delete it to start anew")
    for name, value in described.items():
        found = state["described"].get(name)
        if found != value:
            raise ValueError(
                f"checkpoint {path} is of another training: there {name} is {found!r}, here {value!r}; "
                "give another file, or delete it to start anew"
            )
    place = state["place"]
    if set(place["run"]["history"]) != set(at.run.history):
        raise ValueError(
            f"checkpoint {path} has a history of {sorted(place['run']['history'])}, this training one of "
            f"{sorted(at.run.history)}; give another file, or delete it to start anew"
        )
    trainee.load(state["trainee"])
    return _Place(**place | {"run": Run(**place["run"])})


# ---------------------------------------------------------------------------------------------- the two kinds of model


class _NumPy:
    """A NumPy model with its optimiser, as :func:`fit` uses the two."""

    def __init__(self, model, optimiser, schedule, clip_norm):
        self.model, self.optimiser, self.schedule, self.clip_norm = model, optimiser, schedule, clip_norm

    @property
    def lr(self) -> float:
        return float(self.optimiser.lr)

    @contextlib.contextmanager
    def training(self):
        yield

    def describe(self):
        return {
            "the parameters' shapes": [list(p.shape) for p in self.model.parameters],
            "the optimiser": type(self.optimiser).__name__,
        }

    def begin(self, seed, epoch):
        pass  # what is random in a NumPy model belongs to the model, and stands in its state_dict

    def update(self, x, y, step):
        if self.schedule is not None:
            self.optimiser.lr = float(self.schedule(step))
        loss, gradients = self.model.loss_and_gradients(x, y)
        if self.clip_norm is not None:
            gradients, _ = clip_gradients(gradients, self.clip_norm)
        self.optimiser.step(gradients)
        return float(loss)

    def measure(self, x, y):
        loss, _ = self.model.loss_and_gradients(x, y)
        out = self.model.forward(x)
        return float(loss), out[0] if isinstance(out, tuple) else out, y

    def parameters(self):
        if hasattr(self.model, "state_dict"):
            return copy.deepcopy(self.model.state_dict())
        return [p.copy() for p in self.model.parameters]

    def put(self, parameters):
        if hasattr(self.model, "load_state_dict"):
            self.model.load_state_dict(parameters)
        else:
            for p, kept in zip(self.model.parameters, parameters, strict=True):
                p[...] = kept

    def state(self):
        if not hasattr(self.optimiser, "state_dict"):
            raise ValueError(
                f"optimiser is a {type(self.optimiser).__name__} without state_dict, so that a checkpoint cannot hold "
                "it; expected one of dlcourse.optim"
            )
        return {"model": self.parameters(), "optimiser": self.optimiser.state_dict()}

    def load(self, state):
        self.put(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])


class _Torch:
    """A module with its optimiser, loss and scheduler; the same methods as :class:`_NumPy`."""

    def __init__(self, model, optimiser, loss, schedule, clip_norm):
        import torch

        self.torch, self.model, self.optimiser, self.loss = torch, model, optimiser, loss
        self.schedule, self.clip_norm = schedule, clip_norm
        self.stateful = hasattr(schedule, "state_dict")  # a scheduler of torch
        self.used_lr = None  # in the last update; a scheduler has moved on since
        self.generators = None  # as the checkpoint had them
        first = next(iter(model.parameters()), None)
        self.device = torch.device("cpu") if first is None else first.device

    @property
    def lr(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"] if self.used_lr is None else self.used_lr)

    @contextlib.contextmanager
    def training(self):
        was = self.model.training
        devices = [self.device] if self.device.type == "cuda" else []
        with self.torch.random.fork_rng(devices):
            if self.generators is not None:
                self._set_generators(self.generators)
            self.model.train()
            try:
                yield
            finally:
                self.model.train(was)

    def describe(self):
        return {
            "the parameters' shapes": [list(p.shape) for p in self.model.parameters()],
            "the optimiser": type(self.optimiser).__name__,
        }

    def begin(self, seed, epoch):
        self.torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1))

    def update(self, x, y, step):
        if self.schedule is not None and not self.stateful:
            for group in self.optimiser.param_groups:
                group["lr"] = float(self.schedule(step))
        self.used_lr = self.optimiser.param_groups[0]["lr"]
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.model(self._tensor(x)), self._tensor(y))
        loss.backward()
        if self.clip_norm is not None:
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimiser.step()
        if self.stateful:
            self.schedule.step()
        return loss.detach().double() if self.device.type != "mps" else float(loss.detach())

    def measure(self, x, y):
        with evaluating(self.model), self.torch.no_grad():
            y = self._tensor(y)
            out = self.model(self._tensor(x))
            return float(self.loss(out, y)), out, y

    def parameters(self):
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def put(self, parameters):
        self.model.load_state_dict(parameters)

    def state(self):
        generators = [self.torch.get_rng_state()]
        if self.device.type == "cuda":
            generators.append(self.torch.cuda.get_rng_state(self.device))
        return {
            "model": self.parameters(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict() if self.stateful else None,
            "generators": generators,
            "lr": self.lr,
        }

    def load(self, state):
        self.put(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.stateful:
            self.schedule.load_state_dict(state["schedule"])
        self.generators, self.used_lr = state["generators"], state["lr"]

    def _set_generators(self, generators):
        self.torch.set_rng_state(generators[0])
        if self.device.type == "cuda" and len(generators) > 1:
            self.torch.cuda.set_rng_state(generators[1], self.device)

    def _tensor(self, a):
        return self.torch.as_tensor(a, device=self.device)


def _trainee(
    model: Any, optimiser: Any, loss: Callable | None, schedule: Any, clip_norm: float | None
) -> _NumPy | _Torch:
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm is {clip_norm}; expected a positive length, or None")
    if hasattr(model, "loss_and_gradients"):
        if loss is not None:
            raise ValueError(f"loss is given, but {type(model).__name__} brings its own; leave it out")
        if hasattr(schedule, "state_dict"):
            raise ValueError("schedule is a scheduler of torch; expected a function step -> lr for a NumPy model")
        return _NumPy(model, optimiser, schedule, clip_norm)
    if callable(getattr(model, "state_dict", None)) and callable(getattr(model, "parameters", None)):
        if loss is None:
            raise ValueError("loss is None; expected a function of (outputs, y) for a module of torch")
        return _Torch(model, optimiser, loss, schedule, clip_norm)
    raise ValueError(
        f"model is a {type(model).__name__}; expected a torch.nn.Module, or an object with parameters and "
        "loss_and_gradients(x, y)"
    )


def _batches(data: Any, batch_size: int) -> tuple[Batches, dict]:
    """The function that makes an epoch's batches, and what there is to say about them."""
    if callable(data):
        return data, {}
    x, y = data
    steps = math.ceil(len(x) / max(batch_size, 1))
    return minibatches(x, y, batch_size), {
        "the number of examples": len(x),
        "batch_size": batch_size,
        "steps an epoch": steps,
    }


def _check(epochs, patience, save_every, held_out, metrics, watch, names) -> None:
    for name, value, least in (("epochs", epochs, 0), ("patience", patience, 1), ("save_every", save_every, 1)):
        if value is not None and (value != int(value) or value < least):
            raise ValueError(f"{name} is {value}; expected a whole number, at least {least}")
    if metrics and not held_out:
        raise ValueError("metrics are measured on held-out data; give held_out=(x, y)")
    if watch not in names:
        raise ValueError(f"watch is {watch!r}; expected one of {', '.join(names)}")


def _evaluate(
    trainee: _NumPy | _Torch, held_out: tuple, metrics: Mapping[str, Callable], batch_size: int
) -> dict[str, float]:
    x, y = held_out
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"held_out has {len(x)} inputs and {len(y)} targets; expected the same number, at least 1")
    sums = dict.fromkeys(("loss", *metrics), 0.0)
    size = max(batch_size, 256)
    for start in range(0, len(x), size):
        loss, out, targets = trainee.measure(x[start : start + size], y[start : start + size])
        sums["loss"] += loss * len(targets)
        for name, metric in metrics.items():
            sums[name] += float(metric(out, targets)) * len(targets)
    return {f"held_out_{name}": total / len(x) for name, total in sums.items()}
