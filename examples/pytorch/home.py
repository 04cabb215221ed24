"""HoME and its relatives in PyTorch: the model that libhome computes, in its plainest form.

It is meant for reading, for checking libhome, and for moving weights both ways, not for speed. The `state_dict` has the
same names as a checkpoint of libhome, and the configuration is the same JSON.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from config import topology, with_defaults


class Named(nn.Module):
    """Modules or parameters by name. nn.ModuleDict refuses names such as "keys" or "type"."""

    def __init__(self, items):
        super().__init__()
        for name, item in items.items():
            (self._parameters if isinstance(item, nn.Parameter) else self._modules)[name] = item

    def __getitem__(self, name):
        return self._modules[name] if name in self._modules else self._parameters[name]


def activation(name, beta):
    return torch.relu if name == "relu" else lambda x: x * torch.sigmoid(beta * x)


class MLP(nn.Module):
    """Linear layers, an activation after each but the last."""

    def __init__(self, widths, act, last_bias=True):
        super().__init__()
        self.act = act
        last = len(widths) - 2
        self.linear = nn.ModuleList(nn.Linear(widths[i], widths[i + 1], bias=last_bias or i < last)
                                    for i in range(last + 1))

    def forward(self, x):
        for linear in self.linear[:-1]:
            x = self.act(linear(x))
        return self.linear[-1](x)


class BatchNorm(nn.Module):
    """nn.BatchNorm1d without its batch counter, which checkpoints do not have."""

    def __init__(self, width, epsilon, momentum):
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                            self.momentum, self.epsilon)


class Expert(MLP):
    """Act(Norm(MLP(x)))"""

    def __init__(self, widths, config):
        settings, beta = config["experts"], config["swish_beta"]
        batch_norm = settings["norm"] == "batch"
        super().__init__(widths, activation(settings["hidden_activation"], beta),
                         last_bias=not batch_norm or settings["bias_before_norm"])
        self.norm = (BatchNorm(widths[-1], settings["norm_epsilon"], settings["norm_momentum"]) if batch_norm
                     else nn.Identity())
        self.last_act = activation(settings["activation"], beta)

    def forward(self, x):
        return self.last_act(self.norm(super().forward(x)))


class Lora(nn.Module):
    """A B x, of rank d"""

    def __init__(self, width, rank, init):
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        if init == "zero":
            nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.up(self.down(x))


class FeatureGate(nn.Module):
    """x * F(x): a unit's own view of its input"""

    def __init__(self, width, branches, rank, settings):
        super().__init__()
        self.sigmoid_first = settings["order"] == "sigmoid_first"
        self.lora = nn.ModuleList(Lora(width, rank, settings["init"]) for _ in range(branches))
        if branches > 1:
            self.mix = nn.Linear(width, branches)

    def forward(self, x):
        branches = torch.stack([lora(x) for lora in self.lora], dim=1)  # [B, L, V]
        if self.sigmoid_first:
            branches = 2 * torch.sigmoid(branches)
        weights = torch.softmax(self.mix(x), dim=1) if len(self.lora) > 1 else x.new_ones(len(x), 1)
        mixed = torch.einsum("bl,blv->bv", weights, branches)
        return x * (mixed if self.sigmoid_first else 2 * torch.sigmoid(mixed))


class Unit(nn.Module):
    """Experts that share one input. Returns the gated input and the experts' outputs [B, n, D]."""

    def __init__(self, config, layer, unit, width):
        super().__init__()
        self.feature_gate = (FeatureGate(width, layer["feature_branches"], layer["feature_rank"],
                                         config["feature_gate"]) if layer["feature_gates"] else nn.Identity())
        self.experts = nn.ModuleList(Expert([width, *layer["hidden"], layer["width"]], config)
                                     for _ in range(unit["experts"]))

    def forward(self, x):
        gated = self.feature_gate(x)
        return gated, torch.stack([expert(gated) for expert in self.experts], dim=1)


class StaticSelf(nn.Module):
    """AdaTT's self term: a free weight for each own expert."""

    def __init__(self, experts):
        super().__init__()
        self.static = nn.Parameter(torch.full((experts,), 1 / experts))


