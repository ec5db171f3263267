"""dlcourse.train: the same numbers as a loop by hand, early stopping, and checkpoints under kill -9."""

from __future__ import annotations

import copy
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dlcourse import mlp, optim, train

ROOT = Path(__file__).resolve().parent.parent


def points(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def module(seed=0, dropout=0.3):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 16), torch.nn.BatchNorm1d(16), torch.nn.Tanh(), torch.nn.Dropout(dropout),
        torch.nn.Linear(16, 2),
    )  # fmt: skip


def trained(model, optimiser, **options):
    options = {"loss": F.cross_entropy, "epochs": 6, "batch_size": 16, "progress": False} | options
    return train.fit(model, points(), optimiser, **options)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


# ----------------------------------------------------------------------------------------------------- what it computes


def test_equals_a_loop_by_hand_for_a_module():
    ours, by_hand = module(dropout=0.0), module(dropout=0.0)
    run = trained(ours, torch.optim.SGD(ours.parameters(), lr=0.1, momentum=0.9), epochs=3, seed=4)
    optimiser = torch.optim.SGD(by_hand.parameters(), lr=0.1, momentum=0.9)
    x, y = (torch.as_tensor(a) for a in points())
    losses = []
    for epoch in range(3):
        order, total = np.random.default_rng([4, epoch]).permutation(60), 0.0
        for start in range(0, 60, 16):
            rows = order[start : start + 16]
            optimiser.zero_grad()
            loss = F.cross_entropy(by_hand(x[rows]), y[rows])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(rows)
        losses.append(total / 60)
    assert same(ours, by_hand)
    assert run.history["loss"] == pytest.approx(losses, rel=1e-12) and run.stopped == "epochs"


def test_numpy_model_and_module_take_the_same_steps():
    x, y = points()
    x = x.astype(np.float64)
    ours = mlp.MLP((3, 8, 2), activation="tanh", seed=1)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()
    with torch.no_grad():
        for p, a in zip(theirs.parameters(), ours.parameters, strict=True):
            p.copy_(torch.tensor(a.T))
    options = {"epochs": 4, "batch_size": 7, "held_out": (x[:20], y[:20]), "metrics": {"accuracy": train.accuracy},
               "clip_norm": 0.5, "schedule": lambda t: 0.1 / (1 + t), "seed": 3, "progress": False}  # fmt: skip
    one = train.fit(ours, (x, y), optim.SGD(ours.parameters, lr=1.0, momentum=0.9), **options)
    sgd = torch.optim.SGD(theirs.parameters(), lr=1.0, momentum=0.9)
    other = train.fit(theirs, (x, y), sgd, loss=F.cross_entropy, **options)
    assert set(one.history) == {"loss", "lr", "held_out_loss", "held_out_accuracy"}
    for name, values in one.history.items():
        assert len(values) == 4 and values == pytest.approx(other.history[name], rel=1e-9)
    assert one.history["lr"] == [0.1 / (1 + t) for t in (8, 17, 26, 35)]


def test_scheduler_of_torch_takes_a_step_after_each_update():
    model = module()
    sgd = torch.optim.SGD(model.parameters(), lr=1.0)
    run = trained(model, sgd, epochs=2, schedule=torch.optim.lr_scheduler.StepLR(sgd, 3, 0.1))
    assert run.history["lr"] == pytest.approx([0.1, 0.01])  # updates 3 and 7, counted from 0


def test_clipping_shortens_the_step():
    before, model = module(), module()
    trained(model, torch.optim.SGD(model.parameters(), lr=1.0), epochs=1, batch_size=60, clip_norm=1e-3)
    moved = sum((a - b).square().sum() for a, b in zip(before.parameters(), model.parameters(), strict=True))
    assert moved.sqrt().item() == pytest.approx(1e-3, rel=1e-2)


def test_batches_may_come_from_a_function():
    x, y = points()
    ours, other = module(), module()
    one = trained(ours, torch.optim.Adam(ours.parameters()))
    adam = torch.optim.Adam(other.parameters())
    two = train.fit(other, train.minibatches(x, y, 16), adam, loss=F.cross_entropy, epochs=6, progress=False)
    assert one == two and same(ours, other)


def test_global_generators_and_modes_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = module().eval()
    torch.manual_seed(5)
    trained(model, torch.optim.SGD(model.parameters(), lr=0.1), held_out=points(seed=1))
    assert torch.equal(torch.rand(3), expected) and not model.training


