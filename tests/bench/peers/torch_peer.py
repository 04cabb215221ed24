"""PyTorch's worker. usage: torch_peer.py FOLDER THREADS (see worker.h)"""

import sys
import warnings

import torch
from torch.nn import functional as F

from fused import Fused, Predict
from peer import Best, Subject, serve

FOLDER, THREADS = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(THREADS)
warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # shapes but the batch are constant
subjects, models, best = {}, {}, Best()


def once(key, make):
    """The model of that key, made when it is first wanted."""
    if key not in models:
        models[key] = make()
    return models[key]


def subject(config):
    if config not in subjects:
        subjects[config] = Subject(FOLDER, config)
    return subjects[config]


def predict(config, batch, seconds):
    s = subject(config)
    v = s.rows[:batch]
    make = {
        "plain": lambda: Predict(s.model).eval(),
        "fused-2d": lambda: Predict(Fused(s.model, True, "2d")).eval(),
        "fused-bmm": lambda: Predict(Fused(s.model, True, "bmm")).eval(),
    }
    for how in ("2d", "bmm"):
        make[f"script-{how}"] = lambda how=how: torch.jit.freeze(torch.jit.trace(once((config, f"fused-{how}"),
                                                                                      make[f"fused-{how}"]), s.rows[:4]))

    def call_of(style):
        def run():
            with torch.inference_mode():
                return model(v)
        with torch.no_grad():
            model = once((config, style), make[style])
        return run

    us, style, values = best(("predict", config, batch),
                             {style: lambda style=style: call_of(style) for style in make}, seconds)
    return us, style, values[0].tolist()


def train_step(config, batch, seconds):
    s = subject(config)
    y = s.labels[:batch]

    def make(style):
        model = (Subject(FOLDER, config).model if style == "plain" else Fused(s.model, False, style.split("-")[1])).train()
        return model, torch.optim.Adam(model.parameters(), lr=0, foreach=True)  # as libhome

    def call_of(style):
        model, optimizer = once(("train", config, style), lambda: make(style))
        v = s.rows[:batch].clone().requires_grad_(True)  # it comes from embeddings: its gradient is wanted

        def run():
            v.grad = None
            optimizer.zero_grad(set_to_none=True)
            logits = model(v)
            F.binary_cross_entropy_with_logits(logits, y, reduction="none").mean(0).sum().backward()
            optimizer.step()
            return logits
        return run

    us, style, logits = best(("train_step", config, batch),
                             {style: lambda style=style: call_of(style) for style in ("plain", "fused-2d", "fused-bmm")},
                             seconds)
    return us, style, torch.sigmoid(logits[0]).tolist()


def answer(op, config, batch, seconds):
    functions = {"predict": predict, "train_step": train_step}
    return functions[op](config, batch, seconds) if op in functions else None


serve(answer)
