"""The optimizer of a configuration: one of PyTorch's for the dense parameters, and a few lines for the tables.

In a table, only rows whose ids occur in the batch move.
"""

import torch


class TableOptimizer:
    """Row-wise Adagrad, Adagrad or Adam on the rows of one table that occur in the batch."""

    def __init__(self, weight, settings):
        self.weight, self.settings = weight, settings
        self.kind = settings["embedding_kind"]
        self.rate, self.epsilon = settings["embedding_learning_rate"], settings["embedding_epsilon"]
        self.steps = 0
        width = 1 if self.kind == "rowwise_adagrad" else weight.shape[1]
        self.first = weight.new_zeros(weight.shape[0], width)  # Adagrad's sum, or Adam's m
        self.second = torch.zeros_like(self.first)             # Adam's v

    @torch.no_grad()
    def step(self, rows):
        """rows: those that occur in the batch, each once"""
        self.steps += 1
        g = self.weight.grad[rows]
        if self.kind == "adam":
            beta1, beta2 = self.settings["beta1"], self.settings["beta2"]
            self.first[rows] = beta1 * self.first[rows] + (1 - beta1) * g
            self.second[rows] = beta2 * self.second[rows] + (1 - beta2) * g * g
            m = self.first[rows] / (1 - beta1 ** self.steps)
            v = self.second[rows] / (1 - beta2 ** self.steps)
            self.weight[rows] -= self.rate * m / (v.sqrt() + self.epsilon)
            return
        squares = g * g
        self.first[rows] += squares.mean(dim=1, keepdim=True) if self.kind == "rowwise_adagrad" else squares
        self.weight[rows] -= self.rate * g / (self.first[rows].sqrt() + self.epsilon)


class Optimizer:
    """Does what home_model_step() does."""

    def __init__(self, model):
        self.model, settings = model, model.config["optimizer"]
        self.dense = [parameter for name, parameter in model.named_parameters() if not name.startswith("embeddings.")]
        rate, decay, epsilon = settings["learning_rate"], settings["weight_decay"], settings["epsilon"]
        betas = (settings["beta1"], settings["beta2"])
        kind = settings["kind"]
        if kind == "sgd":
            self.optimizer = torch.optim.SGD(self.dense, rate, momentum=settings["momentum"], weight_decay=decay)
        elif kind == "adagrad":
            self.optimizer = torch.optim.Adagrad(self.dense, rate, weight_decay=decay, eps=epsilon)
        else:
            adam = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
            self.optimizer = adam(self.dense, rate, betas, epsilon, decay)
        self.tables = {name: TableOptimizer(table.weight, settings)
                       for name, table in model.embeddings.named_children()}
        self.clip_norm = settings["clip_norm"]

    def zero_grad(self):
        """Sets zeros, not None, because the step also moves tensors that no loss reaches."""
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)

    def step(self, ids=()):
        """ids: those of the batch, as passed to the model"""
        if self.clip_norm:
            self._clip()
        self.optimizer.step()
        for name, rows in touched_rows(self.model, ids).items():
            self.tables[name].step(rows)

    def _clip(self):
        gradients = [parameter.grad for parameter in self.model.parameters()]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        if norm > self.clip_norm:
            for gradient in gradients:
                gradient *= self.clip_norm / norm


def touched_rows(model, ids):
    """Returns the rows of each table that the batch reads, ascending, each once."""
    rows = {name: set() for name, _ in model.embeddings.named_children()}
    for field, bags in zip(model.config["fields"], ids):
        table = model.embeddings[field["table"]]
        rows[field["table"]].update(table.row_of(id_) for bag in bags for id_ in bag)
    return {name: torch.tensor(sorted(some), dtype=torch.int64) for name, some in rows.items()}