def test_held_out_numbers_are_measured_in_eval_mode():
    model = module(dropout=0.5)
    held = points(300, seed=1)
    run = trained(model, torch.optim.SGD(model.parameters(), lr=0.1), held_out=held,
                  metrics={"accuracy": train.accuracy})  # fmt: skip
    model.eval()
    out, y = model(torch.as_tensor(held[0])), torch.as_tensor(held[1])
    assert run.history["held_out_loss"][-1] == pytest.approx(F.cross_entropy(out, y).item(), rel=1e-6)
    assert run.history["held_out_accuracy"][-1] == pytest.approx((out.argmax(1) == y).float().mean().item())
    measured = train.evaluate(model, held, F.cross_entropy, {"accuracy": train.accuracy})
    assert measured["held_out_loss"] == pytest.approx(run.history["held_out_loss"][-1], rel=1e-6)


class Scripted:
    """A NumPy model whose loss follows a script, one number an epoch, whatever it is shown."""

    def __init__(self, losses):
        self.parameters, self.losses = [np.zeros(1)], losses

    def forward(self, x):
        return x

    def loss_and_gradients(self, x, y):
        epoch = min(int(self.parameters[0][0]), len(self.losses) - 1)
        return self.losses[epoch], [np.full(1, -1.0)]  # with lr = 1 the parameter counts updates


def follow(losses, **options):
    model = Scripted(losses)
    x = np.zeros((2, 1))
    run = train.fit(model, (x, x), optim.SGD(model.parameters, lr=1.0), batch_size=2, progress=False,
                    epochs=len(losses), **options)  # fmt: skip
    return run, float(model.parameters[0][0])


def test_early_stopping_waits_for_its_patience_and_puts_the_best_back():
    run, parameter = follow([5.0, 3.0, 4.0, 3.5, 2.0, 2.5, 2.6, 1.0], patience=2)
    assert (run.stopped, run.best_epoch, len(run.history["loss"]), parameter) == ("patience", 1, 4, 2.0)
    run, parameter = follow([5.0, 3.0, 4.0, 3.5, 2.0, 2.5, 2.6, 1.0], patience=3)
    assert (run.stopped, run.best_epoch, parameter) == ("epochs", 7, 8.0)


def test_small_improvements_may_not_count():
    losses = [5.0, 4.95, 4.9, 4.85, 4.8, 4.75, 4.7, 4.65]
    assert follow(losses, patience=2)[0].stopped == "epochs"
    run, _ = follow(losses, patience=2, min_delta=0.2)
    assert (run.stopped, run.best_epoch, len(run.history["loss"])) == ("patience", 0, 3)
    run, _ = follow(losses, patience=2, watch="loss", higher_is_better=True)
    assert (run.stopped, run.best_epoch) == ("patience", 0)


def test_without_patience_the_last_parameters_stay():
    run, parameter = follow([1.0, 2.0, 3.0])
    assert (run.stopped, run.best_epoch, parameter) == ("epochs", 0, 3.0)


def test_divergence_ends_the_training():
    run, _ = follow([1.0, 2.0, float("nan"), 1.0])
    assert run.stopped == "diverged" and len(run.history["loss"]) == 3 and run.best_epoch == 0


def test_on_epoch_sees_every_epoch():
    seen = []
    follow([3.0, 2.0, 1.0], on_epoch=lambda epoch, model, history: seen.append((epoch, history["loss"][-1])))
    assert seen == [(0, 3.0), (1, 2.0), (2, 1.0)]


# ------------------------------------------------------------------------------------------------------------- resuming


@pytest.mark.parametrize("make", [torch.optim.Adam, lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)])
@pytest.mark.parametrize("patience", [None, 2])
def test_resumed_module_ends_with_the_same_numbers(tmp_path, make, patience):
    def start(epochs, checkpoint=None, seed=0):
        model = module(seed)
        optimiser = make(model.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 40)
        held = points(seed=1)
        return trained(model, optimiser, epochs=epochs, schedule=schedule, held_out=held, patience=patience,
                       metrics={"accuracy": train.accuracy}, checkpoint=checkpoint), model  # fmt: skip

    whole, expected = start(8)
    start(3, tmp_path / "run.pt")
    torch.rand(7)  # the resumed process has another history
    parts, model = start(8, tmp_path / "run.pt", seed=9)  # the weights come from the file
    assert parts == whole and same(model, expected)
    again, model = start(8, tmp_path / "run.pt", seed=9)  # nothing is left to do
    assert again == whole and same(model, expected)


@pytest.mark.parametrize("name", optim.OPTIMISERS)
def test_resumed_numpy_model_ends_with_the_same_numbers(tmp_path, name):
    def start(epochs, checkpoint=None):
        model = mlp.MLP((3, 8, 2), seed=1, dtype=np.float32)
        optimiser = optim.OPTIMISERS[name](model.parameters, lr=0.05)
        return train.fit(model, points(), optimiser, epochs=epochs, checkpoint=checkpoint, progress=False), model

    whole, expected = start(6)
    start(2, tmp_path / "run.pt")
    parts, model = start(6, tmp_path / "run.pt")
    assert parts == whole
    assert all(np.array_equal(p, q) for p, q in zip(model.parameters, expected.parameters, strict=True))


