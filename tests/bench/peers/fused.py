"""HoME in PyTorch written for speed: the same numbers as examples/pytorch, from its weights, in fewer and wider products.

Everything that reads one vector is one product: the low-rank branches and their mixture of all units with the same
input; the first layers of all experts of a unit, with the columns of the gates that read it. The experts' last
layers are a batched product ("bmm") or one product each ("2d"). Made for the preset home as the benchmarks configure it:
one hidden layer in experts and towers, none in gates, Swish in experts, ReLU in towers.
"""

import torch
from torch import nn
from torch.nn import functional as F


def param(tensor):
    return nn.Parameter(tensor.detach().clone().contiguous())


def folded(expert):
    """The last layer with the batch norm in it: weight [D, h], bias [D]."""
    norm, weight = expert.norm, expert.linear[-1].weight
    factor = norm.weight / torch.sqrt(norm.running_var + norm.epsilon)
    return weight * factor[:, None], norm.bias - norm.running_mean * factor


class FusedUnit(nn.Module):
    """A unit, and the parts of the gates that read it. Gives the experts' outputs [n, B, D] and those parts [B, ...]."""

    def __init__(self, unit, readers, fold, how):
        """readers: (weight, bias or None) of everything that reads the gated input besides the experts"""
        super().__init__()
        self.up = nn.ParameterList([param(lora.up.weight) for lora in unit.feature_gate.lora])
        first = [expert.linear[0] for expert in unit.experts]
        biases = [bias if bias is not None else torch.zeros(len(weight)) for weight, bias in readers]
        self.first = param(torch.cat([linear.weight for linear in first] + [weight for weight, _ in readers]))
        self.first_bias = param(torch.cat([linear.bias for linear in first] + biases))
        self.hidden = sum(linear.out_features for linear in first)
        self.parts = [len(weight) for weight, _ in readers]
        self.count, self.fold, self.how = len(unit.experts), fold, how
        if fold:
            last = [folded(expert) for expert in unit.experts]
            self.last_bias = param(torch.stack([bias for _, bias in last]).unsqueeze(1))
        else:
            last = [(expert.linear[-1].weight, None) for expert in unit.experts]
            norms = [expert.norm for expert in unit.experts]
            self.gamma = param(torch.cat([norm.weight for norm in norms]))
            self.beta = param(torch.cat([norm.bias for norm in norms]))
            self.register_buffer("mean", torch.cat([norm.running_mean for norm in norms]))
            self.register_buffer("var", torch.cat([norm.running_var for norm in norms]))
            self.epsilon, self.momentum = norms[0].epsilon, norms[0].momentum
        weights = [weight for weight, _ in last]
        self.last = (param(torch.stack([weight.t() for weight in weights])) if how == "bmm"
                     else nn.ParameterList([param(weight) for weight in weights]))

    def forward(self, x, low, mix):
        """low: the branches' inner values; mix: the logits of their mixture [B, L]"""
        weights = 2 * torch.softmax(mix, dim=1)
        factor = 0
        for j, up in enumerate(self.up):
            factor = factor + weights[:, j:j + 1] * torch.sigmoid(F.linear(low[j], up))
        wide = F.linear(x * factor, self.first, self.first_bias)
        hidden, parts = wide[:, :self.hidden], wide[:, self.hidden:]
        return self.experts(F.silu(hidden)), torch.split(parts, self.parts, dim=1)

    def experts(self, hidden):
        """[B, n h] -> [n, B, D]"""
        if self.how == "bmm":
            stacked = self.split(hidden, self.hidden).transpose(0, 1)
            if self.fold:
                return F.silu(torch.baddbmm(self.last_bias, stacked, self.last))
            out = torch.bmm(stacked, self.last).transpose(0, 1).flatten(1)
        else:
            pieces = torch.chunk(hidden, self.count, dim=1)
            if self.fold:
                return torch.stack([F.silu(F.linear(piece, weight, self.last_bias[k, 0]))
                                    for k, (piece, weight) in enumerate(zip(pieces, self.last))])
            out = torch.cat([F.linear(piece, weight) for piece, weight in zip(pieces, self.last)], dim=1)
        return F.silu(self.split(self.norm(out), len(self.gamma)).transpose(0, 1))

    def split(self, x, width):
        """[B, width] -> [B, n, width / n]"""
        return x.reshape(-1, self.count, width // self.count)

    def norm(self, out):
        return F.batch_norm(out, self.mean, self.var, self.gamma, self.beta, self.training, self.momentum, self.epsilon)


class FusedLayer(nn.Module):
    def __init__(self, layer, fold, how):
        super().__init__()
        self.inputs = dict(layer.inputs)  # unit -> source
        self.nodes = {name: (node.sees, node.own) for name, node in layer.nodes._modules.items()}
        self.sources = list(dict.fromkeys(self.inputs.values()))
        readers = {name: [] for name in self.inputs}
        self.reads = {name: [] for name in self.inputs}  # what each part of a unit's product is for
        for name, node in layer.nodes._modules.items():
            gate, column = node.gate.linear[0], 0
            for i, unit in enumerate(node.reads):
                width = layer.units[unit].experts[0].linear[0].in_features
                readers[unit].append((gate.weight[:, column:column + width], gate.bias if i == 0 else None))
                self.reads[unit].append((name, "gate"))
                column += width
            own = node.self_gate.linear[0]
            readers[node.own].append((own.weight, own.bias))
            self.reads[node.own].append((name, "self"))
        self.low, self.low_bias, self.pieces = nn.ParameterList(), nn.ParameterList(), []
        for source in self.sources:
            gates = [layer.units[unit].feature_gate for unit in self.units_of(source)]
            down = [lora.down.weight for gate in gates for lora in gate.lora]
            self.low.append(param(torch.cat(down + [gate.mix.weight for gate in gates])))
            self.low_bias.append(param(torch.cat([gate.mix.bias for gate in gates])))
            self.pieces.append([len(weight) for weight in down] + [len(gate.lora) for gate in gates])
        self.units = nn.ModuleList(FusedUnit(layer.units[name], readers[name], fold, how) for name in self.inputs)
        self.how = how

    def units_of(self, source):
        return [unit for unit, read in self.inputs.items() if read == source]

    def forward(self, x):
        """x: of each source, its vector; gives that of each node"""
        low, mix = {}, {}
        for source, weight, bias, pieces in zip(self.sources, self.low, self.low_bias, self.pieces):
            units = self.units_of(source)
            branches = (len(pieces) - len(units)) // len(units)
            values = torch.split(F.linear(x[source], weight), pieces, dim=1)
            for u, unit in enumerate(units):
                logits = values[branches * len(units) + u]
                low[unit] = values[u * branches:(u + 1) * branches]
                mix[unit] = logits + bias[u * branches:(u + 1) * branches]
        outputs, scores = {}, {}
        for module, (unit, source) in zip(self.units, self.inputs.items()):
            outputs[unit], parts = module(x[source], low[unit], mix[unit])
            for key, part in zip(self.reads[unit], parts):
                scores[key] = scores[key] + part if key in scores else part
        return {name: self.mix(name, outputs, scores) for name in self.nodes}

    def mix(self, name, outputs, scores):
        sees, own = self.nodes[name]
        gate, own_scores = torch.softmax(scores[name, "gate"], dim=1), scores[name, "self"]
        own_weights = torch.sigmoid(own_scores) if own_scores.shape[1] == 1 else torch.softmax(own_scores, dim=1)
        weights = torch.split(gate, [len(outputs[unit]) for unit in sees], dim=1)
        z = 0
        for unit, weight in zip(sees, weights):
            weight = weight + own_weights if unit == own else weight
            if self.how == "bmm":
                z = z + torch.bmm(weight.unsqueeze(1), outputs[unit].transpose(0, 1)).squeeze(1)
            else:
                for k in range(weight.shape[1]):
                    z = z + weight[:, k:k + 1] * outputs[unit][k]
        return z


class Fused(nn.Module):
    """Logits, as home.Home gives them. fold: for serving, with the batch norms in the experts' last layers."""

    def __init__(self, home, fold, how):
        super().__init__()
        self.layers = nn.ModuleList(FusedLayer(layer, fold, how) for layer in home.layers)
        towers = [home.towers[task["name"]] for task in home.tasks]
        self.names = [task["name"] for task in home.tasks]
        self.first = param(torch.stack([tower.linear[0].weight.t() for tower in towers]))
        self.first_bias = param(torch.stack([tower.linear[0].bias for tower in towers]).unsqueeze(1))
        self.last = param(torch.stack([tower.linear[1].weight.t() for tower in towers]))
        self.last_bias = param(torch.stack([tower.linear[1].bias for tower in towers]).unsqueeze(1))

    def forward(self, v):
        z = self.layers[0]({"v": v} if "v" in self.layers[0].sources else {s: v for s in self.layers[0].sources})
        z = self.layers[1](z)
        z = torch.stack([z[name] for name in self.names])
        hidden = torch.relu(torch.baddbmm(self.first_bias, z, self.first))
        return torch.baddbmm(self.last_bias, hidden, self.last).squeeze(-1).t()


class Predict(nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, v):
        return torch.sigmoid(self.logits(v))