class Node(nn.Module):
    """One output vector: a gate mixes the experts that the node sees, and the self term adds its own once more."""

    def __init__(self, config, node, experts, widths):
        """experts, widths: for each unit, the number of its experts and the width of its input."""
        super().__init__()
        beta = config["swish_beta"]
        gate, self_gate = config["gate"], config["self_gate"]
        self.sees, self.reads, self.own = node["sees"], node["gate"], node["self"]
        self.raw_gate = node["raw_gate"] or gate["input"] == "raw"
        self.raw_self = self_gate["input"] == "raw"
        if self.reads is not None:
            read = sum(widths[name] for name in self.reads)
            seen = sum(experts[name] for name in self.sees)
            self.gate = MLP([read, *gate["hidden"], seen], activation(gate["activation"], beta))
        if self.own is not None:
            self.kind = node["self_kind"]
            if self.kind == "gate":
                self.self_gate = MLP([widths[self.own], *self_gate["hidden"], experts[self.own]],
                                     activation(self_gate["activation"], beta))
            elif self.kind == "static":
                self.self_gate = StaticSelf(experts[self.own])

    def self_weights(self, x, gated, own):
        """[B, n], or [n] if they do not depend on the row"""
        if self.kind == "one":
            return own.new_ones(own.shape[1])
        if self.kind == "static":
            return self.self_gate.static
        scores = self.self_gate((x if self.raw_self else gated)[self.own])
        return torch.sigmoid(scores) if scores.shape[1] == 1 else torch.softmax(scores, dim=1)

    def forward(self, x, gated, outputs):
        """x, gated, outputs: for each unit, the input, the gated input, and the experts' outputs [B, n, D]."""
        seen = torch.cat([outputs[name] for name in self.sees], dim=1)
        if self.reads is None:
            z = seen.sum(dim=1)
        else:
            inputs = x if self.raw_gate else gated
            scores = self.gate(torch.cat([inputs[name] for name in self.reads], dim=1))
            z = (torch.softmax(scores, dim=1).unsqueeze(2) * seen).sum(dim=1)
        if self.own is not None:
            own = outputs[self.own]
            z = z + (self.self_weights(x, gated, own).unsqueeze(-1) * own).sum(dim=1)
        return z


class Layer(nn.Module):
    def __init__(self, config, layer, units, nodes, sources):
        """sources: the widths of the nodes in the layer below, by name; None in the first layer."""
        super().__init__()
        self.inputs = {unit["name"]: unit["input"] for unit in units}
        widths = {unit["name"]: input_width(config) if sources is None else sources[unit["input"]] for unit in units}
        experts = {unit["name"]: unit["experts"] for unit in units}
        self.units = Named({unit["name"]: Unit(config, layer, unit, widths[unit["name"]]) for unit in units})
        self.nodes = Named({node["name"]: Node(config, node, experts, widths) for node in nodes})
        self.outputs = {node["name"]: layer["width"] for node in nodes}

    def forward(self, v, below):
        x = {name: v if below is None else below[source] for name, source in self.inputs.items()}
        gated, outputs = {}, {}
        for name in self.inputs:
            gated[name], outputs[name] = self.units[name](x[name])
        return {name: self.nodes[name](x, gated, outputs) for name in self.outputs}


class Table(nn.Module):
    """An embedding table."""

    def __init__(self, table):
        super().__init__()
        self.rows, self.hashed = table["rows"], table["index"] == "hashed"
        self.weight = nn.Parameter(table["init_std"] * torch.randn(table["rows"], table["dim"]))

    def row_of(self, id_):
        """Returns the row of an id; docs/checkpoint.md defines the hash."""
        if not self.hashed:
            return id_
        mask = (1 << 64) - 1
        x = id_
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ x >> 27) * 0x94D049BB133111EB & mask
        x = x ^ x >> 31
        return x * self.rows >> 64

    def forward(self, bags, pooling):
        """bags: for each row, a list of ids; an empty list gives zeros."""
        rows = torch.tensor([self.row_of(id_) for bag in bags for id_ in bag], dtype=torch.int64)
        ends = torch.tensor([0] + [len(bag) for bag in bags]).cumsum(0)
        return F.embedding_bag(rows, self.weight, ends[:-1], mode=pooling)