class Stop(Exception):
    pass


@pytest.mark.parametrize("updates", [1, 5, 10])
def test_resumes_in_the_middle_of_an_epoch(tmp_path, updates):
    def start(checkpoint=None, stop_after=None):
        model, count = module(), 0

        def loss(out, y):
            nonlocal count
            count += 1
            if stop_after is not None and count > stop_after:
                raise Stop
            return F.cross_entropy(out, y)

        adam = torch.optim.Adam(model.parameters(), lr=0.01)
        return trained(model, adam, loss=loss, epochs=3, checkpoint=checkpoint, save_every=1), model, count

    whole, expected, all_updates = start()
    with pytest.raises(Stop):
        start(tmp_path / "run.pt", updates)
    rest, model, count = start(tmp_path / "run.pt")
    assert rest == whole and same(model, expected) and count == all_updates - updates


def test_checkpoint_of_another_training_is_refused(tmp_path):
    def start(**options):
        model = module()
        return trained(model, torch.optim.Adam(model.parameters()), checkpoint=tmp_path / "run.pt", **options)

    start(epochs=1)
    for options, words in (
        ({"seed": 1}, "there seed is 0, here 1"),
        ({"batch_size": 8}, "there batch_size is 16, here 8"),
        ({"held_out": points()}, "there watch is 'loss', here 'held_out_loss'"),
        ({"held_out": points(), "watch": "loss"}, "has a history of"),
    ):
        with pytest.raises(ValueError, match=words):
            start(**options)
    with pytest.raises(ValueError, match="the optimiser is 'Adam', here 'SGD'"):
        trained(m := module(), torch.optim.SGD(m.parameters(), lr=1), checkpoint=tmp_path / "run.pt")
    (tmp_path / "run.pt").write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        start()
    train.save_checkpoint(tmp_path / "run.pt", {"a": 1})
    with pytest.raises(ValueError, match="holds no training"):
        start()


def test_checkpoint_holds_plain_values_and_nothing_that_runs(tmp_path):
    state = {"a": [1, 2.5, None, True, "text", (1, 2)], "t": torch.arange(3), "x": np.eye(2, dtype=np.float32),
             "deep": {"y": [np.arange(2)]}, 3: b"bytes"}  # fmt: skip
    train.save_checkpoint(tmp_path / "new" / "state.pt", state)
    back = train.load_checkpoint(tmp_path / "new" / "state.pt")
    assert back["a"] == state["a"] and back[3] == b"bytes" and torch.equal(back["t"], state["t"])
    assert back["x"].dtype == np.float32 and np.array_equal(back["x"], np.eye(2))
    assert np.array_equal(back["deep"]["y"][0], [0, 1])
    with pytest.raises(ValueError, match=r"state\['a'\]\[1\] is a function; expected"):
        train.save_checkpoint(tmp_path / "state.pt", {"a": [1, points]})
    torch.save(Stop(), tmp_path / "object.pt")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        train.load_checkpoint(tmp_path / "object.pt")
    with pytest.raises(FileNotFoundError):
        train.load_checkpoint(tmp_path / "nothing.pt")


# ----------------------------------------------------------------------------------------------------------- real kills


def child(code, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


WRITER = """
import sys, torch
from dlcourse import train

path, careful = sys.argv[1], sys.argv[2] == "careful"
print("ready", flush=True)
for i in range(100_000):
    state = {"i": i, "parts": [torch.full((250_000,), float(i)) for _ in range(16)]}
    train.save_checkpoint(path, state) if careful else torch.save(state, path)
"""
SIZE = 16_000_000  # bytes, of the tensors alone


def size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def killed_in_the_middle_of_writing(path, written, careful):
    """Start a process that writes checkpoints to ``path`` one after another, kill it while ``written`` is cut off."""
    process = child(WRITER, path, careful)
    deadline = time.monotonic() + 120
    try:
        process.stdout.readline()
        while time.monotonic() < deadline:
            size = size_of(written)
            if 0 < size < SIZE and (path == written or path.exists()):
                process.send_signal(signal.SIGSTOP)  # so that what is seen now is what the kill meets
                os.waitid(os.P_PID, process.pid, os.WSTOPPED)
                if 0 < size_of(written) < SIZE:
                    return
                process.send_signal(signal.SIGCONT)
        raise AssertionError("the process was never seen writing")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_checkpoint_survives_a_kill_in_the_middle_of_writing(tmp_path):
    path, part = tmp_path / "state.pt", tmp_path / "state.pt.part"
    for _ in range(2):  # the second begins over the litter of the first
        killed_in_the_middle_of_writing(path, part, "careful")
        assert 0 < part.stat().st_size < SIZE
        state = train.load_checkpoint(path)
        assert len(state["parts"]) == 16 and all((tensor == state["i"]).all() for tensor in state["parts"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.pt", "state.pt.part"]
    train.save_checkpoint(path, {"i": -1})
    assert train.load_checkpoint(path) == {"i": -1} and not part.exists()


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_the_same_kill_spoils_a_file_that_is_written_in_place(tmp_path):
    path = tmp_path / "state.pt"
    killed_in_the_middle_of_writing(path, path, "careless")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        train.load_checkpoint(path)


# Each line of its input is answered by a new process that trains. They are forked, since the imports take seconds.
TRAINER = """
import os, sys, time, torch
import test_train as t
from torch.nn import functional as F

torch.optim.Adam(t.module().parameters())  # its first use imports a good deal


def loss(out, y):
    print("update", flush=True)
    time.sleep(0.003)
    return F.cross_entropy(out, y)


for line in sys.stdin:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    else:
        print(os.getpid(), flush=True)
        adam = torch.optim.Adam((model := t.module()).parameters(), lr=0.01)
        t.trained(model, adam, loss=loss, epochs=30, checkpoint=sys.argv[1], save_every=1, held_out=t.points(seed=1))
        print("done", flush=True)
        os._exit(0)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_training_that_is_killed_again_and_again_ends_with_the_same_numbers(tmp_path):
    model = module()
    options = {"epochs": 30, "held_out": points(seed=1)}
    expected = trained(model, torch.optim.Adam(model.parameters(), lr=0.01), **options)

    rng, kills = np.random.default_rng(0), 0
    process = child(TRAINER, tmp_path / "run.pt")
    try:
        while True:
            print(file=process.stdin, flush=True)
            pid = int(next(line for line in process.stdout if line.strip().isdigit()))
            wanted = int(rng.integers(10, 30))  # of 150 losses, 120 of them updates
            if any(line == "done\n" for line in itertools.islice(process.stdout, wanted)):
                break
            time.sleep(float(rng.uniform(0, 0.01)))  # anywhere in an update or a write
            os.kill(pid, signal.SIGKILL)
            kills += 1
    finally:
        process.kill()
        process.communicate()
    assert kills >= 5
    resumed = module(seed=1)
    run = trained(resumed, torch.optim.Adam(resumed.parameters(), lr=0.01), checkpoint=tmp_path / "run.pt", **options)
    assert run == expected and same(resumed, model)


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": None}, "loss is None; expected a function"),
        ({"epochs": -1}, "epochs is -1; expected a whole number, at least 0"),
        ({"patience": 0}, "patience is 0; expected a whole number, at least 1"),
        ({"save_every": 0}, "save_every is 0"),
        ({"batch_size": 0}, "batch_size is 0; expected at least 1"),
        ({"clip_norm": 0}, "clip_norm is 0; expected a positive length"),
        ({"watch": "accuracy"}, "watch is 'accuracy'; expected one of loss, lr"),
        ({"metrics": {"accuracy": train.accuracy}}, "metrics are measured on held-out data"),
        ({"held_out": (np.zeros((2, 3), np.float32), np.zeros(3, int))}, "held_out has 2 inputs and 3 targets"),
    ],
)
def test_wrong_arguments(options, words):
    model = module()
    with pytest.raises(ValueError, match=words):
        trained(model, torch.optim.SGD(model.parameters(), lr=0.1), **options)


def test_wrong_models_and_data():
    model = mlp.MLP((3, 2))
    sgd = optim.SGD(model.parameters, lr=0.1)
    x, y = points()
    with pytest.raises(ValueError, match="loss is given, but MLP brings its own"):
        train.fit(model, (x, y), sgd, loss=F.cross_entropy)
    with pytest.raises(ValueError, match="x has 60 examples, y 59"):
        train.fit(model, (x, y[:-1]), sgd)
    with pytest.raises(ValueError, match="model is a list; expected"):
        train.fit([1], (x, y), sgd)
    with pytest.raises(ValueError, match="SGD without state_dict"):
        train.fit(model, (x, y), mlp.SGD(model.parameters, 0.1), checkpoint="never-written.pt", progress=False)
    assert not Path("never-written.pt").exists()


def test_no_epochs_change_nothing():
    model, before = module(), module()
    run = trained(model, torch.optim.SGD(model.parameters(), lr=0.1), epochs=0)
    assert run == train.Run({"loss": [], "lr": []}, -1, "epochs") and same(model, before)
    assert copy.deepcopy(run) == run