def input_width(config):
    dims = {table["name"]: table["dim"] for table in config["tables"]}
    return config["dense"] + sum(dims[field["table"]] for field in config["fields"])


class Home(nn.Module):
    """A model of the family, made from its configuration (a dictionary; missing keys get their defaults).

        model = Home(json.load(open("model.json")))
        logits = model(dense, ids)
        total, losses = model.loss(logits, labels)
    """

    def __init__(self, config):
        super().__init__()
        self.config = config = with_defaults(config)
        self.tasks = config["tasks"]
        layers, sources = [], None
        for settings, (units, nodes) in zip(config["layers"], topology(config)):
            layers.append(Layer(config, settings, units, nodes, sources))
            sources = layers[-1].outputs
        self.layers = nn.ModuleList(layers)
        tower = config["tower"]
        act = activation(tower["activation"], config["swish_beta"])
        self.towers = Named({task["name"]: MLP([sources[task["name"]], *tower["hidden"], 1], act)
                             for task in self.tasks})
        for task in self.tasks:  # a tower starts at its task's base rate
            rate = task["base_rate"] or 0.5
            nn.init.constant_(self.towers[task["name"]].linear[-1].bias, math.log(rate / (1 - rate)))
        self.embeddings = Named({table["name"]: Table(table) for table in config["tables"]})
        if config["uncertainty"]:
            self.uncertainty = Named({task["name"]: nn.Parameter(torch.zeros(1)) for task in self.tasks})
        index = {task["name"]: t for t, task in enumerate(self.tasks)}
        self.given = [index.get(task.get("given")) for task in self.tasks]

    def forward(self, dense=None, ids=()):
        """Returns logits [B, tasks]. dense: [B, dense]; ids: for each field, for each row, a list of ids."""
        parts = [dense] if self.config["dense"] else []
        for field, bags in zip(self.config["fields"], ids):
            parts.append(self.embeddings[field["table"]](bags, field["pooling"]))
        v, z = torch.cat(parts, dim=1), None
        for layer in self.layers:
            z = layer(v, z)
        return torch.cat([self.towers[task["name"]](z[task["name"]]) for task in self.tasks], dim=1)

    def log_probability(self, logits, t):
        """Returns the log of a binary task's probability: its own sigmoid times that of the task it is given, and so on."""
        log_p = 0
        while t is not None:
            log_p = log_p + F.logsigmoid(logits[:, t])
            t = self.given[t]
        return log_p

    def predictions(self, logits):
        """Returns probabilities for binary tasks, and logits for others."""
        return torch.stack([logits[:, t] if task["loss"] == "squared" else torch.exp(self.log_probability(logits, t))
                            for t, task in enumerate(self.tasks)], dim=1)

    def row_losses(self, logits, t, y):
        x = logits[:, t]
        if self.tasks[t]["loss"] == "squared":
            return (x - y) ** 2
        if self.given[t] is None:
            return F.binary_cross_entropy_with_logits(x, y, reduction="none")
        log_p = self.log_probability(logits, t)
        return -y * log_p - (1 - y) * torch.log(-torch.expm1(log_p))

    def loss(self, logits, labels, weights=None):
        """Returns the total and the tasks' losses [tasks]. labels: [B, tasks], NaN if missing; weights: [B, tasks]"""
        live = ~torch.isnan(labels)
        weights = torch.where(live, torch.ones_like(labels) if weights is None else weights, torch.zeros_like(labels))
        labels = torch.where(live, labels, torch.zeros_like(labels))
        total, losses = logits.new_zeros(()), []
        for t, task in enumerate(self.tasks):
            mass = weights[:, t].sum()
            if mass == 0:  # no usable label: no term
                losses.append(logits.new_zeros(()))
                continue
            loss = (weights[:, t] * self.row_losses(logits, t, labels[:, t])).sum() / mass
            losses.append(loss)
            total = total + task["weight"] * self.term(task, loss)
        return total, torch.stack(losses)

    def term(self, task, loss):
        """Returns a task's part of the total: its loss, scaled by learned uncertainty if on (Kendall et al. 2018)."""
        if not self.config["uncertainty"]:
            return loss
        s = self.uncertainty[task["name"]].squeeze()
        return torch.exp(-s) * loss * (0.5 if task["loss"] == "squared" else 1) + s / 2
